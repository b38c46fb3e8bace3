"""A web server for tests."""

import http.server
import threading


class Server:
    """An HTTP server that keeps what it was asked: (line, headers, body).

    server.answers["/path"] = (200, b"...")      # or a function of the body that gives the two
    """

    def __init__(self, tls=None):
        seen = self.seen = []
        answers = self.answers = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.headers.get("Transfer-Encoding") == "chunked":
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                seen.append((self.requestline, dict(self.headers), body))
                reply = b"x" * int(self.path[6:]) if self.path.startswith("/size/") else b"hello"
                found = answers.get(self.path, (200, reply))
                status, reply = found(body) if callable(found) else found
                self.send_response(status)
                if reply.startswith((b"{", b"[")):
                    self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def paths(self):
        """Of what it was asked, oldest first."""
        return [line.split()[1] for line, _, _ in self.seen]

    def end(self):
        self.server.shutdown()
        self.thread.join(10)
        self.server.server_close()
