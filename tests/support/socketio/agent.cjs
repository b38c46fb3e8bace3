// An agent as the present daemon is one, by the real socket.io-client.
//   node agent.cjs FOLDER OPTIONS      FOLDER holds node_modules; OPTIONS is JSON:
//   url, key, instance, agent, path ("/socket.io/"), transports (["polling"]),
//   answers: whether each message is answered, with its text in capitals
// Prints what happens, a JSON array a line: ["connect"], ["cc_message", {...}], ...; each line of
// standard input is a JSON array that is emitted.
"use strict";
const path = require("path");
const readline = require("readline");
const [folder, text] = process.argv.slice(2);
const options = JSON.parse(text);
const { io } = require(path.join(folder, "node_modules", "socket.io-client"));

let count = 0;
const say = (...event) => console.log(JSON.stringify(event));
const id = () => "msg_" + options.instance + "_" + process.pid + "_" + ++count;
const socket = io(options.url, {
  path: options.path || "/socket.io/",
  transports: options.transports || ["polling"],
  tryAllTransports: true,
  reconnectionDelay: 100,
  reconnectionDelayMax: 300,
  extraHeaders: {
    "X-CCAGENT-API-KEY": options.key,
    "X-CCAGENT-ID": options.instance,
    "X-CCAGENT-REPO": "",
    "X-AGENT-ID": options.agent,
  },
});

socket.on("connect", () => say("connect", socket.io.engine.transport.name));
socket.on("disconnect", (reason) => say("disconnect", reason));
socket.on("connect_error", (error) => say("connect_error", error.message));
socket.onAny((name, ...rest) => say(name, ...rest));
socket.on("cc_message", ({ type, payload }) => {
  if (!options.answers) return;
  const about = { job_id: payload.job_id, processed_message_id: payload.processed_message_id };
  socket.emit("cc_message", { id: id(), type: "processing_message_v1", payload: about });
  socket.emit("cc_message", {
    id: id(), type: "assistant_message_v1",
    payload: { ...about, message: payload.message.toUpperCase() },
  });
});
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  socket.emit(...JSON.parse(line));
});
