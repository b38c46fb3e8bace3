"""A control plane that plays a script: the agents API, and anything else for any request.

It listens on 127.0.0.1 on a port that the kernel chooses, and on a second one as a proxy, one
thread a connection. Nothing is kept over its end. What is played, is a Play: see README.md.
"""

import base64
import email.utils
import gzip
import http.client
import json
import re
import select
import socket
import ssl
import struct
import threading
import time
import urllib.parse

import deadwire

from casefile import CaseError, expand, member, raw, unescape

TERMINAL = ("assistant_message_v1", "system_message_v1")
ENDPOINTS = ("poll", "processing", "progress", "reply", "ack", "upload", "download", "connect",
             "accept", "token", "env", "artifacts")
PAGE = "<!DOCTYPE html><html><body><h1>Sign in to this network</h1></body></html>"
DOCUMENTS = ("/api/agents/token", "/api/agents/env", "/api/agents/artifacts")
NAMES = {"processing_message_v1": "processing", "agent_progress_v1": "progress"}


def http_date(seconds):
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


def answer(status, body=b"", kind="application/json", headers=()):
    """The bytes of a well-formed answer."""
    if not isinstance(body, bytes):
        body = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Odd')}"]
    if kind:
        lines.append(f"Content-Type: {kind}")
    if status != 204:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def reframe(good, how):
    """The good answer, framed in another way."""
    head, body = good.split(b"\r\n\r\n", 1)
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    if how == "chunked":  # each byte a chunk of its own, and a trailer
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
        return b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", b""]) + chunks + \
            b"0\r\nX-Trailer: 1\r\n\r\n"
    if how == "to-the-end":  # RFC 9112 s6.3: without a length it ends with the connection
        return b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body
    if how == "1.0":
        return b"\r\n".join([lines[0].replace(b"1.1", b"1.0"), *lines[1:], b"", b""]) + body
    if how == "gzip":
        packed = gzip.compress(body)
        return b"\r\n".join([*lines, b"Content-Encoding: gzip",
                             b"Content-Length: %d" % len(packed), b"", b""]) + packed
    raise CaseError(f"there is no way '{how}' to send the good answer")


class Silence(Exception):
    """The connection stays as it is: its client hears no more of it."""


class Unread:
    """What the client has yet to read of what was sent to it: its socket is on this machine.

    sock_diag(7): one struct inet_diag_req_v2 asks for one socket, and the answer is a struct
    inet_diag_msg with its receive queue.
    """

    def __init__(self, connection):
        (here, port), (there, client) = connection.getsockname(), connection.getpeername()
        ends = struct.pack("!HH4s12x4s12x", client, port, socket.inet_aton(there),
                           socket.inet_aton(here)) + struct.pack("=III", 0, 0xffffffff, 0xffffffff)
        ask = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0xffffffff) + ends
        self.ask = struct.pack("=IHHII", 16 + len(ask), 20, 1, 1, 0) + ask
        self.netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)  # NETLINK_SOCK_DIAG
        self.netlink.bind((0, 0))

    def bytes(self):
        """0 also where the socket is no more."""
        self.netlink.send(self.ask)
        answer = self.netlink.recv(4096)
        kind = struct.unpack_from("=H", answer, 4)[0]
        return struct.unpack_from("=I", answer, 16 + 56)[0] if kind == 20 else 0

    def wait(self):
        while self.bytes():
            select.select([], [], [], 0.001)  # poll

    def close(self):
        self.netlink.close()


class Talk:
    """A connection: the socket, under TLS once that was agreed on, and what was read ahead."""

    def __init__(self, sock):
        self.sock = sock
        self.ahead = b""

    def until(self, end):
        """What comes up to and with these bytes; None if the client ends before."""
        while end not in self.ahead:
            if not self._more():
                return None
        head, _, self.ahead = self.ahead.partition(end)
        return head + end

    def exactly(self, count):
        data, self.ahead = bytearray(self.ahead[:count]), self.ahead[count:]
        while len(data) < count:
            part = self.sock.recv(min(1 << 20, count - len(data)))
            if not part:
                return None
            data += part
        return bytes(data)

    def _more(self):
        part = self.sock.recv(1 << 16)
        self.ahead += part
        return bool(part)

    def is_gone(self):
        """Whether the client has ended the connection (or sent what nobody asked for)."""
        readable, _, _ = select.select([self.sock], [], [], 0)
        return bool(readable)


class Request:
    def __init__(self, method, path, version, headers, body, via):
        self.method = method
        self.path = path
        self.version = version
        self.headers = headers
        self.body = body
        self.via = via  # proxy or direct
        self.play = None
        self.accepted = False
        self.endpoint = self._endpoint()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def message(self):
        """The message that it is about."""
        if self.endpoint == "ack":
            return self.path.split("/")[-2]
        if self.endpoint in ("reply", "processing", "progress"):
            return self.json["payload"]["processed_message_id"]
        return None

    def _endpoint(self):
        if self.method == "CONNECT":
            return "connect"
        if (self.method, self.path) == ("GET", "/api/agents/jobs"):
            return "poll"
        if (self.method, self.path) == ("POST", "/api/agents/messages"):
            return "reply" if self.json["type"] in TERMINAL else NAMES[self.json["type"]]
        if (self.method, self.path) == ("POST", "/api/agents/attachments"):
            return "upload"
        if self.method == "POST" and re.fullmatch("/api/agents/messages/[^/]+/ack", self.path):
            return "ack"
        if self.method == "GET" and re.fullmatch("/api/agents/attachments/[^/]+", self.path):
            return "download"
        if self.method == "GET" and self.path in DOCUMENTS:
            return self.path.split("/")[-1]
        return "other"

    def __repr__(self):
        return f"<{self.endpoint} {self.message or ''} {self.play or ''}>"


class Play:
    """An `at` step: what is asked of one request, and what is done instead of an answer."""

    def __init__(self, step):
        self.endpoint = step.rest
        self.step = step
        self.played = False
        self.begun = False
        self.takes = any(d.word in ("take", "good") or (d.word, d.rest) == ("drip", "")
                         for d in step.details)
        if self.endpoint not in ENDPOINTS:
            raise CaseError(f"{step}: no such endpoint; there are {', '.join(ENDPOINTS)}")

    def __repr__(self):
        return f"({self.step})"


class Peer:
    proc = None  # it runs in the process of the tests

    def __init__(self, slug="test-agent", long_poll=True, tls=None):
        self.slug = slug
        self.agent_key = "nairid_" + "0123456789abcdef" * 3
        self.valid_key = self.agent_key
        self.long_poll = long_poll
        self.tls = tls  # an ssl.SSLContext
        self.lock = threading.Condition()
        self.requests = []
        self.plays = []
        self.complaints = []
        self.jobs = {}        # job id -> {"id", "messages": [...]}, or anything that was listed raw
        self.job_of = {}      # message id -> job id
        self.fresh = set()    # ids of messages that no poll has listed
        self.replies = {}     # message id -> the terminal envelopes that were accepted, by id
        self.envelopes = set()
        self.uploads = {}     # attachment id -> (its name, its contents)
        self.acked = {}       # message id -> how often
        self.documents = {}   # path below /api/agents/ -> what is answered: JSON, or a status
        self.gone = {}        # message id -> its job, which was unlisted
        self.files = {}       # attachment id -> its bytes, or a function that answers on a socket
        self.held = None      # the long poll that waits
        self.counter = 0
        self.kicked = False   # the next long poll is answered at once
        self.stopping = False
        self.is_cut = False   # the wire to us is dead
        self.silent = []      # connections that stay open to the end, as the client sees them
        self.connections = set()
        self.listeners = []
        self.port = self.proxy_port = 0
        self.certificate = None  # a function from a certificate's name to an ssl.SSLContext
        self.names = None     # of a case: a function for expand()
        self.event = None     # of a case: whether what a `wait` names has come
        self.up()

    # its life

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def proxy_url(self):
        return f"http://127.0.0.1:{self.proxy_port}"

    def _listen(self, port, via):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        self.listeners.append(listener)
        threading.Thread(target=self._accept, args=(listener, via), daemon=True).start()
        return listener.getsockname()[1]

    def up(self):
        """Listens (again, on the same ports)."""
        self.port = self._listen(self.port, "direct")
        self.proxy_port = self._listen(self.proxy_port, "proxy")

    def down(self):
        """Refuses connections, and closes those that are open."""
        for listener in self.listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.listeners.clear()
        with self.lock:
            connections = list(self.connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        """From now on nothing comes through, either way."""
        with self.lock:
            self.is_cut = True
            for sock in [*self.listeners, *self.connections]:
                deadwire.cut(sock)

    def mend(self):
        with self.lock:
            for sock in [*self.listeners, *self.connections]:
                deadwire.mend(sock)
            self.is_cut = False
            self.lock.notify_all()

    def end(self):
        with self.lock:
            self.stopping = True
            self.lock.notify_all()
        self.down()
        for sock in self.silent:
            sock.close()

    # what cases tell it

    def give(self, prompt, job=None, record=None, payload=None, fields=None):
        """Puts a message into a job (a new one unless named); returns the message's id."""
        with self.lock:
            self.counter += 1
            message = f"cmsg_{self.counter:026d}"
            job = job or f"job_{self.counter:026d}"
            kind = "user_message_v1" if job in self.jobs else "start_conversation_v1"
            self.jobs.setdefault(job, {"id": job, "job_type": "api", "mode": "execute",
                                       "title": None, "messages": []}).update(fields or {})
            self.jobs[job]["messages"].append(
                {"id": message, "type": kind, "created_at": "2026-04-01T10:00:00Z",
                 "payload": {"job_id": job, "message": prompt, "message_link": "",
                             "processed_message_id": message, **(payload or {})}, **(record or {})})
            self.job_of[message] = job
            self.fresh.add(message)
            self.lock.notify_all()
        return message

    def attach(self, data):
        """Keeps a file for whoever asks; returns what a payload names it by."""
        with self.lock:
            self.counter += 1
            self.files[f"att_{self.counter:026d}"] = data
            return {"attachment_id": f"att_{self.counter:026d}"}

    def list_raw(self, job):
        """Puts anything into every listing from now on."""
        with self.lock:
            self.counter += 1
            self.jobs[f"raw {self.counter}"] = job

    def change(self, message, fields):
        """Changes the message's job, and wakes polls."""
        with self.lock:
            self.jobs[self.job_of[message]].update(fields)
            self.kicked = True
            self.lock.notify_all()

    def unlist(self, message):
        """The message's job is another daemon's, from now on."""
        with self.lock:
            self.gone[message] = self.jobs.pop(self.job_of[message])

    def relist(self, message, fields):
        """The message's job is listed again, with these changes."""
        with self.lock:
            job = self.gone.pop(message)
            job.update(fields)
            self.jobs[job["id"]] = job
            self.fresh.update(record["id"] for record in job["messages"])
            self.lock.notify_all()

    def forget(self):
        """Nothing of the case before is listed or armed any more."""
        with self.lock:
            self.jobs.clear()
            self.files.clear()
            self.fresh.clear()
            self.plays.clear()
            self.requests.clear()
            self.complaints.clear()

    def arm(self, play):
        with self.lock:
            self.plays.append(play)

    def revoke(self):
        """The daemon's key is not valid any more."""
        self.valid_key = None

    def kick(self):
        """Answers polls that wait at once, though there is nothing new."""
        with self.lock:
            self.kicked = True
            self.lock.notify_all()

    # what tests ask it

    def wait_reply(self, message, timeout_s=30):
        """Waits for the terminal reply and the ack; returns the reply, which is the only one."""
        with self.lock:
            done = self.lock.wait_for(
                lambda: self.replies.get(message) and self.acked.get(message), timeout_s)
        assert done, f"waited {timeout_s} s for the reply to {message}: {self.requests[-10:]}"
        assert len(self.replies[message]) == 1, self.replies[message]
        return self.replies[message][0]

    # the server

    def _accept(self, listener, via):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections.add(connection)
            threading.Thread(target=self._serve, args=(connection, via), daemon=True).start()

    def _serve(self, connection, via):
        talk = Talk(connection)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            play = self._next_play("accept")
            if play:
                self._play(connection, play, None, b"")
                return
            if via == "direct":
                self._secure(talk)
            while self._serve_one(talk, via):
                pass
        except (OSError, ssl.SSLError):
            pass  # the client went away, or the test is over
        except Silence:
            self.silent.append(talk.sock)
            return
        except Exception as error:  # a case or a request that makes no sense: shown by the case
            self._complain(f"{type(error).__name__}: {error}")
        finally:
            if talk.sock not in self.silent:
                talk.sock.close()
                connection.close()
            with self.lock:
                self.connections -= {connection, talk.sock}

    def _secure(self, talk):
        if self.tls:
            talk.sock = self.tls.wrap_socket(talk.sock, server_side=True)
            with self.lock:
                self.connections.add(talk.sock)

    def _complain(self, text):
        with self.lock:
            self.complaints.append(text)
            self.lock.notify_all()

    def _serve_one(self, talk, via):
        """One request; whether the connection goes on."""
        request = self._read(talk, via)
        if request is None:
            return False
        play = self._record(request)
        if play is None or play.takes:
            good = self._carry_out(request, talk)
        else:
            good = answer(200, {})
        if play is None:
            with self.lock:  # nothing leaves on a dead wire
                self.lock.wait_for(lambda: not self.is_cut or self.stopping)
            if callable(good):
                good(talk.sock)
            else:
                talk.sock.sendall(good)
            if request.endpoint == "connect":
                self._secure(talk)
            return True
        return self._play(talk.sock, play, request, good)

    def _read(self, talk, via):
        head = talk.until(b"\r\n\r\n")
        if head is None:
            return None
        line, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, target, version = line.split(" ")
        headers = http.client.HTTPMessage()
        for text in lines:
            name, _, value = text.partition(":")
            headers[name] = value.strip()
        body = talk.exactly(int(headers.get("Content-Length", 0)))
        if body is None:
            return None
        if target.startswith("http://"):  # as a proxy is asked
            target = "/" + target.split("/", 3)[3]
        return Request(method, target, version, headers, body, via)

    def _next_play(self, endpoint):
        with self.lock:
            for play in self.plays:
                if not play.begun and play.endpoint == endpoint:
                    play.begun = True
                    return play
        return None

    def _record(self, request):
        request.play = self._next_play(request.endpoint)
        with self.lock:
            self.requests.append(request)
            if request.endpoint == "poll":
                self.held = None
            self.lock.notify_all()
        return request.play

    # what is played

    def _play(self, connection, play, request, good):
        """Whether the connection goes on."""
        pending = None  # an answer whose headers are still being added to
        ready = b""  # goes out at once: what stands behind an answer comes along with it
        goes_on = False
        try:
            for detail in play.step.details:
                if pending and detail.word != "with":
                    ready += answer(*pending)
                    pending = None
                data = self._bytes(detail, good)
                if data is not None:
                    ready += data
                    continue
                if ready and detail.word != "with":
                    connection.sendall(ready)
                    ready = b""
                if detail.word in ("answer", "page"):
                    pending = self._begin_answer(detail)
                elif detail.word == "with":
                    pending[3].append(self._text(detail.rest))
                elif detail.word == "keep":
                    goes_on = True
                else:
                    self._do(connection, detail, request, good)
            connection.sendall(ready + (answer(*pending) if pending else b""))
        finally:
            with self.lock:
                play.played = True
                self.lock.notify_all()
        return goes_on

    def _text(self, text):
        return expand(text, self.names)

    def _begin_answer(self, detail):
        status, _, body = self._text(detail.rest).partition(" ")
        if detail.word == "page":
            return int(status), body or PAGE, "text/html; charset=utf-8", []
        return int(status), unescape(body), "application/json" if body else None, []

    def _bytes(self, detail, good):
        """What the detail sends, if that is all it does."""
        if detail.word == "good":
            return self._good(good, detail.rest)
        return raw(detail, self.names)

    def _do(self, connection, detail, request, good):
        if detail.word == "drip":
            self._drip(connection, unescape(self._text(detail.rest)) if detail.rest else good)
        elif detail.word == "trickle":
            count, _, text = self._text(detail.rest).partition(" ")
            self._drip(connection, unescape(text) * int(count))
        elif detail.word == "want":
            self._check(request, self._text(detail.rest), detail)
        elif detail.word == "wait":
            self._wait(self._text(detail.rest))
        elif detail.word == "drained":
            unread = Unread(connection)
            unread.wait()
            unread.close()
        elif detail.word == "hold":
            connection.settimeout(120)
            while connection.recv(65536):
                pass
        elif detail.word == "half":
            connection.shutdown(socket.SHUT_WR)
        elif detail.word == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif detail.word == "cut":
            deadwire.cut(connection)
            raise Silence
        elif detail.word == "vanish":
            deadwire.vanish(connection)
            raise Silence
        elif detail.word == "unlist":
            self.unlist(self.names(detail.rest))
        elif detail.word == "certificate":
            self.tls = self.certificate(detail.rest)
        elif detail.word == "revoke":
            self.revoke()
        elif detail.word not in ("take", "close"):
            raise CaseError(f"{detail}: the peer can't do that")

    def _good(self, good, how):
        if not how:
            return good
        if how.startswith("with "):  # a header more, or another value for it
            name, _, value = unescape(self._text(how[5:])).decode().partition(": ")
            head, body = good.split(b"\r\n\r\n", 1)
            lines = [line for line in head.split(b"\r\n")
                     if not line.lower().startswith(name.lower().encode() + b":")]
            return b"\r\n".join([*lines, f"{name}: {value}".encode(), b"", b""]) + body
        return reframe(good, how)

    def _drip(self, connection, data):
        """Byte by byte, each once the client has read the one before."""
        unread = Unread(connection)
        try:
            for i in range(len(data)):
                connection.sendall(data[i:i + 1])
                unread.wait()
        finally:
            unread.close()

    def _wait(self, event, timeout_s=30):
        deadline = time.monotonic() + timeout_s
        while not self.event(event):
            if time.monotonic() > deadline:
                raise CaseError(f"the peer waited {timeout_s} s for: {event}")
            with self.lock:
                self.lock.wait(0.02)

    def _check(self, request, text, detail):
        """want [no] header NAME[: REGEX] | want field PATH: JSON | want body REGEX |
        want method|path|via TEXT"""
        what, _, rest = text.partition(" ")
        absent = what == "no"
        if absent:
            what, _, rest = rest.partition(" ")
        name, _, value = rest.partition(": ")
        if what == "header":
            got = request.headers.get_all(name) or []
            good = not got if absent else len(got) == 1 and re.fullmatch(value or ".*", got[0])
        elif what == "field":
            got = member(request.json, name)
            good = got is None if absent else got == json.loads(value)
        elif what == "body":
            got = request.body
            good = bool(re.search(rest.encode(), got, re.S)) != absent
        elif what in ("method", "path", "version", "via"):
            got = getattr(request, what)
            good = re.fullmatch(rest, got)
        else:
            raise CaseError(f"{detail}: the peer can't want that")
        if not good:
            self._complain(f"{detail}: but it is {got!r}")

    # the control plane

    def _carry_out(self, request, talk):
        if request.endpoint == "connect":
            return b"HTTP/1.1 200 Connection established\r\n\r\n"
        if request.headers.get("Authorization") != f"Bearer {self.valid_key}":
            return answer(401, {"error": "invalid agent key"})
        with self.lock:
            try:
                if request.endpoint == "poll":
                    return self._poll(request, talk)
                if request.endpoint == "ack":
                    return self._ack(request)
                if request.endpoint == "upload":
                    return self._upload(request)
                if request.endpoint in ("reply", "processing", "progress"):
                    return self._submit(request)
                if request.endpoint == "download" and self._is_file(request):
                    return self._download(request)
                return self._document(request)
            finally:
                self.lock.notify_all()

    def _is_file(self, request):
        return request.path.removeprefix("/api/agents/") not in self.documents

    def _document(self, request):
        document = self.documents.get(request.path.removeprefix("/api/agents/"), 404)
        if isinstance(document, int):
            return answer(document, {"error": "no such path"})
        return answer(200, document)

    def provide(self, name, document):
        """What the daemon gets for GET /api/agents/NAME: JSON, or a status."""
        with self.lock:
            self.documents[name] = document

    def provide_file(self, attachment, data):
        """An attachment's bytes; its id."""
        self.provide(f"attachments/{attachment}",
                     {"id": attachment, "data": base64.b64encode(data).decode()})
        return attachment

    def _poll(self, request, talk):
        prefer = request.headers.get("Prefer", "")
        headers = [f"Date: {http_date(0)}"]
        if self.long_poll and prefer.startswith("wait="):
            deadline = time.monotonic() + int(prefer[5:])
            self.held = request
            self.lock.notify_all()
            while (not self.fresh and not self.kicked or self.is_cut) and not self.stopping:
                left = deadline - time.monotonic()
                if left <= 0 or talk.is_gone():
                    break
                self.lock.wait(min(left, 0.5))
            if self.held is request:
                self.held = None
            if talk.is_gone():  # nothing is handed to who isn't there
                return answer(200, {"jobs": []})
            headers.append(f"Preference-Applied: {prefer}")
        self.fresh.clear()
        self.kicked = False
        return answer(200, {"jobs": list(self.jobs.values())}, "application/json", headers)

    def _download(self, request):
        name = urllib.parse.unquote(request.path.rsplit("/", 1)[1])
        data = self.files.get(name)
        if data is None:
            return answer(404, {"error": "attachment not found"})
        return data if callable(data) else \
            answer(200, {"id": name, "data": base64.b64encode(data).decode()})

    def _submit(self, request):
        envelope = request.json
        request.accepted = True
        if envelope["id"] not in self.envelopes:
            self.envelopes.add(envelope["id"])
            if request.endpoint == "reply":
                self.replies.setdefault(request.message, []).append(envelope)
        return answer(200, {"stored": True})

    def _upload(self, request):
        boundary = request.headers["Content-Type"].partition("boundary=")[2].encode()
        head, _, rest = request.body.partition(b"\r\n\r\n")
        end = b"\r\n--" + boundary + b"--\r\n"
        named = re.fullmatch(b"--" + boundary + b"\r\nContent-Disposition: form-data; name=\"file\"; "
                             b"filename=\"([^\"\r\n]*)\"\r\nContent-Type: [^\r\n]*", head)
        if not named or not rest.endswith(end) or request.body.count(b"--" + boundary) != 2:
            raise CaseError(f"no form with one part 'file': {request.body[:200]!r}")
        self.counter += 1
        attachment = f"att_{self.counter:026d}"
        self.uploads[attachment] = (named[1].decode(), rest[:-len(end)])
        return answer(201, {"attachment_id": attachment})

    def _ack(self, request):
        message = request.message
        job = self.jobs.get(self.job_of.get(message))
        request.accepted = True
        if job:
            job["messages"] = [record for record in job["messages"] if record["id"] != message]
            if not job["messages"]:
                del self.jobs[job["id"]]
        self.fresh.discard(message)
        self.acked[message] = self.acked.get(message, 0) + 1
        return answer(200, {"stored": True})
