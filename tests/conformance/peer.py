"""A control plane that plays a script: the agents API, and anything else for any request.

It listens on 127.0.0.1 on a port that the kernel chooses, and on a second one as a proxy, one
thread a connection. Nothing is kept over its end. What is played, is a Play: see README.md.
"""

import http.client
import json
import re
import socket
import ssl
import struct
import threading
import time

import deadwire

from casefile import CaseError, expand, member, raw, unescape
from plane import Plane
from wire import Request, Silence, Talk, Unread, answer, reframe

ENDPOINTS = ("poll", "processing", "progress", "complete", "reply", "ack", "upload", "download",
             "connect", "accept", "token", "env", "artifacts", "open", "get", "post")
PAGE = "<!DOCTYPE html><html><body><h1>Sign in to this network</h1></body></html>"


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


class Peer(Plane):
    proc = None  # it runs in the process of the tests

    def __init__(self, slug="test-agent", long_poll=True, tls=None):
        super().__init__(slug, long_poll)
        self.tls = tls  # an ssl.SSLContext
        self.requests = []
        self.plays = []
        self.hanging = set()  # endpoints that answer nothing
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

    def arm(self, play):
        with self.lock:
            self.plays.append(play)

    def forget(self):
        """Nothing of the case before is listed or armed any more."""
        with self.lock:
            super().forget()
            self.hanging.clear()
            self.plays.clear()
            self.requests.clear()

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
        with self.channel.flight(request):
            return self._answer(talk, request, play)

    def _answer(self, talk, request, play):
        if request.endpoint in self.hanging:
            self._hold(talk.sock)
            return False
        if play is None or play.takes:
            good = self.carry_out(request, talk)
        else:
            good = answer(200, {})
        if play is None:
            with self.lock:  # nothing leaves on a dead wire
                self.lock.wait_for(lambda: not self.is_cut or self.stopping)
            self.channel.landed(request)
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
            self.channel.arrived(request)
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
                    self.channel.landed(request)
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
            self.channel.landed(request)
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
        if detail.word == "packets":
            return answer(200, unescape(self._text(detail.rest)), "text/plain; charset=UTF-8")
        return raw(detail, self.names)

    def _do(self, connection, detail, request, good):
        if detail.word in ("drip", "trickle"):
            self.channel.landed(request)
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
            self._hold(connection)
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

    def _hold(self, connection):
        """Until the client goes away."""
        connection.settimeout(120)
        while connection.recv(65536):
            pass

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
