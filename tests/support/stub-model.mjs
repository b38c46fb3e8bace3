#!/usr/bin/env node
// stub-model.mjs: a scripted stand-in for a model provider, on 127.0.0.1 only.
//
//   node stub-model.mjs [PORT] [--log FILE]      PORT 0 or none: any free port
//
// Prints exactly one line when it listens:   ready http://127.0.0.1:PORT
// --log appends one JSON line per request (method, path, parsed body, keys masked).
//
// Dialects, each streaming (SSE) and not:
//   Anthropic Messages       POST /v1/messages, POST /v1/messages/count_tokens
//   OpenAI Responses         POST /v1/responses
//   OpenAI Chat Completions  POST /v1/chat/completions
//   model lists              GET  /v1/models
//
// What the "model" does is written in the newest user prompt:
//   (nothing special)      answer "ECHO: <prompt>"
//   TOOL: <command>        run it with the client's shell tool, then answer with its output;
//                          several such lines make several calls, one after the other
//   PAR: <cmd> ;; <cmd>    the same, but all calls in one model reply
//   CALL <Tool> <json>     call any tool by name with this input (one line; a JSON string makes a
//                          Codex "custom" tool call, as apply_patch wants)
//   THINK <text>           put a thinking/reasoning block before the answer
//   RECALL                 answer with every user prompt of the conversation (proves a resume)
//   LONG <n>               answer with n KiB of numbered lines
//   SLOW <seconds>         open the reply at once, then wait that long before the answer
//   EMPTY                  finish normally, with no content at all
//   DROP                   send half of the answer, then cut the connection
//   FAIL <status> [xN]     answer with that HTTP error; with xN only the first N times
//   REFUSE <status> <type> <message>     answer with that HTTP error, type and text
//   OVERLOADED [xN]        Anthropic 529 overloaded_error / OpenAI 503 server_is_overloaded
// A request without a key, or whose key contains "bad", gets a 401.

import http from 'node:http';
import fs from 'node:fs';

const args = process.argv.slice(2);
const logAt = args.indexOf('--log');
const logFile = logAt >= 0 ? args.splice(logAt, 2)[1] : null;
const port = Number(args[0] ?? 0);

const failures = new Map();          // prompt -> how often it has been refused so far
let serial = 0;
const newId = (prefix) => `${prefix}_stub${String(++serial).padStart(6, '0')}`;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const tokens = (text) => Math.ceil(Buffer.byteLength(text ?? '') / 4) + 1;

// ---------------------------------------------------------------- reading a conversation

// CLIs wrap their own context around what the user typed; none of it is the prompt.
const NOISE = /<(system-reminder|environment_context|user_instructions|permissions instructions|INSTRUCTIONS|recommended_plugins|skills_instructions|apps_instructions|collaboration_mode)>[\s\S]*?<\/\1>/g;

function textOf(content) {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return content == null ? '' : JSON.stringify(content);
  return content.map((part) => (typeof part === 'string' ? part : part.text ?? '')).join('\n');
}

// and what nairid puts before a message, for programs that take no system prompt
const BRIEF = /^(# BEHAVIOR INSTRUCTIONS\n[\s\S]*?\n# USER MESSAGE\n+|\[This is ask mode[^\]]*\]\n+)/;
const cleaned = (content) => textOf(content).replace(NOISE, '').replace(/^# AGENTS\.md instructions[^\n]*\n?/, '').trim().replace(BRIEF, '');

// All three dialects are reduced to { prompts, results, tools }: the user prompts so far, the
// tool outputs since the newest one, and the names of the tools offered.
function readAnthropic(body) {
  const talk = { prompts: [], results: [], tools: (body.tools ?? []).map((tool) => tool.name) };
  for (const message of body.messages ?? []) {
    if (message.role !== 'user') continue;
    const parts = Array.isArray(message.content) ? message.content : [{ type: 'text', text: message.content }];
    const outputs = parts.filter((part) => part.type === 'tool_result');
    const said = cleaned(parts.filter((part) => part.type === 'text'));
    if (outputs.length) talk.results.push(...outputs.map((part) => textOf(part.content)));
    else if (said) { talk.prompts.push(said); talk.results = []; }
  }
  return talk;
}

function readResponses(body) {
  const talk = { prompts: [], results: [], tools: [] };
  const offer = (tools) => { for (const tool of tools ?? []) { talk.tools.push(tool.name ?? tool.type); offer(tool.tools); } };
  offer(body.tools);
  const input = typeof body.input === 'string' ? [{ role: 'user', content: body.input }] : body.input ?? [];
  for (const item of input) {
    if (item.type === 'additional_tools') offer(item.tools);          // Codex code mode lists them here
    else if (/_call_output$/.test(item.type ?? '')) talk.results.push(textOf(item.output));
    else if (item.role === 'user') {
      const said = cleaned(item.content);
      if (said) { talk.prompts.push(said); talk.results = []; }
    }
  }
  return talk;
}

function readChat(body) {
  const talk = { prompts: [], results: [], tools: (body.tools ?? []).map((tool) => tool.function?.name) };
  for (const message of body.messages ?? []) {
    if (message.role === 'tool') talk.results.push(textOf(message.content));
    else if (message.role === 'user') {
      const said = cleaned(message.content);
      if (said) { talk.prompts.push(said); talk.results = []; }
    }
  }
  return talk;
}

// ---------------------------------------------------------------- deciding what to answer

// The shell tools that the CLIs offer, and how each wants its command.
const SHELLS = [
  ['Bash', (command) => ({ command, description: 'stub command' })],       // Claude Code
  ['bash', (command) => ({ command, description: 'stub command' })],       // OpenCode
  ['exec_command', (cmd) => ({ cmd })],                                    // Codex
  ['shell_command', (command) => ({ command })],                           // Codex
  ['shell', (command) => ({ command: ['bash', '-lc', command] })],         // Codex, older
  ['exec', (cmd) => `const r = await tools.exec_command(${JSON.stringify({ cmd })});\ntext(r.output);`], // Codex code mode
];

function shellCall(command, tools) {
  const shell = SHELLS.find(([name]) => tools.includes(name));
  return shell && { name: shell[0], input: shell[1](command) };
}

// Anthropic's and OpenAI's names for the same refusals: [Anthropic type, OpenAI type, OpenAI code]
const REFUSALS = {
  400: ['invalid_request_error', 'invalid_request_error', 'invalid_request'],
  401: ['authentication_error', 'invalid_request_error', 'invalid_api_key'],
  403: ['permission_error', 'invalid_request_error', 'forbidden'],
  404: ['not_found_error', 'invalid_request_error', 'model_not_found'],
  429: ['rate_limit_error', 'rate_limit_exceeded', 'rate_limit_exceeded'],
  503: ['api_error', 'service_unavailable_error', 'server_is_overloaded'],
  529: ['overloaded_error', 'service_unavailable_error', 'server_is_overloaded'],
};
const MESSAGES = { 401: 'invalid x-api-key (stub)', 429: 'Rate limit reached (stub)', 503: 'Overloaded (stub)', 529: 'Overloaded (stub)' };

const refusal = (status) => ({ status, names: REFUSALS[status] ?? ['api_error', 'server_error', 'server_error'], message: MESSAGES[status] ?? `Stub error ${status}` });

// Returns either a refusal {status,...} or a reply {think, text, calls, slow, drop}.
function decide(talk, dialect) {
  const prompt = talk.prompts.at(-1) ?? '';
  const number = (pattern) => Number(prompt.match(pattern)?.[1] ?? 0);

  const said = prompt.match(/\bREFUSE (\d{3}) (\w+) (.+)$/m);
  if (said) return { status: Number(said[1]), names: [said[2], said[2], said[2]], message: said[3] };

  const fail = prompt.match(/\b(?:FAIL (\d{3})|OVERLOADED)(?: x(\d+))?/);
  if (fail) {
    const so_far = failures.get(prompt) ?? 0;
    failures.set(prompt, so_far + 1);
    if (so_far < Number(fail[2] ?? Infinity)) return refusal(Number(fail[1] ?? (dialect === 'anthropic' ? 529 : 503)));
  }

  const reply = { think: prompt.match(/\bTHINK (.+)$/m)?.[1], text: `ECHO: ${prompt}`, calls: [], slow: number(/\bSLOW (\d+(?:\.\d+)?)/), drop: /\bDROP\b/.test(prompt) };

  // Tool scripts: as many results as there are since the prompt, so many steps are done.
  const together = prompt.match(/PAR: (.+)$/m)?.[1].split(';;').map((part) => part.trim());
  const steps = together ? [together.map((command) => shellCall(command, talk.tools))]
    : [...prompt.matchAll(/TOOL: (.+)$|CALL (\w+) (\{.*\}|".*")\s*$/gm)].map(([, command, name, json]) => [command ? shellCall(command.trim(), talk.tools) : { name, input: JSON.parse(json) }]);
  let passed = 0;
  for (const step of steps) {
    if (step.some((call) => !call)) continue;          // no shell offered (a title request, say): just talk
    if (talk.results.length <= passed) return { ...reply, text: `Running ${step.length} command(s).`, calls: step };
    passed += step.length;
  }
  if (passed) reply.text = `OUTPUT:\n${talk.results.join('\n---\n')}`;

  const kilobytes = number(/\bLONG (\d+)/);
  if (kilobytes) {
    const line = (n) => `${String(n).padStart(8, '0')} the quick brown fox jumps over the lazy dog, again\n`;
    reply.text = Array.from({ length: Math.ceil(kilobytes * 1024 / line(0).length) }, (_, n) => line(n)).join('').slice(0, kilobytes * 1024);
  }
  if (/\bRECALL\b/.test(prompt)) reply.text = `RECALLED ${talk.prompts.length}:\n${talk.prompts.join('\n')}`;
  if (/\bEMPTY\b/.test(prompt)) reply.text = '';
  return reply;
}

// ---------------------------------------------------------------- writing an answer

function pieces(text) {                                 // the deltas of a streamed text
  const size = Math.max(24, Math.ceil(text.length / 64));
  const parts = [];
  for (let at = 0; at < text.length; at += size) parts.push(text.slice(at, at + size));
  return parts;
}

class Stream {                                          // one SSE reply
  constructor(response, named) {
    this.response = response;
    this.named = named;                                 // Chat Completions has no event: lines
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache', 'request-id': newId('req'), 'x-request-id': newId('req') });
  }
  send(type, data) {
    const payload = JSON.stringify(this.named ? { type, ...data } : data);
    this.response.write(`${this.named ? `event: ${type}\n` : ''}data: ${payload}\n\n`);
  }
  async pause(seconds, beat) {
    for (let left = seconds * 1000; left > 0 && !this.response.destroyed; left -= 500) { beat?.(); await sleep(Math.min(left, 500)); }
  }
  cut() { this.response.destroy(); }
}

const json = (response, status, data, headers = {}) => {
  response.writeHead(status, { 'content-type': 'application/json', 'request-id': newId('req'), ...headers });
  response.end(JSON.stringify(data));
};

function refuse(response, dialect, { status, names, message }) {
  const headers = [429, 503, 529].includes(status) ? { 'retry-after': '1' } : {};
  if (dialect === 'anthropic') json(response, status, { type: 'error', error: { type: names[0], message }, request_id: newId('req') }, headers);
  else json(response, status, { error: { message, type: names[1], param: null, code: names[2] } }, headers);
}

// --- Anthropic Messages
async function answerAnthropic(body, reply, spent, response) {
  const blocks = [];
  if (reply.think) blocks.push({ type: 'thinking', thinking: reply.think, signature: 'c3R1Yg==' });
  if (reply.text) blocks.push({ type: 'text', text: reply.text });
  for (const call of reply.calls) blocks.push({ type: 'tool_use', id: newId('toolu'), name: call.name, input: call.input });
  const stop_reason = reply.calls.length ? 'tool_use' : 'end_turn';
  const usage = { input_tokens: spent.input, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: spent.output };
  const message = { id: newId('msg'), type: 'message', role: 'assistant', model: body.model, content: blocks, stop_reason, stop_sequence: null, usage };
  if (!body.stream) { await sleep(reply.slow * 1000); return json(response, 200, message); }

  const stream = new Stream(response, true);
  stream.send('message_start', { message: { ...message, content: [], stop_reason: null, usage: { ...usage, output_tokens: 1 } } });
  await stream.pause(reply.slow, () => stream.send('ping', {}));
  for (const [index, block] of blocks.entries()) {
    const opened = { text: { type: 'text', text: '' }, thinking: { type: 'thinking', thinking: '', signature: '' }, tool_use: { ...block, input: {} } }[block.type];
    stream.send('content_block_start', { index, content_block: opened });
    const delta = (value) => stream.send('content_block_delta', { index, delta: value });
    if (block.type === 'text') {
      for (const text of pieces(block.text)) { delta({ type: 'text_delta', text }); if (reply.drop) return stream.cut(); await sleep(1); }
    } else if (block.type === 'thinking') {
      delta({ type: 'thinking_delta', thinking: block.thinking });
      delta({ type: 'signature_delta', signature: block.signature });
    } else delta({ type: 'input_json_delta', partial_json: JSON.stringify(block.input) });
    stream.send('content_block_stop', { index });
  }
  stream.send('message_delta', { delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: spent.output } });
  stream.send('message_stop', {});
  response.end();
}

// --- OpenAI Responses
async function answerResponses(body, reply, spent, response) {
  const items = [];
  if (reply.think) items.push({ id: newId('rs'), type: 'reasoning', summary: [{ type: 'summary_text', text: reply.think }], encrypted_content: null });
  if (reply.text) items.push({ id: newId('msg'), type: 'message', status: 'completed', role: 'assistant', content: [{ type: 'output_text', text: reply.text, annotations: [] }] });
  for (const { name, input } of reply.calls) {
    if (typeof input === 'string') items.push({ id: newId('ctc'), type: 'custom_tool_call', status: 'completed', call_id: newId('call'), name, input });
    else items.push({ id: newId('fc'), type: 'function_call', status: 'completed', call_id: newId('call'), name, arguments: JSON.stringify(input) });
  }
  const usage = { input_tokens: spent.input, input_tokens_details: { cached_tokens: 0 }, output_tokens: spent.output, output_tokens_details: { reasoning_tokens: reply.think ? tokens(reply.think) : 0 }, total_tokens: spent.input + spent.output };
  const whole = { id: newId('resp'), object: 'response', created_at: Math.floor(Date.now() / 1000), status: 'completed', model: body.model, output: items, error: null, usage };
  if (!body.stream) { await sleep(reply.slow * 1000); return json(response, 200, whole); }

  const stream = new Stream(response, true);
  let sequence_number = 0;
  const send = (type, data) => stream.send(type, { sequence_number: sequence_number++, ...data });
  const open = { ...whole, status: 'in_progress', output: [], usage: null };
  send('response.created', { response: open });
  send('response.in_progress', { response: open });
  await stream.pause(reply.slow, () => response.write(': keep-alive\n\n'));
  for (const [output_index, item] of items.entries()) {
    const at = { item_id: item.id, output_index };
    if (item.type === 'message') {
      const { text } = item.content[0];
      const part = (text) => ({ ...at, content_index: 0, part: { type: 'output_text', text, annotations: [] } });
      send('response.output_item.added', { output_index, item: { ...item, status: 'in_progress', content: [] } });
      send('response.content_part.added', part(''));
      for (const delta of pieces(text)) { send('response.output_text.delta', { ...at, content_index: 0, delta }); if (reply.drop) return stream.cut(); await sleep(1); }
      send('response.output_text.done', { ...at, content_index: 0, text });
      send('response.content_part.done', part(text));
    } else if (item.type === 'reasoning') {
      const { text } = item.summary[0];
      const part = (text) => ({ ...at, summary_index: 0, part: { type: 'summary_text', text } });
      send('response.output_item.added', { output_index, item: { ...item, summary: [] } });
      send('response.reasoning_summary_part.added', part(''));
      send('response.reasoning_summary_text.delta', { ...at, summary_index: 0, delta: text });
      send('response.reasoning_summary_text.done', { ...at, summary_index: 0, text });
      send('response.reasoning_summary_part.done', part(text));
    } else {
      const custom = item.type === 'custom_tool_call';
      const [kind, field] = custom ? ['custom_tool_call_input', 'input'] : ['function_call_arguments', 'arguments'];
      send('response.output_item.added', { output_index, item: { ...item, status: 'in_progress', [field]: '' } });
      send(`response.${kind}.delta`, { ...at, delta: item[field] });
      send(`response.${kind}.done`, { ...at, [field]: item[field] });
    }
    send('response.output_item.done', { output_index, item });
  }
  send('response.completed', { response: whole });
  response.end();
}

// --- OpenAI Chat Completions
async function answerChat(body, reply, spent, response) {
  const tool_calls = reply.calls.map(({ name, input }) => ({ id: newId('call'), type: 'function', function: { name, arguments: JSON.stringify(input) } }));
  const usage = { prompt_tokens: spent.input, completion_tokens: spent.output, total_tokens: spent.input + spent.output, prompt_tokens_details: { cached_tokens: 0 } };
  const finish_reason = tool_calls.length ? 'tool_calls' : 'stop';
  const base = { id: newId('chatcmpl'), created: Math.floor(Date.now() / 1000), model: body.model };
  if (!body.stream) {
    await sleep(reply.slow * 1000);
    const message = { role: 'assistant', content: reply.text, ...(tool_calls.length ? { tool_calls } : {}) };
    return json(response, 200, { ...base, object: 'chat.completion', choices: [{ index: 0, message, finish_reason }], usage });
  }
  const stream = new Stream(response, false);
  const send = (delta, finish_reason = null) => stream.send('', { ...base, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason }] });
  send({ role: 'assistant', content: '' });
  await stream.pause(reply.slow, () => response.write(': keep-alive\n\n'));
  if (reply.think) send({ reasoning_content: reply.think });
  for (const content of pieces(reply.text)) { send({ content }); if (reply.drop) return stream.cut(); await sleep(1); }
  for (const [index, call] of tool_calls.entries()) send({ tool_calls: [{ index, ...call }] });
  send({}, finish_reason);
  if (body.stream_options?.include_usage) stream.send('', { ...base, object: 'chat.completion.chunk', choices: [], usage });
  response.end('data: [DONE]\n\n');
}

// ---------------------------------------------------------------- the server

const DIALECTS = {
  '/v1/messages': ['anthropic', readAnthropic, answerAnthropic],
  '/v1/responses': ['openai', readResponses, answerResponses],
  '/v1/chat/completions': ['openai', readChat, answerChat],
};

function note(request, path, body) {
  if (!logFile) return;
  const headers = { ...request.headers };
  for (const name of ['authorization', 'x-api-key']) if (headers[name]) headers[name] = 'masked';
  fs.appendFileSync(logFile, `${JSON.stringify({ at: new Date().toISOString(), method: request.method, path, headers, body })}\n`);
}

async function handle(request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const path = request.url.split('?')[0].replace(/\/+$/, '');
  let body = {};
  try { body = JSON.parse(Buffer.concat(chunks).toString() || '{}'); } catch { return json(response, 400, { error: { message: 'body is not JSON' } }); }
  note(request, request.url, body);

  if (request.method === 'GET' && path.endsWith('/models')) {
    const made = { created: 1700000000, created_at: '2024-01-01T00:00:00Z', owned_by: 'stub' };
    return json(response, 200, { object: 'list', data: [{ id: 'stub-model', object: 'model', type: 'model', display_name: 'Stub model', ...made }], has_more: false });
  }
  if (path === '/v1/messages/count_tokens') return json(response, 200, { input_tokens: tokens(JSON.stringify(body.messages ?? [])) });
  const entry = request.method === 'POST' && DIALECTS[path];
  if (!entry) return json(response, 404, { type: 'error', error: { type: 'not_found_error', message: `stub has no ${request.method} ${path}` } });

  const [dialect, read, answer] = entry;
  const key = request.headers['x-api-key'] ?? request.headers.authorization?.replace(/^Bearer\s*/i, '') ?? '';
  if (!key || key.includes('bad')) return refuse(response, dialect, refusal(401));
  const talk = read(body);
  const reply = decide(talk, dialect);
  if (reply.status) return refuse(response, dialect, reply);
  const spent = { input: tokens(talk.prompts.join('') + talk.results.join('')), output: tokens(reply.text + JSON.stringify(reply.calls)) };
  return answer(body, reply, spent, response);
}

const server = http.createServer((request, response) => {
  handle(request, response).catch((error) => { if (!response.headersSent) json(response, 500, { error: { message: String(error) } }); else response.destroy(); });
});
server.listen(port, '127.0.0.1', () => console.log(`ready http://127.0.0.1:${server.address().port}`));
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
