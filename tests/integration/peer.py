"""A control plane that misbehaves on demand: the agents API, and a fault for any request.

    def test_something(make_daemon, peer):
        daemon = make_daemon(hub=peer)
        peer.fault("reply", FAULTS["half_body"])   # for the next reply that arrives
        message = peer.give("echo hello")
        assert peer.wait_reply(message)["payload"]["message"] == "hello"

It stands where a Hub of hubkit.py stands (url, agent_key, slug, proc). It listens on 127.0.0.1 on a
port that the kernel chooses, one thread a connection. Nothing is kept over its end.
"""

import email.utils
import gzip
import http.client
import json
import socket
import ssl
import struct
import threading
import time

HOLD = object()   # nothing more, until the client goes away
RESET = object()  # the connection ends with RST
GOOD = object()   # what the peer would have answered, as one piece of bytes

TERMINAL = ("assistant_message_v1", "system_message_v1")


class Fault:
    """What is played instead of an answer.

    parts: bytes to send, seconds to wait, HOLD, RESET, GOOD, or a function of the good answer's
    bytes that gives such parts. At the end the connection is closed.
    taken: whether the server carried out the request before it misbehaved.
    """

    def __init__(self, *parts, taken=False):
        self.parts = parts
        self.taken = taken
        self.name = "?"

    def after(self):
        """The same, but the server carried out the request: only its answer is lost."""
        fault = Fault(*self.parts, taken=True)
        fault.name = self.name + "_after"
        return fault

    def __repr__(self):
        return f"<{self.name}>"


def answer(status, body=b"", kind="application/json", *headers, length=None):
    """The bytes of an answer; length: a Content-Length other than the right one, False for none."""
    if not isinstance(body, bytes):
        body = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Odd')}"]
    if kind:
        lines.append(f"Content-Type: {kind}")
    if length is not False:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def chunked(*chunks):
    """The bytes of a chunked answer, each chunk as it is given, so also a wrong one."""
    return (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks))


def chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def in_seconds(seconds):
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


def drip(good):
    """The good answer byte by byte."""
    return [part for i in range(len(good)) for part in (good[i:i + 1], 0.001)]


def in_tiny_chunks(good):
    """The good answer in chunks of one byte, and with a trailer."""
    head, body = good.split(b"\r\n\r\n", 1)
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    chunks = [chunk(body[i:i + 1]) for i in range(len(body))]
    return [b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", b""]), *chunks,
            b"0\r\nX-Trailer: 1\r\n\r\n"]


ERROR = {"error": "the peer was told to say so"}
PAGE = "<!DOCTYPE html><html><body><h1>Sign in to this network</h1></body></html>"
HTML = "text/html; charset=utf-8"

FAULTS = {
    # the connection
    "close": Fault(),
    "reset": Fault(RESET),
    "half_status": Fault(b"HTTP/1.1 20"),
    "half_header": Fault(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "half_body": Fault(answer(200, '{"jobs":[', length=100)),
    "half_body_reset": Fault(answer(200, '{"jobs":[', length=100), 0.05, RESET),
    # framing
    "bad_chunk": Fault(chunked(b"zz\r\n{}\r\n0\r\n\r\n")),
    "huge_chunk": Fault(chunked(b"ffffffffffffffffff\r\n{}\r\n")),
    "cut_chunk": Fault(chunked(chunk(b'{"jobs":'))),
    "bad_length": Fault(answer(200, "{}", length="-2")),
    "short_length": Fault(answer(200, '{"jobs":[]}', length=5), taken=True),
    "not_http": Fault(b"SSH-2.0-OpenSSH_9.2p1\r\n"),
    "bare_page": Fault(PAGE.encode()),
    "header_flood": Fault(b"HTTP/1.1 200 OK\r\n" + b"X-Fill: 0123456789abcdef\r\n" * 20000),
    "header_long": Fault(b"HTTP/1.1 200 OK\r\nX-Fill: " + b"0123456789abcdef" * 40000),
    "interim_flood": Fault(b"HTTP/1.1 100 Continue\r\n\r\n" * 20000),
    # a size past every bound
    "oversized": Fault(answer(200, "{}", length=10**12), HOLD),
    "oversized_chunks": Fault(chunked(), *[chunk(b" " * 65536)] * 1100),
    # whatever lies in between
    "page_200": Fault(answer(200, PAGE, HTML)),
    "page_401": Fault(answer(401, PAGE, HTML)),
    "page_403": Fault(answer(403, PAGE, HTML)),
    "page_404": Fault(answer(404, PAGE, HTML)),
    "text_404": Fault(answer(404, "404 page not found\n", "text/plain")),
    "page_409": Fault(answer(409, PAGE, HTML)),
    "page_502": Fault(answer(502, PAGE, HTML)),
    "empty_504": Fault(answer(504, b"", None)),
    "redirect": Fault(answer(302, b"", None, "Location: http://127.0.0.1:1/elsewhere")),
    # the server itself
    "text_500": Fault(answer(500, "Internal Server Error\n", "text/plain")),
    "json_500": Fault(answer(500, ERROR)),
    "json_501": Fault(answer(501, ERROR)),
    "json_405": Fault(answer(405, ERROR)),
    "busy_429": Fault(answer(429, ERROR)),
    "busy_503": Fault(answer(503, PAGE, HTML)),
    "busy_seconds": Fault(answer(429, ERROR, "application/json", "Retry-After: 1")),
    "busy_date": Fault(lambda _: [answer(503, ERROR, "application/json", f"Date: {in_seconds(0)}",
                                         f"Retry-After: {in_seconds(2)}")]),
    "busy_past": Fault(lambda _: [answer(503, ERROR, "application/json",
                                         f"Retry-After: {in_seconds(-9999)}")]),
    "busy_nonsense": Fault(answer(429, ERROR, "application/json", "Retry-After: soon, maybe")),
    "busy_negative": Fault(answer(429, ERROR, "application/json", "Retry-After: -5")),
    # answers that mean yes to a post, and nothing to a poll
    "cut_json": Fault(answer(200, '{"jobs":[{"id":"job_1","messages":['), taken=True),
    "nested": Fault(answer(200, '{"jobs":' + "[" * 50000), taken=True),
    "array": Fault(answer(200, []), taken=True),
    "string": Fault(answer(200, '"jobs"'), taken=True),
    "number": Fault(answer(200, "1e999999"), taken=True),
    "other_object": Fault(answer(200, {"status": "ok"}), taken=True),
    "jobs_object": Fault(answer(200, {"jobs": {}}), taken=True),
    "empty_200": Fault(answer(200), taken=True),
    "empty_204": Fault(answer(204, b"", None, length=False), taken=True),
    "bad_utf8": Fault(answer(200, b'{"jobs":["\xff\xfe"]}'), taken=True),
    "nul": Fault(answer(200, b'{"jobs":[]}\0'), taken=True),
    "utf16": Fault(answer(200, '{"jobs":[]}'.encode("utf-16")), taken=True),
    "compressed": Fault(answer(200, gzip.compress(b'{"jobs":[]}'), "application/json",
                               "Content-Encoding: gzip"), taken=True),
    # good answers that come in an odd way
    "slow": Fault(drip, taken=True),
    "tiny_chunks": Fault(in_tiny_chunks, taken=True),
    "interim": Fault(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\n", GOOD,
                     taken=True),
    "junk_behind": Fault(GOOD, b"HTTP/1.1 500 Evil\r\nContent-Length: 4\r\n\r\nevil", taken=True),
    # no answer at all, until the client gives up
    "stall": Fault(HOLD),
    "stall_body": Fault(answer(200, '{"jobs":[', length=100), HOLD),
}
for _name, _fault in FAULTS.items():
    _fault.name = _name


class Request:
    def __init__(self, method, path, headers, body):
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.at = time.monotonic()
        self.fault = None

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def endpoint(self):
        """poll, reply, notice (of processing, of progress), ack, or other."""
        if (self.method, self.path) == ("GET", "/api/agents/jobs"):
            return "poll"
        if (self.method, self.path) == ("POST", "/api/agents/messages"):
            return "reply" if self.json.get("type") in TERMINAL else "notice"
        if self.method == "POST" and self.path.startswith("/api/agents/messages/") \
                and self.path.endswith("/ack"):
            return "ack"
        return "other"

    def __repr__(self):
        return f"<{self.method} {self.path} {self.fault or ''}>"


class Peer:
    proc = None  # it runs in the process of the tests

    def __init__(self, slug="test-agent", long_poll=True, tls=None):
        self.slug = slug
        self.agent_key = "nairid_" + "0123456789abcdef" * 3
        self.long_poll = long_poll
        self.tls = tls  # an ssl.SSLContext
        self.lock = threading.Condition()
        self.requests = []
        self.faults = {"poll": [], "reply": [], "notice": [], "ack": []}
        self.jobs = {}      # job id -> {"id", "messages": [...]}, with whatever else a test puts in
        self.accepted = []  # envelopes, each id once
        self.acked = []     # ids
        self.given = set()  # message ids that a poll has listed
        self.counter = 0
        self.kicks = 0
        self.stopping = False
        self.connections = set()
        self.listener = None
        self.port = 0
        self.up()

    # its life

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def up(self):
        """Listens (again, on the same port)."""
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def down(self):
        """Refuses connections, and closes those that are open."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            connections = list(self.connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def end(self, signo=None):
        with self.lock:
            self.stopping = True
            self.lock.notify_all()
        self.down()
        return 0

    # what tests tell it

    def give(self, prompt, job=None, kind=None, **payload):
        """Puts a message into a job (a new one unless named); returns the message's id."""
        with self.lock:
            self.counter += 1
            message = f"cmsg_{self.counter:026d}"
            job = job or f"job_{self.counter:026d}"
            kind = kind or ("user_message_v1" if job in self.jobs else "start_conversation_v1")
            record = {"id": message, "type": kind, "created_at": "2026-04-01T10:00:00Z",
                      "payload": {"job_id": job, "message": prompt, "message_link": "",
                                  "processed_message_id": message, **payload}}
            self.jobs.setdefault(job, {"id": job, "job_type": "api", "mode": "execute",
                                       "title": None, "messages": []})
            self.jobs[job]["messages"].append(record)
            self.lock.notify_all()
        return message

    def put(self, *jobs):
        """Puts job objects of any shape into every listing from now on."""
        with self.lock:
            for job in jobs:
                self.counter += 1
                self.jobs[f"raw {self.counter}"] = job
                self.given.difference_update(self._open_messages())
            self.lock.notify_all()

    def fault(self, endpoint, *faults):
        """Plays these at the next requests of the endpoint, one each."""
        with self.lock:
            self.faults[endpoint] += faults

    def kick(self):
        """Answers polls that wait at once, though there is nothing new."""
        with self.lock:
            self.kicks += 1
            self.lock.notify_all()

    # what tests ask it

    def wait(self, condition, timeout_s=30, what="the condition"):
        """Waits until condition() gives something true, which is returned."""
        deadline = time.monotonic() + timeout_s
        with self.lock:
            while True:
                value = condition()
                if value:
                    return value
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"waited {timeout_s} s for {what}; the last requests: "
                                         f"{self.requests[-10:]}")
                self.lock.wait(left)

    def wait_played(self, fault, timeout_s=30):
        """Waits until the fault has met a request, which is returned."""
        return self.wait(lambda: next((r for r in self.requests if r.fault is fault), None),
                         timeout_s, f"{fault} to be played")

    def terminal(self, message):
        """The terminal replies to a message that were accepted (there should be one)."""
        return [envelope for envelope in self.accepted if envelope["type"] in TERMINAL
                and envelope["payload"]["processed_message_id"] == message]

    def wait_reply(self, message, timeout_s=30):
        """Waits for the terminal reply and the ack; returns the reply, which is the only one."""
        self.wait(lambda: self.terminal(message), timeout_s, f"the reply to {message}")
        self.wait(lambda: message in self.acked, timeout_s, f"the ack of {message}")
        replies = self.terminal(message)
        assert len(replies) == 1, replies
        return replies[0]

    def of(self, endpoint):
        with self.lock:
            return [request for request in self.requests if request.endpoint == endpoint]

    # the server

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        talk = connection
        try:
            if self.tls:
                talk = self.tls.wrap_socket(connection, server_side=True)
                with self.lock:
                    self.connections.add(talk)
            with talk.makefile("rb") as stream:
                while self._serve_one(talk, stream):
                    pass
        except (OSError, ssl.SSLError, ValueError):
            pass  # the client went away, or the test is over
        finally:
            talk.close()
            with self.lock:
                self.connections.discard(connection)
                self.connections.discard(talk)

    def _serve_one(self, connection, stream):
        line = stream.readline(65536)
        if not line:
            return False
        method, path, _ = line.decode().split(" ", 2)
        headers = http.client.parse_headers(stream)
        request = Request(method, path, headers, stream.read(int(headers.get("Content-Length", 0))))
        fault = self._record(request)
        good = self._carry_out(request) if fault is None or fault.taken else answer(200, {})
        if fault is None:
            connection.sendall(good)
            return True
        self._play(connection, fault, good)
        return False

    def _record(self, request):
        with self.lock:
            waiting = self.faults.get(request.endpoint)
            request.fault = waiting.pop(0) if waiting else None
            self.requests.append(request)
            self.lock.notify_all()
            return request.fault

    def _play(self, connection, fault, good):
        parts = list(fault.parts)
        while parts:
            part = parts.pop(0)
            if part is HOLD:
                connection.settimeout(600)
                while connection.recv(65536):
                    pass
            elif part is RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif part is GOOD:
                connection.sendall(good)
            elif callable(part):
                parts = list(part(good)) + parts
            elif isinstance(part, bytes):
                connection.sendall(part)
            else:
                time.sleep(part)  # nap: the peer is told to be slow

    def _carry_out(self, request):
        if request.headers.get("Authorization") != f"Bearer {self.agent_key}":
            return answer(401, {"error": "invalid agent key"})
        with self.lock:
            try:
                if request.endpoint == "poll":
                    return self._poll(request)
                if request.endpoint in ("reply", "notice"):
                    return self._submit(request.json)
                if request.endpoint == "ack":
                    return self._ack(request.path.split("/")[-2])
                return answer(404, {"error": "no such path"})
            finally:
                self.lock.notify_all()

    def _poll(self, request):
        prefer = request.headers.get("Prefer", "")
        headers = []
        if self.long_poll and prefer.startswith("wait="):
            deadline = time.monotonic() + int(prefer[5:])
            kicks = self.kicks
            while not self._has_new() and kicks == self.kicks and not self.stopping:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self.lock.wait(left)
            headers.append(f"Preference-Applied: {prefer}")
        self.given.update(self._open_messages())
        return answer(200, {"jobs": list(self.jobs.values())}, "application/json",
                      f"Date: {in_seconds(0)}", *headers)

    def _open_messages(self):
        return [record["id"] for job in self.jobs.values() if isinstance(job, dict)
                for record in (job.get("messages") or [])
                if isinstance(record, dict) and isinstance(record.get("id"), str)]

    def _has_new(self):
        return any(message not in self.given for message in self._open_messages())

    def _submit(self, envelope):
        if envelope["id"] not in [known["id"] for known in self.accepted]:
            self.accepted.append(envelope)
        return answer(200, {})

    def _ack(self, message):
        for name, job in list(self.jobs.items()):
            if isinstance(job, dict) and isinstance(job.get("messages"), list):
                left = [record for record in job["messages"]
                        if not isinstance(record, dict) or record.get("id") != message]
                if job["messages"] and not left:
                    del self.jobs[name]
                job["messages"] = left
        self.acked.append(message)
        return answer(200, {})
