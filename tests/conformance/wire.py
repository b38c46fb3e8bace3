"""Requests and answers as the peer reads and writes them, and what it can tell of a connection."""

import email.utils
import gzip
import http.client
import json
import re
import select
import socket
import struct
import time
import urllib.parse

from casefile import CaseError

TERMINAL = ("assistant_message_v1", "system_message_v1")
DOCUMENTS = ("/api/agents/token", "/api/agents/env", "/api/agents/artifacts")
CHANNEL = ("/socket.io/", "/socketio/")
NAMES = {"processing_message_v1": "processing", "agent_progress_v1": "progress",
         "job_complete_v1": "complete"}


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
        self.query = dict(urllib.parse.parse_qsl(path.partition("?")[2]))
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
        return None  # of none, or of a job: complete

    @property
    def is_of_channel(self):
        return self.endpoint in ("open", "get", "post")

    def _endpoint(self):
        if self.method == "CONNECT":
            return "connect"
        if self.path.partition("?")[0] in CHANNEL:
            return self.method.lower() if "sid" in self.query else "open"
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
