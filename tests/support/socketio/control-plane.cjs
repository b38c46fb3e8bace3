// A control plane without long polls, whose realtime channel is the real socket.io server (polling
// only). What it is to do, and what it has seen, goes over its own paths below /test/.
//   node control-plane.cjs FOLDER OPTIONS      FOLDER holds node_modules; OPTIONS is JSON:
//   port, path ("/socket.io/"), pingInterval, pingTimeout (ms), slow (ms before each answer of the
//   channel), refuse (a connection is refused in these words)
// The first line on standard output is the port.
"use strict";
const http = require("http");
const path = require("path");
const [folder, text] = process.argv.slice(2);
const options = JSON.parse(text);
const { Server } = require(path.join(folder, "node_modules", "socket.io"));

const messages = []; // {id, job, type, text, mode, listed, acked}
const seen = { polls: 0, handshakes: [], sockets: 0, events: [], replies: [], acks: [], refused: 0 };

function payload(m) {
  const p = { job_id: m.job, message: m.text, processed_message_id: m.id, message_link: "" };
  return m.type === "start_conversation_v1" ? { ...p, mode: m.mode } : p;
}

function listing() {
  const jobs = new Map();
  for (const m of messages.filter((m) => m.listed && !m.acked)) {
    if (!jobs.has(m.job))
      jobs.set(m.job, { id: m.job, job_type: "slack", mode: m.mode, title: null, messages: [] });
    jobs.get(m.job).messages.push({ id: m.id, type: m.type, payload: payload(m) });
  }
  return { jobs: [...jobs.values()] };
}

function push(m) {
  io.emit("cc_message", { id: "msg_" + m.id, type: m.type, payload: payload(m) });
}

const orders = {
  // {message: {...}, pushes: how often}
  add(order) {
    messages.push(order.message);
    for (let i = 0; i < order.pushes; i++) push(order.message);
  },
  emit(order) {
    io.emit(...order.arguments);
  },
  // {type}: an envelope of that type is never answered
  hold(order) {
    held = order.type;
  },
  // {path, times}: so many requests there are answered with 500
  fail(order) {
    failing = order;
  },
  disconnect() {
    io.disconnectSockets(true);
  },
  // the sessions are gone, as after a restart, and nobody tells
  forget() {
    for (const sid of Object.keys(io.engine.clients)) delete io.engine.clients[sid];
  },
};

let held = "";
let failing = { path: "", times: 0 };

function answer(res, status, body) {
  res.writeHead(status, { "Content-Type": "application/json" });
  res.end(JSON.stringify(body));
}

function handle(req, res, body) {
  const ack = /^\/api\/agents\/messages\/([^/]+)\/ack$/.exec(req.url);
  if (req.url === failing.path && failing.times > 0) {
    failing.times--;
    answer(res, 500, { error: "the server fails" });
  } else if (req.url === "/api/agents/jobs") {
    seen.polls++;
    answer(res, 200, listing());
  } else if (req.url === "/api/agents/messages") {
    const envelope = JSON.parse(body);
    seen.replies.push(envelope);
    if (envelope.type !== held) answer(res, 200, {});
  } else if (ack) {
    seen.acks.push(ack[1]);
    for (const m of messages) m.acked = m.acked || m.id === ack[1];
    answer(res, 200, {});
  } else if (req.url === "/test/seen") {
    answer(res, 200, { ...seen, sockets: io.engine.clientsCount });
  } else if (req.url.startsWith("/test/")) {
    orders[req.url.slice(6)](JSON.parse(body || "{}"));
    answer(res, 200, {});
  } else {
    answer(res, 404, { error: "not found" });
  }
}

const server = http.createServer((req, res) => {
  const parts = [];
  req.on("data", (part) => parts.push(part));
  req.on("end", () => handle(req, res, Buffer.concat(parts).toString()));
});
const io = new Server(server, {
  path: options.path || "/socket.io/",
  transports: ["polling"],
  pingInterval: options.pingInterval || 25000,
  pingTimeout: options.pingTimeout || 20000,
});
io.engine.on("initial_headers", (headers, req) => seen.handshakes.push(req.headers));
io.engine.on("connection_error", () => seen.refused++);
if (options.slow) io.engine.use((req, res, next) => setTimeout(next, options.slow));
if (options.refuse) io.use((socket, next) => next(new Error(options.refuse)));
io.on("connection", (socket) => {
  socket.onAny((...event) => seen.events.push(event));
  socket.on("disconnect", (reason) => seen.events.push(["disconnect", reason]));
});
server.keepAliveTimeout = 60000;
server.listen(options.port || 0, "127.0.0.1", () => console.log(server.address().port));
