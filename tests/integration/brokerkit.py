"""An upstream of brokers, TLS or not, on loopback, whose every answer the test says.

    upstream = Upstream(certificate)       # or Upstream(None) for one in the clear
    upstream.answer = lambda request, client: client.sendall(b"HTTP/1.1 200 OK\\r\\n...")
"""

import contextlib
import json
import socket
import ssl
import subprocess
import threading

KEY = "sk-real-0123456789abcdef"


def make_certificate(folder, *names):
    """A key and a certificate of its own; a file with both, and one with the latter."""
    key, cert, both = (folder / f"{names[0]}.{kind}" for kind in ("key", "crt", "pem"))
    alternatives = ",".join(("IP:" if name[0].isdigit() else "DNS:") + name for name in names)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert,
                    "-days", "2", "-subj", "/CN=test", "-addext",
                    f"subjectAltName={alternatives}"], check=True, capture_output=True)
    both.write_text(key.read_text() + cert.read_text())
    return both, cert


class Request:
    """What came: line, headers (a list of pairs, names in lower case) and body."""

    def __init__(self, file):
        self.line = file.readline().decode("latin-1").rstrip("\r\n")
        self.headers = []
        while (line := file.readline().decode("latin-1").rstrip("\r\n")):
            name, _, value = line.partition(":")
            self.headers.append((name.lower(), value.strip()))
        self.body = b""
        if self.get("transfer-encoding") == ["chunked"]:
            while size := int(file.readline(), 16):
                self.body += file.read(size)
                file.readline()
            file.readline()
        else:
            self.body = file.read(int((self.get("content-length") or ["0"])[0]))

    def get(self, name):
        return [value for found, value in self.headers if found == name]


def plain(status, body, *headers):
    """A whole answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Upstream:
    def __init__(self, certificate):
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate)
        self.seen = []
        self.lost = threading.Event()  # some connection ended before its answer did
        self.answer = lambda request, client: client.sendall(plain("200 OK", json.dumps(
            [request.line, request.headers, len(request.body)]).encode()))
        self.server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.server.getsockname()[1]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(client,), daemon=True).start()

    def _one(self, client):
        with contextlib.suppress(OSError, ValueError), client:
            client.settimeout(60)
            if self.context:
                client = self.context.wrap_socket(client, server_side=True)
            request = Request(client.makefile("rb"))
            self.seen.append(request)
            self.answer(request, client)
            if self.context:
                client.unwrap()

    def end(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
