"""Brokers: what a task asks of an API whose key it hasn't, and what it gains by asking otherwise.

The API is the test's own, on loopback.
"""

import json
import os
import signal
import socket
import textwrap
import threading
import time

import pytest

import boxkit
from brokerkit import KEY, Upstream, make_certificate, plain
from claudekit import make_claude, model, program  # noqa: F401: fixtures
from daemonkit import files_below
from hubkit import wait_until
from processes import descendants, reap_orphans
from test_egress import Uplink, serving, status

BASE = "http://127.0.0.1:808"


@pytest.fixture
def certificate(tmp_path):
    os.chmod(tmp_path, 0o755)
    return make_certificate(tmp_path, "127.0.0.1", "model.test")


@pytest.fixture
def upstream(certificate):
    upstream = Upstream(certificate[0])
    yield upstream
    upstream.end()


class Done(boxkit.Done):
    def __init__(self, process):
        super().__init__(process)
        assert KEY not in self.out + self.err


class Box(boxkit.Box):
    """Commands in the sandbox that have brokers."""

    done = Done

    def __init__(self, account, certificate):
        super().__init__(account)
        self.key = account.write(account.mkdir("keys") + "/model", KEY + "\n")
        self.ca = account.write(account.mkdir("ca") + "/ca.pem", certificate[1].read_text())
        self.config = account.mkdir("config") + "/nairid.yaml"

    def configure(self, upstream, mode="none", **more):
        """One broker, called own, for that upstream; more: of its keys, or server={...}."""
        server = more.pop("server", {})
        broker = {"name": "own", "upstream": upstream if isinstance(upstream, str) else upstream.url,
                  "key": {"file": self.key}, "header": "x-api-key", "ca_file": self.ca,
                  "methods": ["GET", "POST", "HEAD"], "paths": ["/v1/messages", "/v1/models/*"]}
        broker.update(more)
        settings = {"agent": {"id": "a"}, "broker": [{key: value for key, value in broker.items()
                                                      if value is not None}],
                    "runner": {"name": "command", "argv": ["sh"]},
                    "sandbox": {"network": {"mode": mode}}, "server": server}
        self.account.write(self.config, json.dumps(settings))

    def popen(self, *command, flags=(), **kwargs):
        return self.start(["-c", self.config, *flags], command, **kwargs)

    def ask(self, *requests, **kwargs):
        """Sends each of the byte strings; returns the answers, by their order."""
        done = self.python(f"""
            import json, socket
            answers = []
            for request in {list(requests)!r}:
                with socket.create_connection(("127.0.0.1", 808)) as s:
                    s.settimeout(40)
                    answer = b""
                    try:
                        s.sendall(request)
                        while piece := s.recv(65536):
                            answer += piece
                    except OSError as e:
                        answer += repr(e).encode()
                    answers.append(answer.decode("latin-1"))
            print(json.dumps(answers))
            """, **kwargs)
        assert done.code == 0, done.err
        done.answers = json.loads(done.out)
        return done


@pytest.fixture
def box(request, certificate):
    account = "account" if "account" in request.fixturenames else "me"
    yield Box(request.getfixturevalue(account), certificate)
    reap_orphans()
    wait_until(lambda: reap_orphans() or not descendants(), 5,
               lambda: f"these to end: {descendants()}")


def request(line, *headers, body=b""):
    """A request of those lines; Host is added, and Content-Length where there is a body."""
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{line} HTTP/1.1", "Host: 127.0.0.1:808", *length, *headers, "",
                        ""]).encode("latin-1") + body


def body_of(answer):
    return answer.split("\r\n\r\n", 1)[1]


# what is listed


def test_a_listed_request_goes_out_with_the_key_and_nothing_else_does(account, box, upstream):
    box.configure(upstream)
    done = box.run("sh", "-c", f"""
        curl -sS -d '{{"a": 1}}' -H 'x-api-key: mine' {BASE}/own/v1/messages?beta=true; echo
        curl -sS {BASE}/own/v1/models/one; echo
        curl -sS {BASE}/own/v1/files; curl -sS -X DELETE {BASE}/own/v1/messages
        curl -sS {BASE}/other/v1/messages; curl -sS -x {BASE} http://example.org/
        env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>&1 | tr '\\0' '\\n'""")
    [line, headers, length] = json.loads(done.out.splitlines()[0])
    assert (line, length) == ("POST /v1/messages?beta=true HTTP/1.1", 8)
    assert dict(headers)["x-api-key"] == "*" * len(KEY)  # it was shown what came, and sees stars
    [first, second] = upstream.seen
    assert first.get("x-api-key") == [KEY] and first.body == b'{"a": 1}'
    assert first.get("host") == [f"127.0.0.1:{upstream.port}"]
    assert second.line == "GET /v1/models/one HTTP/1.1" and second.get("x-api-key") == [KEY]
    assert done.out.count("which its methods and paths don't list (broker)") == 2
    assert "nairid: there is no broker of that name (broker)" in done.out
    assert "the task wanted example.org:80, which the policy doesn't allow" in done.out
    place = f"127.0.0.1:{upstream.port}"
    assert [line for line in done.err.splitlines() if "task" in line] == [
        f"nairid sandbox: the task asked the broker of {place} for GET /v1/files, which its "
        "methods and paths don't list (broker)",
        "nairid sandbox: the task wanted example.org:80, which the policy doesn't allow "
        "(sandbox.network.allow)"]


def test_what_the_task_sends_for_others_is_left_out(box, upstream):
    box.configure(upstream, header="authorization", scheme="Bearer")
    sent = ["Authorization: Basic mine", "X-Api-Key: mine", "x_api_key: mine", "API-Key: mine",
            "Cookie: a=b", "Forwarded: for=1.2.3.4", "X-Forwarded-Host: evil.test",
            "X_Forwarded_For: 1.2.3.4", "X-Original-URL: /v1/files", "X-Rewrite-URL: /v1/files",
            "X-HTTP-Method-Override: DELETE", "X-Method-Override: DELETE", "Via: 1.1 x",
            "Proxy-Authorization: Basic mine", "Proxy-Connection: keep-alive", "X-Host: evil.test",
            "Connection: x-hop, x-goog-api-key", "X-Hop: 1", "Keep-Alive: 5", "TE: trailers",
            "Upgrade: h2c", "HTTP2-Settings: AAA", "Accept-Encoding: gzip", "Expect: something",
            "X-Real-IP: 1.2.3.4", "Sec-Fetch-Mode: cors", "authorization: Bearer mine"]
    kept = ["Content-Type: application/json", "anthropic-version: 2023-06-01", "X-Stainless-OS: Linux"]
    [answer] = box.ask(request("POST /own/v1/messages", *sent, *kept, body=b"{}")).answers
    assert status(answer) == "200", answer
    [seen] = upstream.seen
    names = {name for name, _ in seen.headers}
    assert names == {"host", "content-type", "anthropic-version", "x-stainless-os", "content-length",
                     "accept-encoding", "connection", "authorization"}
    assert seen.get("authorization") == [f"Bearer {KEY}"]
    assert seen.get("accept-encoding") == ["identity"] and seen.get("connection") == ["close"]


PATHS = ["/own/v1/../v1/messages", "/own/v1/./messages", "/own/v1//messages", "/own//v1/messages",
         "/own/v1/messages/", "/own/v1/models/..", "/own/v1/models/../messages",
         "/own/v1/models/x/../../files", "/own/v1/%6dessages", "/own/v1%2fmessages",
         "/own/v1/models/%2e%2e/files", "/own/v1/models/..%2ffiles", "/own/v1/models/x%00",
         "/own/v1/models/..;/files", "/own/v1/models/x;y", "/own/v1/models/..\\files",
         "/own/v1\\messages", "/own/v1/messages?a=%0d%0aX:%20y", "/own/v1/messages?a=%zz",
         "/own/v1/messages?%", "/own/v1/messages?a=b\\c", "/own/v1/models/caf\xe9",
         "/own/v1/models/\x7f", "/own/v1/messages#x", "/own/v1/models/x\x0b", "/own/v1/models/\t"]
UNLISTED = ["/own/v1/messagesx", "/own/V1/messages", "/own/v1/models", "/own/v1/message", "/own/v1",
            "/own", "/own/", "/own/v1/messages/x", "/own/v1/models*"]
UNKNOWN = ["/", "/ownx/v1/messages", "/Own/v1/messages", "/v1/messages", "/%6fwn/v1/messages",
           "//own/v1/messages", "/../own/v1/messages", "/?/own/v1/messages"]


def test_no_spelling_of_a_path_leads_elsewhere(box, upstream):
    box.configure(upstream)
    tried = {400: PATHS, 403: UNLISTED, 404: UNKNOWN}
    answers = iter(box.ask(*(request("GET " + path) for paths in tried.values()
                             for path in paths)).answers)
    for code, paths in tried.items():
        assert {path: status(next(answers)) for path in paths} == {path: str(code) for path in paths}
    assert upstream.seen == []


def test_requests_that_could_be_read_in_two_ways_are_refused(box, upstream):
    box.configure(upstream)
    good = "POST /own/v1/messages"
    own = f"POST {BASE}/own/v1/messages"
    chunk = "Transfer-Encoding: chunked"
    cases = [
        (request(own, body=b"{}"), "200"),  # as to a proxy, which we are
        (request("GET http://evil.test/own/v1/models/x"), "403"),
        (request("GET http://127.0.0.1:809/own/v1/models/x"), "403"),
        (request("GET http://u@127.0.0.1:808/own/v1/models/x"), "400"),
        (request("GET https://127.0.0.1:808/own/v1/models/x"), "400"),
        (request(f"CONNECT 127.0.0.1:{upstream.port}"), "403"),
        (request("TRACE /own/v1/messages"), "400"),
        (request("post /own/v1/messages"), "403"),
        (request("CONNECT /own/v1/messages"), "400"),
        (request("PUT /own/v1/messages"), "403"),
        (request(good, "Content-Length: 5", chunk), "400"),
        (request(good, "Content-Length: 5", "Content-Length: 6"), "400"),
        (request(good, "Content-Length: 5, 5"), "400"),
        (request(good, "Content-Length: +5"), "400"),
        (request(good, "Transfer-Encoding: gzip, chunked"), "400"),
        (request(good, chunk, chunk), "400"),
        (request(good, "Transfer-Encoding : chunked"), "400"),
        (request(good, "X: a\r\n folded"), "400"),
        (request(good, "X: a\nY: b"), "400"),
        (request(good, "X: a\rY: b"), "400"),
        (request(good, "X: a\0b"), "400"),
        (request(good, "Host: evil.test"), "400"),
        (request(good, "Connection: content-length", body=b"{}"), "400"),
        (b"POST /own/v1/messages HTTP/1.1\nHost: x\n\n", "400"),
        (b"POST /own/v1/messages HTTP/2.0\r\nHost: x\r\n\r\n", "505"),
        (b"POST /own/v1/messages\r\n\r\n", "400"),
        (request(good, "X: " + "y" * 20000), "431"),
        (request(good, chunk) + b"5;ext=1\r\nabcde\r\n0\r\n\r\n", "400"),
        (request(good, chunk) + b"5\nabcde\n0\n\n", "400"),
        (request(good, chunk) + b"0\r\nX-Api-Key: x\r\n\r\n", "400"),
        (request(good, chunk) + b"fffffffffffffffff\r\n", "400"),
    ]
    answers = box.ask(*(sent for sent, _ in cases)).answers
    assert [(sent[:60], status(answer)) for (sent, _), answer in zip(cases, answers)] == [
        (sent[:60], code) for sent, code in cases]
    assert all(len(seen.get("x-api-key")) == 1 for seen in upstream.seen)
    assert {seen.line for seen in upstream.seen} == {"POST /v1/messages HTTP/1.1"}


def test_what_follows_a_request_is_no_second_one(box, upstream):
    box.configure(upstream)
    second = request("DELETE /v1/files") + request("GET /own/v1/models/second")
    done = box.ask(request("POST /own/v1/messages", body=b"{}") + second,
                   request("POST /own/v1/messages", "Transfer-Encoding: chunked") +
                   b"2\r\n{}\r\n0\r\n\r\n" + second)
    assert [status(answer) for answer in done.answers] == ["200", "200"]
    assert [seen.body for seen in upstream.seen] == [b"{}", b"{}"]


# answers


def test_an_answer_streams_event_by_event(box, upstream):
    """The second event isn't sent before the first has been read in the task."""
    box.configure(upstream)
    read = threading.Event()

    def answer(_, client):
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                       b"Transfer-Encoding: chunked\r\n\r\nd\r\ndata: first\n\n\r\n")
        assert read.wait(30)
        client.sendall(b"e\r\ndata: second\n\n\r\n0\r\n\r\n")

    upstream.answer = answer
    process = box.popen("curl", "-sSN", "-d", "{}", f"{BASE}/own/v1/messages")
    assert process.stdout.readline() == "data: first\n"
    read.set()
    out, err = process.communicate(timeout=30)
    assert (out.strip(), process.returncode) == ("data: second", 0), err


def test_a_request_streams_piece_by_piece(box):
    """The second piece isn't sent before the first has arrived."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        box.configure(f"http://127.0.0.1:{server.getsockname()[1]}", ca_file=None)
        process = box.popen("/usr/bin/python3", "-c", textwrap.dedent("""
            import http.client, os, time
            def pieces():
                yield b"first"
                while not os.path.exists("go"):
                    time.sleep(0.02)  # poll
                yield b"second"
            c = http.client.HTTPConnection("127.0.0.1", 808, timeout=60)
            c.request("POST", "/own/v1/messages", pieces(), {"Transfer-Encoding": "chunked"},
                      encode_chunked=True)
            print(c.getresponse().read().decode())
            """))
        client, _ = server.accept()
        with client, client.makefile("rb") as file:
            client.settimeout(60)
            while file.readline() != b"\r\n":
                pass
            seen = []
            while size := int(file.readline(), 16):
                seen.append(file.read(size))
                file.readline()
                with open(os.path.join(box.workspace, "go"), "w"):
                    pass
            client.sendall(plain("200 OK", b"all of it"))
        out, err = process.communicate(timeout=60)
    assert (seen, out) == ([b"first", b"second"], "all of it\n"), err


def test_big_bodies_pass_both_ways_and_their_limits_hold(box, upstream):
    box.configure(upstream, request_limit="3M", response_limit="3M")
    upstream.answer = lambda seen, client: client.sendall(
        plain("200 OK", b"x" * int(seen.line.split("/")[3])
              if "models" in seen.line else str(len(seen.body)).encode()))
    done = box.python(f"""
        import subprocess
        def curl(*words):
            print(*words[:1], subprocess.run(["curl", "-sS", "-o", "out", "-w", "%{{http_code}}",
                  *words[1:]], capture_output=True, text=True).stdout,
                  len(open("out").read()) if words[0] == "get" else open("out").read()[:120].strip())
        open("small", "w").write("y" * 2_000_000)
        open("big", "w").write("y" * 4_000_000)
        url = "{BASE}/own/v1/messages"
        curl("sent", "--data-binary", "@small", url)
        curl("chunks", "-H", "Transfer-Encoding: chunked", "--data-binary", "@small", url)
        curl("announced", "--data-binary", "@big", url)
        curl("big-chunks", "-H", "Transfer-Encoding: chunked", "--data-binary", "@big", url)
        curl("get", "{BASE}/own/v1/models/2000000/x")
        curl("cut", "{BASE}/own/v1/models/4000000/x")
        """)
    lines = done.out.splitlines()
    assert lines[:2] == ["sent 200 2000000", "chunks 200 2000000"], done.out + done.err
    assert lines[2].startswith("announced 413 nairid: the request is refused: its body is longer")
    assert lines[3].startswith("big-chunks 413 nairid: the request is refused: its body is too long")
    assert lines[4] == "get 200 2000000" and lines[5].startswith("cut 200 xxx")
    assert "longer than response_limit" in done.err


def test_redirects_cookies_and_echoes_of_the_key_do_not_reach_the_task(box, upstream):
    box.configure(upstream, paths=["/v1/messages", "/v1/models/*", "/v1/moved/*"])
    echo = f'{{"error": "wrong key {KEY}, or {KEY[:9]}"}}'.encode()

    def answer(seen, client):
        if "moved" in seen.line:
            client.sendall(plain("307 Moved", b"", "Location: https://example.org/" + KEY))
            return
        client.sendall(b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n")
        whole = plain("401 Unauthorized", echo, "Set-Cookie: a=b", "Location: /x",
                      "X-Request-Id: " + KEY, "X-Echo: x", "Connection: keep-alive, x-hop", "Alt-Svc: h3")
        for n in range(0, len(whole), 7):  # the key comes in pieces
            client.sendall(whole[n:n + 7])

    upstream.answer = answer
    moved, told = box.ask(request("GET /own/v1/moved/x"), request("GET /own/v1/models/x")).answers
    assert status(moved) == "502" and "it answers with a redirect, which is not followed" in moved
    assert "example.org" not in moved
    stars = "*" * len(KEY)
    head, body = told.split("\r\n\r\n", 1)
    assert head.split("\r\n") == ["HTTP/1.1 401 Unauthorized", f"Content-Length: {len(echo)}",
                                  f"X-Request-Id: {stars}", "Connection: close"]
    assert body == f'{{"error": "wrong key {stars}, or {KEY[:9]}"}}'


def answer_in_the_clear(server):
    with server.accept()[0] as client:
        client.recv(1)
        client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        client.recv(4096)


def ask_in_vain(box, text):
    done = box.ask(request("GET /own/v1/models/x"))
    assert status(done.answers[0]) == "502", done.answers
    assert "nairid: the broker own got no answer from " in done.answers[0]
    assert text in done.answers[0] and text in done.err, (done.answers, done.err)


def test_an_upstream_that_fails_is_named_with_what_failed(box, upstream, tmp_path):
    other = make_certificate(tmp_path, "other.test")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        dead = taken.getsockname()[1]
    plaintext, untrusted = socket.create_server(("127.0.0.1", 0)), Upstream(other[0])
    threading.Thread(target=answer_in_the_clear, args=(plaintext,), daemon=True).start()
    cases = [
        (f"https://127.0.0.1:{dead}", "can't be reached: Connection refused"),
        (f"https://127.0.0.1:{plaintext.getsockname()[1]}", "the TLS handshake fails: "),
        (untrusted.url, "its certificate is not to be trusted: "),
    ]
    for url, text in cases:
        box.configure(url)
        ask_in_vain(box, text)
    for answer, text in [(b"", "it ended the connection without an answer"),
                         (b"SSH-2.0-x\r\n\r\n", "what it answers is no HTTP/1.1"),
                         (b"HTTP/1.1 101 Switching\r\n\r\n", "what it answers is no HTTP/1.1")]:
        box.configure(upstream)
        upstream.answer = lambda _, client, answer=answer: client.sendall(answer)
        done = box.ask(request("GET /own/v1/models/x"))
        assert status(done.answers[0]) == "502" and text in done.answers[0], done.answers
    plaintext.close()
    untrusted.end()


def test_an_upstream_whose_name_nobody_knows_is_named(box, upstream, tmp_path):
    box.configure(f"https://nothing.invalid:{upstream.port}")
    with serving({}) as dns:
        box.before = dns.wrap(tmp_path / "resolv.conf")
        ask_in_vain(box, "there is no such name")


def test_an_answer_that_says_how_long_it_is_may_end_without_a_goodbye(box, upstream):
    """Many servers close the connection below TLS and say nothing."""
    box.configure(upstream)
    body = b"x" * 2000
    heads = {"length": plain("200 OK", b"")[:-5] + b"2000\r\n\r\n",
             "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n",
             "unsaid": b"HTTP/1.1 200 OK\r\n\r\n"}

    def answer(seen, client):
        how = seen.line.split()[1].rsplit("/", 1)[1]
        rest = b"\r\n0\r\n\r\n" if how == "chunked" else b""
        sent = body[:-1] if seen.line.startswith("POST") else body
        client.sendall(heads[how] + (b"" if seen.line.startswith("HEAD") else sent + rest))
        with socket.socket(fileno=client.detach()):
            raise OSError

    upstream.answer = answer
    length, chunked, head, unsaid, short = box.ask(
        request("GET /own/v1/models/length"), request("GET /own/v1/models/chunked"),
        request("HEAD /own/v1/models/length"), request("GET /own/v1/models/unsaid"),
        request("POST /own/v1/models/length")).answers
    assert body_of(length) == body.decode()
    assert body_of(chunked) == f"7d0\r\n{body.decode()}\r\n0\r\n\r\n"
    assert status(head) == "200" and body_of(head) == ""
    assert "ConnectionResetError" in unsaid and "ConnectionResetError" in short


def test_a_slow_upstream_is_given_up_and_a_client_that_leaves_is_too(box, upstream):
    gone = threading.Event()

    def answer(_, client):
        if not client.recv(1):  # until the other side ends it
            gone.set()

    with socket.create_server(("127.0.0.1", 0)) as silent:  # where even TLS doesn't begin
        box.configure(f"https://127.0.0.1:{silent.getsockname()[1]}", timeout="1s")
        [told] = box.ask(request("GET /own/v1/models/x")).answers
    assert status(told) == "504" and "the TLS handshake didn't come to an end" in told
    box.configure(upstream, timeout="1s")
    upstream.answer = answer
    began = time.monotonic()
    [told] = box.ask(request("GET /own/v1/models/x")).answers
    assert status(told) == "504" and "it didn't begin to answer in 1s (timeout)" in told
    assert time.monotonic() - began < 20 and gone.wait(10)
    gone.clear()
    box.configure(upstream)
    done = box.run("curl", "-sS", "-m", "1", f"{BASE}/own/v1/models/x")
    assert done.code == 28 and gone.wait(10)


def test_so_many_requests_and_no_more(box, upstream):
    box.configure(upstream, requests=2)
    done = box.ask(*[request("GET /own/v1/models/x")] * 3)
    assert [status(answer) for answer in done.answers] == ["200", "200", "429"]
    assert len(upstream.seen) == 2


def test_many_requests_at_once_are_all_answered(box, upstream):
    box.configure(upstream)
    upstream.answer = lambda seen, client: client.sendall(plain("200 OK", seen.line.encode()))
    done = box.python(f"""
        import concurrent.futures, urllib.request
        def get(n):
            with urllib.request.urlopen(f"{BASE}/own/v1/models/{{n}}", timeout=40) as answer:
                return answer.read() == f"GET /v1/models/{{n}} HTTP/1.1".encode()
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            print(sum(pool.map(get, range(60))))
        """)
    assert done.out == "60\n", done.err


# where it may be


def test_a_name_that_leads_to_a_private_place_has_to_be_allowed(box, upstream, tmp_path):
    with serving({"model.test": ["127.0.0.1"]}) as dns:
        box.before = dns.wrap(tmp_path / "resolv.conf")
        url = f"https://model.test:{upstream.port}"
        box.configure(url)
        [told] = box.ask(request("GET /own/v1/models/x")).answers
        assert status(told) == "502" and "its name leads to a loopback address" in told
        box.configure(url, addresses="private")
        assert status(box.ask(request("GET /own/v1/models/x")).answers[0]) == "502"
        box.configure(url, addresses="loopback")
        assert status(box.ask(request("GET /own/v1/models/x")).answers[0]) == "200"
        assert upstream.seen[-1].get("host") == [f"model.test:{upstream.port}"]


def test_a_proxy_on_the_way_is_followed_and_does_not_see_the_key(box, upstream):
    uplink = Uplink()
    box.configure(f"https://model.test:{upstream.port}",
                  server={"proxy": f"http://user:word@127.0.0.1:{uplink.port}"})
    [told] = box.ask(request("GET /own/v1/models/x")).answers
    assert status(told) == "200", told
    assert [asked.split("\r\n")[0] for asked in uplink.asked] == [
        f"CONNECT model.test:{upstream.port} HTTP/1.1"]
    assert KEY not in "".join(uplink.asked)
    uplink.end()


def test_certificates_of_the_control_plane_are_trusted_too(box, upstream):
    box.configure(upstream, ca_file=None)
    assert status(box.ask(request("GET /own/v1/models/x")).answers[0]) == "502"
    box.configure(upstream, ca_file=None, server={"ca_file": box.ca})
    assert status(box.ask(request("GET /own/v1/models/x")).answers[0]) == "200"


def test_who_was_believed_by_one_name_is_not_so_by_another(box, upstream, tmp_path):
    box.configure(upstream, ca_file=None, server={"ca_file": box.ca})
    with open(box.config) as f:
        settings = json.load(f)
    settings["broker"].append({**settings["broker"][0], "name": "other", "addresses": "loopback",
                               "upstream": f"https://other.test:{upstream.port}"})
    box.account.write(box.config, json.dumps(settings))
    with serving({"other.test": ["127.0.0.1"]}) as dns:
        box.before = dns.wrap(tmp_path / "resolv.conf")
        # the second would resume the session of the first, in which no certificate is shown
        own, other = box.ask(request("GET /own/v1/models/x"),
                             request("GET /other/v1/models/x")).answers
    assert status(own) == "200", own
    assert status(other) == "502" and "certificate is not to be trusted" in other, other
    assert len(upstream.seen) == 1


def test_in_the_clear_it_may_be_on_loopback_only(box):
    server = Upstream(None)
    box.configure(server, ca_file=None)
    assert status(box.ask(request("GET /own/v1/models/x")).answers[0]) == "200"
    assert server.seen[0].get("x-api-key") == [KEY]
    server.end()
    box.configure("http://10.0.0.1:80", ca_file=None)
    done = box.run("true")
    assert done.code == 78 and "the key would travel readable" in done.err, done.err


def test_beside_the_proxy_both_are_served(box, upstream):
    server = Upstream(None)
    box.configure(upstream, mode="allowlist")
    done = box.run("sh", "-c", f"""
        curl -sS -o /dev/null -w '%{{http_code}} ' {server.url}/
        curl -sS -o /dev/null -w '%{{http_code}} ' {BASE}/own/v1/models/x
        curl -sS -o /dev/null -w '%{{http_code}} ' --noproxy '' {BASE}/own/v1/models/x""",
                   flags=["--allow", f"127.0.0.1:{server.port}"])
    assert done.out == "200 200 200 ", done.err
    assert len(upstream.seen) == 2 and len(server.seen) == 1
    server.end()


# the key


def test_the_key_is_in_no_process_that_the_task_could_see_nor_in_others(account, box, upstream):
    """Not in what the task can read, and outside of it in the memory of one process only."""
    box.configure(upstream)
    process = box.popen("sh", "-c", f"curl -sS {BASE}/own/v1/models/x >/dev/null; "
                        f"grep -rsl {KEY[:-4]} /proc/[0-9]*/environ /etc /home "
                        "/workspace /tmp /dev/shm /var /nairid; echo ready; sleep 1000")
    assert process.stdout.readline() == "ready\n"
    assert upstream.seen[0].get("x-api-key") == [KEY]
    try:
        if os.getuid() == 0:
            found = {proc.name for proc in descendants(process.pid) if holds(proc.pid, KEY)}
            assert found <= {"nairid-egress"}
    finally:
        process.send_signal(signal.SIGQUIT)
        out, err = process.communicate(timeout=20)
    assert KEY not in out + err


def holds(pid, text):
    """Whether some readable memory of a process, its environment or its arguments have it."""
    for name in ("environ", "cmdline"):
        with open(f"/proc/{pid}/{name}", "rb") as file:
            if text.encode() in file.read():
                return True
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            where, rights = line.split()[:2]
            begin, end = (int(part, 16) for part in where.split("-"))
            if "r" not in rights or end - begin > 1 << 30:
                continue
            try:
                memory.seek(begin)
                if text.encode() in memory.read(end - begin):
                    return True
            except (OSError, ValueError, OverflowError):
                continue
    return False


def test_a_key_that_is_no_key_is_refused_before_the_task_starts(account, box, upstream):
    box.configure(upstream)
    account.write(box.key, "sk-two\nlines-of-it\n")
    done = box.run("echo", "started")
    assert done.code == 78 and "has a character in it that no key has" in done.err, done.err
    assert "started" not in done.out
    os.chmod(box.key, 0o644)
    done = box.run("echo", "started")
    assert "without the broker own: broker own: its key: " in done.err and done.out == "started\n"


def test_the_explanation_says_what_is_asked_and_names_no_key(box, upstream):
    box.configure(upstream)
    done = box.run("true", flags=["--explain"])
    assert (f"broker     {BASE}/own, which asks {upstream.url} with the key of {box.key}: "
            "GET, POST, HEAD of /v1/messages, /v1/models/*") in done.out
    assert "network    none: a loopback of its own" in done.out
    box.configure(upstream, mode="host")
    done = box.run("true", flags=["--explain"])
    assert "broker" not in done.out


# Claude Code


def relay_to(model):
    """An upstream's answer that is that of the model's stand-in."""
    port = int(model.url.rsplit(":", 1)[1])

    def answer(seen, client):
        kept = [f"{name}: {value}" for name, value in seen.headers
                if name not in ("host", "connection", "transfer-encoding", "content-length")]
        head = [seen.line, "Host: model", "Connection: close",
                f"Content-Length: {len(seen.body)}", *kept, "", ""]
        with socket.create_connection(("127.0.0.1", port)) as server:
            server.sendall("\r\n".join(head).encode() + seen.body)
            while piece := server.recv(65536):
                client.sendall(piece)

    return answer


def test_claude_code_works_without_its_key_and_takes_a_new_one(me, make_claude, model, upstream,
                                                               certificate):
    upstream.answer = relay_to(model)
    key = me.write(me.mkdir("keys") + "/anthropic", KEY + "\n")
    ca = me.write(me.mkdir("ca") + "/ca.pem", certificate[1].read_text())
    daemon = make_claude(start=False, runner={
        "env": {"ANTHROPIC_BASE_URL": upstream.url},
        "secrets": {"ANTHROPIC_API_KEY": {"file": key}}})
    daemon.configure(server={"ca_file": ca})
    checked = daemon.run("check", "-c", daemon.config, "--state", daemon.state + "2")
    assert (f"OK    broker    anthropic: tasks ask {BASE}/anthropic, and {upstream.url} gets the "
            f"key from {key}\n") in checked.stdout, checked.stdout + checked.stderr
    daemon.boot()
    said = daemon.answer("TOOL: echo $ANTHROPIC_BASE_URL $ANTHROPIC_API_KEY; cat /proc/[0-9]*/environ"
                         " 2>&- | tr '\\0' '\\n' | grep -c sk-real; true")["content"]
    assert said == f"OUTPUT:\n{BASE}/anthropic the-broker-has-it\n0"
    assert {tuple(seen.get("x-api-key")) for seen in upstream.seen} == {(KEY,)}
    me.write(key, KEY + "-new\n")
    count = len(upstream.seen)
    daemon.program.send(signal.SIGHUP)
    wait_until(lambda: "reloaded" in daemon.log, 20, "the reload")
    assert daemon.answer("hello")["content"] == "ECHO: hello"
    assert {tuple(seen.get("x-api-key")) for seen in upstream.seen[count:]} == {(KEY + "-new",)}
    assert KEY not in daemon.log
    for path in files_below(daemon.state):
        if os.path.isfile(os.path.join(daemon.state, path)):
            with open(os.path.join(daemon.state, path), "rb") as file:
                assert KEY.encode() not in file.read(), path


def test_a_login_that_cannot_be_brokered_is_told_with_what_can(me, make_claude):
    token = me.write(me.mkdir("keys") + "/token", "sk-ant-oat-0123456789\n")
    daemon = make_claude(start=False, key=None,
                         runner={"secrets": {"CLAUDE_CODE_OAUTH_TOKEN": {"file": token}}})
    done = daemon.run("check", "-c", daemon.config, "--state", daemon.state)
    assert "WARN  broker    CLAUDE_CODE_OAUTH_TOKEN is a person's login" in done.stdout, done.stdout
    assert "an API key instead (ANTHROPIC_API_KEY in runner.secrets)" in done.stdout
    daemon = make_claude(start=False, sandbox={"network": {"mode": "host"}})
    done = daemon.run("check", "-c", daemon.config, "--state", daemon.state)
    assert done.returncode == 78
    assert "can't be kept out of tasks in sandbox.network.mode host" in done.stdout, done.stdout
