"""Network mode allowlist: what a command in the sandbox reaches by its proxy, and what it doesn't.

Servers and the name server are the test's own, on loopback. Every test runs once as root and once
as an ordinary user.
"""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import textwrap
import threading

import pytest

import boxkit
from boxkit import TASK_UID, Done
from brokerkit import Upstream, plain
from dnskit import Dns
from hubkit import wait_until
from processes import descendants, reap_orphans
from webkit import Server

PROXY = ("127.0.0.1", 808)


@pytest.fixture(autouse=True)
def as_each(account):
    """Root, then an ordinary user."""


@pytest.fixture
def server():
    server = Server()
    yield server
    server.end()


@pytest.fixture
def certificate(tmp_path):
    """A key and a certificate of its own for site.test."""
    pem = tmp_path / "site.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", pem,
                    "-out", tmp_path / "cert.pem", "-days", "2", "-subj", "/CN=site.test",
                    "-addext", "subjectAltName=DNS:site.test,DNS:other.test,IP:127.0.0.1"],
                   check=True, capture_output=True)
    with open(pem, "a") as file:
        file.write((tmp_path / "cert.pem").read_text())
    return pem


@pytest.fixture
def tls_server(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Server(context)
    yield server
    server.end()


class Box(boxkit.Box):
    """Commands in the sandbox with these hosts allowed."""

    def __init__(self, account, tmp_path):
        super().__init__(account)
        self.tmp_path = tmp_path

    def use_dns(self, dns):
        self.before = dns.wrap(self.tmp_path / "resolv.conf")

    def popen(self, *command, allow=(), flags=(), **kwargs):
        allowed = [word for entry in allow for word in ("--allow", entry)]
        return self.start(["--network", "allowlist", *allowed, *flags], command, **kwargs)

    def talk(self, *requests, **kwargs):
        """Sends each of the byte strings to the proxy; returns what came back, by their order."""
        done = self.python(f"""
            import json, socket
            answers = []
            for request in {list(requests)!r}:
                with socket.create_connection({PROXY!r}) as s:
                    s.settimeout(40)
                    try:
                        s.sendall(request)
                        s.shutdown(socket.SHUT_WR)
                    except OSError:
                        pass
                    answer = b""
                    try:
                        while piece := s.recv(65536):
                            answer += piece
                    except OSError:
                        pass
                    answers.append(answer.decode("latin-1"))
            print(json.dumps(answers))
            """, **kwargs)
        assert done.code == 0, done.err
        done.answers = json.loads(done.out)
        return done


@pytest.fixture
def box(account, tmp_path):
    yield Box(account, tmp_path)
    reap_orphans()
    wait_until(lambda: reap_orphans() or not descendants(), 5,
               lambda: f"these to end: {descendants()}")


@contextlib.contextmanager
def serving(names):
    if os.getuid() != 0:
        pytest.skip("needs root")  # for the port of name servers, and to lay a file over another
    dns = Dns(names)
    try:
        yield dns
    finally:
        dns.end()


def status(answer):
    return answer.split(" ", 2)[1] if answer.startswith("HTTP/1.1 ") else answer[:60]


# what is allowed


def test_allowed_places_are_reached_and_others_are_named(box, server):
    allow = [f"127.0.0.1:{server.port}"]
    done = box.run("curl", "-sS", f"http://127.0.0.1:{server.port}/x?y=z", allow=allow)
    assert (done.out, done.code, done.refused) == ("hello", 0, []), done.err
    line, headers, _ = server.seen[0]
    assert line == "GET /x?y=z HTTP/1.1"
    assert headers["Host"] == f"127.0.0.1:{server.port}" and headers["Connection"] == "close"
    done = box.run("curl", "-s", "https://example.org/", "http://example.org/", allow=allow)
    assert done.refused == [
        f"the task wanted example.org:{port}, which the policy doesn't allow "
        "(sandbox.network.allow)" for port in (443, 80)]
    done = box.run("curl", "-s", "http://[::2]:80/", f"http://127.0.0.2:{server.port}/",
                   allow=allow)
    assert [text.split()[3] for text in done.refused] == ["[::2]:80,",
                                                          f"127.0.0.2:{server.port},"]


def test_a_place_is_named_once_and_only_so_many(box):
    hosts = ["first.test"] * 3 + [f"h{n}.test" for n in range(40)]
    done = box.talk(*[f"GET http://{host}/ HTTP/1.1\r\n\r\n".encode() for host in hosts])
    assert {status(answer) for answer in done.answers} == {"403"}
    assert "first.test:80, which the policy doesn't allow" in done.answers[0]
    assert len(done.refused) == 32 and len(set(done.refused)) == 32


def test_nothing_is_reached_but_by_the_proxy(box, server):
    done = box.python(f"""
        import socket
        for place in [("127.0.0.1", {server.port}), ("192.0.2.1", 80)]:
            with socket.socket() as s:
                s.settimeout(5)
                print(s.connect_ex(place))
        """, allow=[f"127.0.0.1:{server.port}"])
    assert done.out == "111\n101\n"  # ECONNREFUSED: its own loopback; ENETUNREACH


CLIENTS = {
    "curl": ["curl", "-sS", "{url}"],
    "python": ["/usr/bin/python3", "-c",
               "import urllib.request as u; print(u.urlopen('{url}').read().decode(), end='')"],
    "git": ["git", "ls-remote", "{url}/x"],  # which isn't one
    "node": ["node", "-e", """
        const {{ request }} = require('http'), proxy = new URL(process.env.http_proxy);
        request({{ host: proxy.hostname, port: proxy.port, path: '{url}' }},
                answer => answer.pipe(process.stdout)).end()"""],
}


@pytest.mark.parametrize("client", CLIENTS)
def test_programs_find_the_proxy_in_their_environment(box, server, client):
    if box.run("sh", "-c", f"command -v {CLIENTS[client][0]}").code != 0:
        return  # a machine without it has nothing to show
    url = f"http://127.0.0.1:{server.port}"
    done = box.run(*[word.format(url=url) for word in CLIENTS[client]],
                   allow=[f"127.0.0.1:{server.port}"])
    assert done.out == ("" if client == "git" else "hello"), done.err
    assert server.seen and done.refused == []


def test_a_body_of_either_kind_arrives_whole(box, server):
    done = box.python(f"""
        import http.client
        for body, headers in [(b"a" * 300000, {{}}), (iter([b"one", b"two" * 50000]),
                                                      {{"Transfer-Encoding": "chunked"}})]:
            c = http.client.HTTPConnection(*{PROXY!r})
            c.request("PUT", "http://127.0.0.1:{server.port}/size/1000000", body, headers,
                      encode_chunked=bool(headers))
            answer = c.getresponse()
            print(answer.status, len(answer.read()))
        """, allow=[f"127.0.0.1:{server.port}"])
    assert done.out == "200 1000000\n" * 2, done.err
    assert [len(body) for _, _, body in server.seen] == [300000, 150003]


# names and where they lead


def test_names_are_resolved_outside_and_lead_to_public_addresses_only(box, server):
    port = server.port
    names = {"site.test": ["127.0.0.1"], "a.wild.test": ["127.0.0.1"], "wild.test": ["127.0.0.1"],
             "lan.test": ["10.1.2.3", "192.168.1.1"], "meta.test": ["169.254.169.254"],
             "zero.test": ["0.0.0.0"], "mapped.test": ["127.0.0.1"]}
    with serving(names) as dns:
        box.use_dns(dns)
        done = box.talk(*[f"GET http://{host}:{port}/ HTTP/1.1\r\n\r\n".encode() for host in (
            "Site.Test.", "a.wild.test", "wild.test", "mapped.test", "lan.test", "meta.test",
            "zero.test", "none.test")],
            allow=[f"site.test:{port} loopback", f"*.wild.test:{port} loopback",
                   f"mapped.test:{port} private", f"lan.test:{port} loopback",
                   f"meta.test:{port} private loopback", f"zero.test:{port} private loopback",
                   f"none.test:{port}"])
    assert [status(answer) for answer in done.answers] == [
        "200", "200", "403", "403", "403", "403", "403", "502"]
    assert "there is no such name" in done.answers[-1]
    assert [re.sub(r", which the policy.*", "", text) for text in done.refused] == [
        f"the task wanted wild.test:{port}",
        f"the task wanted mapped.test:{port}, whose name leads to a loopback address",
        f"the task wanted lan.test:{port}, whose name leads to a private address",
        f"the task wanted meta.test:{port}, whose name leads to a link-local or reserved address",
        f"the task wanted zero.test:{port}, whose name leads to a link-local or reserved address"]
    assert "wild.test" not in dns.asked  # a name that isn't allowed isn't even asked for
    assert [headers["Host"] for _, headers, _ in server.seen] == [f"site.test:{port}",
                                                                  f"a.wild.test:{port}"]


def test_a_name_that_leads_to_the_machine_itself_is_loopback(box, tmp_path):
    """At an address of the internet, too: what listens on all addresses is behind it."""
    if os.getuid() != 0:
        pytest.skip("needs root")
    (tmp_path / "hosts").write_text("8.8.4.4 own.test\n10.9.8.7 lan.test\n169.254.7.7 link.test\n")
    box.before = ["unshare", "-nm", "sh", "-ec",
                  "ip link set lo up; ip addr add 8.8.4.4/32 dev lo; ip addr add 10.9.8.7/8 dev lo;"
                  "ip addr add 169.254.7.7/32 dev lo;"
                  f"mount --bind '{tmp_path}/hosts' /etc/hosts; exec \"$@\"", "sh"]
    done = box.talk(*[f"GET http://{place}/ HTTP/1.1\r\n\r\n".encode() for place in (
        "own.test", "lan.test", "own.test:81", "8.8.4.4", "link.test")],
        allow=["own.test:80", "lan.test:80 private", "own.test:81 loopback", "8.8.4.4:80",
               "link.test:80 private loopback"])
    assert [status(answer) for answer in done.answers] == ["403", "403", "502", "502", "403"]
    assert all("a loopback address" in answer for answer in done.answers[:2])
    assert all("Connection refused" in answer for answer in done.answers[2:4])
    assert "a link-local or reserved address" in done.answers[4]  # the worse of the two counts


def test_a_name_that_leads_elsewhere_the_next_time_is_judged_again(box, server):
    """The first request is allowed to reach the address, the next answer is loopback: refused.
    Every request has its own question, its own judgement, and is connected to what was judged."""
    with serving({"re.test": [["10.255.255.1"], ["127.0.0.1"]]}) as dns:
        box.use_dns(dns)
        request = f"GET http://re.test:{server.port}/ HTTP/1.1\r\n\r\n".encode()
        done = box.talk(request, request, request, allow=[f"re.test:{server.port}"])
    assert [status(answer) for answer in done.answers] == ["403"] * 3
    assert "a private address" in done.answers[0] and "a loopback address" in done.answers[1]
    assert len(dns.asked) == 3 and server.seen == []


def test_a_redirect_leads_no_further_than_any_request(box, server):
    """It is the task that follows it, and by the proxy."""
    first = Upstream(None)
    answers = {"address": f"http://127.0.0.1:{server.port}/", "name": f"http://in.test:{server.port}/",
               "other": "http://else.test/"}
    first.answer = lambda seen, client: client.sendall(plain(
        "302 Found", b"", "Location: " + answers[seen.line.split()[1].strip("/")]))
    with serving({"in.test": ["127.0.0.1"], "else.test": ["127.0.0.1"]}) as dns:
        box.use_dns(dns)
        done = box.run("curl", "-sSL", *(f"{first.url}/{name}" for name in answers),
                       allow=[f"127.0.0.1:{first.port}", f"in.test:{server.port}"])
    first.end()
    assert len(first.seen) == len(answers), done.err
    assert [text.split(", wh")[0] for text in done.refused] == [
        f"the task wanted 127.0.0.1:{server.port}", f"the task wanted in.test:{server.port}",
        "the task wanted else.test:80"]
    assert "whose name leads to a loopback address" in done.refused[1]
    assert server.seen == [] and "else.test" not in dns.asked


def test_of_several_addresses_only_those_that_may_be_are_tried(box, server):
    with serving({"both.test": ["10.255.255.1", "127.0.0.1"]}) as dns:
        box.use_dns(dns)
        done = box.talk(f"GET http://both.test:{server.port}/ HTTP/1.1\r\n\r\n".encode(),
                        allow=[f"both.test:{server.port} loopback"])
    assert status(done.answers[0]) == "200"


# tricks with addresses and requests


def test_no_spelling_of_an_address_gets_through(box, server):
    port = server.port
    hosts = ["2130706433", "0x7f000001", "017700000001", "0177.0.0.1", "127.1", "0x7f.1",
             "127.0.0.01", "127.000.000.001", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::1]",
             "[::127.0.0.1]", "[64:ff9b::7f00:1]", "0.0.0.0", "localhost", "localhost.",
             "u@127.0.0.2", "127.0.0.1@evil.test", "evil.test#@127.0.0.1", "127.0.0.1%00.test",
             "127.0.0.1\\.test", "①②⑦.0.0.1", "[::1%25lo]", "[fe80::1%lo]", "127.0.0.2", "10.0.0.1",
             "169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]"]
    allow = ["site.test:*", f"127.0.0.1:{port}"]
    done = box.talk(*[f"GET http://{host}:{port}/ HTTP/1.1\r\n\r\n".encode() for host in hosts],
                    *[f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode() for host in hosts],
                    allow=allow)
    bad = [(host, answer[:80]) for host, answer in zip(hosts * 2, done.answers)
           if status(answer) not in ("400", "403")]
    assert not bad and server.seen == []
    done = box.talk(f"GET http://127.0.0.1.:{port}/ HTTP/1.1\r\n\r\n".encode(), allow=allow)
    assert status(done.answers[0]) == "200"  # the dot at the end is the same address


def test_requests_that_could_be_read_in_two_ways_are_refused(box, server):
    url = f"http://127.0.0.1:{server.port}/"
    line = f"POST {url} HTTP/1.1\r\n"
    inner = "GET http://127.0.0.1/evil HTTP/1.1\r\n\r\n"
    requests = [
        line + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
        line + "Content-Length: 5\r\nContent-Length: 50\r\n\r\nhello" + inner,
        line + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        line + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        line + "Content-Length : 5\r\n\r\nhello",
        line + "X: y\r\n Content-Length: 5\r\n\r\nhello",
        line + "X: y\nContent-Length: 5\r\n\r\nhello",
        line + "X: y\rContent-Length: 5\r\n\r\nhello",
        line + "Host: a\r\nHost: b\r\n\r\n",
        f"GET {url}\r\nX: HTTP/1.1\r\n\r\n",
        f"GET {url}%0d%0aX: y HTTP/1.1\r\n\r\n",
        f"GET {url} HTTP/1.1\n\n",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        f"GET https://127.0.0.1:{server.port}/ HTTP/1.1\r\n\r\n",
        f"GET {url} HTTP/1.1\r\nX: {'y' * 20000}\r\n\r\n",
        f"GET {url} HTTP/1.1\r\n" + "X: y\r\n" * 101 + "\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]
    done = box.talk(*[text.encode("latin-1") for text in requests],
                    allow=[f"127.0.0.1:{server.port}"])
    bad = [(text[:90], answer[:60]) for text, answer in zip(requests, done.answers)
           if status(answer) not in ("400", "431", "505")]
    assert not bad and server.seen == []


def test_what_follows_a_request_is_not_passed_on(box, server):
    url = f"http://127.0.0.1:{server.port}/"
    second = "GET /second HTTP/1.1\r\nHost: evil.test\r\n\r\n"
    done = box.talk(*[text.encode() for text in (
        f"GET {url} HTTP/1.1\r\n\r\n" + second,
        f"POST {url} HTTP/1.1\r\nContent-Length: 2\r\n\r\nab" + second,
        f"POST {url} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n" + second,
        f"GET {url} HTTP/1.1\r\nHost: evil.test\r\nConnection: keep-alive\r\n\r\n" + second)],
        allow=[f"127.0.0.1:{server.port}"])
    assert [status(answer) for answer in done.answers] == ["200"] * 4
    assert [answer.count("HTTP/1.1") for answer in done.answers] == [1] * 4
    assert [line.split()[1] for line, _, _ in server.seen] == ["/"] * 4
    assert all("evil" not in headers["Host"] for _, headers, _ in server.seen)


def test_slow_and_silent_clients_are_given_up_and_others_served(box, server):
    done = box.python(f"""
        import select, socket, time
        began = time.monotonic()
        slow = [socket.create_connection({PROXY!r}) for _ in range(256)]
        slow[0].sendall(b"GET http://127.0.0.1")
        with socket.create_connection({PROXY!r}) as s:
            s.sendall(b"GET http://127.0.0.1:{server.port}/ HTTP/1.1\\r\\n\\r\\n")
            print(select.select([s], [], [], 0.5)[0])  # so many at once and no more
            slow.pop().close()
            print(s.recv(12).decode(), time.monotonic() - began < 8)
        poll = select.poll()
        poll.register(slow[0], select.POLLIN)
        while not poll.poll(200) and time.monotonic() - began < 30:
            try:
                slow[0].sendall(b"1")  # never silent for long
            except OSError:
                break
        print(slow[0].recv(100).decode().split("\\r")[0], time.monotonic() - began < 25)
        """, allow=[f"127.0.0.1:{server.port}"])
    assert done.out == "[]\nHTTP/1.1 200 True\nHTTP/1.1 408 Request Timeout True\n", done.err


# tunnels

TUNNEL = """
    import socket, ssl
    def tunnel(host, name, first=None, port={port}):
        s = socket.create_connection({proxy!r})
        s.settimeout(40)
        s.sendall(f"CONNECT {{host}}:{{port}} HTTP/1.1\\r\\n\\r\\n".encode())
        answer = s.recv(1000).decode()
        if not answer.startswith("HTTP/1.1 200"):
            return answer.split()[1]
        try:
            if first is not None:
                s.sendall(first)
                return s.recv(100)[:12] or "closed"
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(s, server_hostname=name) as t:
                t.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
                return t.recv(12).decode()
        except OSError:
            return "closed"
    """


def tunnel_script(server, *calls):
    return textwrap.dedent(TUNNEL).format(port=server.port, proxy=PROXY) + "".join(
        f"print(tunnel{call})\n" for call in calls)


def test_in_a_tunnel_only_the_name_that_was_asked_for_is_spoken_to(box, tls_server):
    port = tls_server.port
    with serving({"site.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]}) as dns:
        box.use_dns(dns)
        done = box.python(tunnel_script(
            tls_server, ("site.test", "site.test"), ("SITE.test.", "Site.Test"),
            ("site.test", "other.test"), ("site.test", None), ("other.test", "other.test"),
            ("127.0.0.1", None), ("127.0.0.1", "site.test"),
            ("site.test", "", b"SSH-2.0-x\r\n"), ("site.test", "", b"\x15\x03\x01")),
            allow=[f"site.test:{port} loopback", f"127.0.0.1:{port}"])
    ok = "HTTP/1.1 200"
    assert done.out.split("\n") == [ok, ok, "closed", "closed", "403", ok, "closed",
                                    "closed", "closed", ""], done.err
    assert [text.split(", which")[0] for text in done.refused] == [
        f"the task asked for other.test inside its connection to site.test:{port}",
        f"the task named no host in its TLS connection to site.test:{port}",
        f"the task wanted other.test:{port}",
        f"the task asked for site.test inside its connection to 127.0.0.1:{port}",
        f"the task spoke neither TLS nor HTTP in its connection to site.test:{port}"]


def test_curl_and_python_speak_tls_through_it(box, tls_server, certificate):
    box.account.write(os.path.join(box.workspace, "ca.pem"), certificate.read_text(), 0o644)
    url = f"https://127.0.0.1:{tls_server.port}/"
    allow = [f"127.0.0.1:{tls_server.port}"]
    done = box.run("curl", "-sS", "--cacert", "ca.pem", url, allow=allow)
    assert done.out == "hello", done.err
    done = box.python(f"""
        import ssl, urllib.request
        context = ssl.create_default_context(cafile="ca.pem")
        print(urllib.request.urlopen({url!r}, context=context).read().decode())
        """, allow=allow)
    assert done.out == "hello\n", done.err


def test_http_in_a_tunnel_is_held_to_the_name_as_well(box, server):
    port = server.port

    def get(host, at=port):
        return f"GET / HTTP/1.1\r\nHost: {host}:{at}\r\n\r\n".encode()

    done = box.python(tunnel_script(
        server, ("127.0.0.1", "", get("127.0.0.1")), ("127.0.0.1", "", get("127.0.0.2")),
        ("127.0.0.1", "", get("127.0.0.1", port - 1))), allow=[f"127.0.0.1:{port}"])
    assert done.out == "b'HTTP/1.1 200'\nb'HTTP/1.1 403'\nb'HTTP/1.1 403'\n", done.err
    assert done.refused == [f"the task asked for 127.0.0.2 inside its connection to "
                            f"127.0.0.1:{port}, which the policy doesn't allow"]
    assert server.seen[0][1]["Connection"] == "close"


def test_a_raw_tunnel_passes_anything_both_ways_and_its_ends(box):
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve():
            client, _ = server.accept()
            with client:
                client.sendall(b"SSH-2.0-first\r\n")
                while piece := client.recv(65536):
                    client.sendall(piece)
                client.sendall(b"end")

        thread = threading.Thread(target=serve)
        thread.start()
        port = server.getsockname()[1]
        done = box.python(f"""
            import socket, threading
            s = socket.create_connection({PROXY!r})
            s.sendall(b"CONNECT 127.0.0.1:{port} HTTP/1.1\\r\\n\\r\\n")
            stream = s.makefile("rb")
            while stream.readline() != b"\\r\\n":
                pass
            print(stream.readline().decode().strip())
            sent = bytes(range(256)) * 20000
            def send():
                s.sendall(sent)
                s.shutdown(socket.SHUT_WR)
            threading.Thread(target=send).start()
            print(stream.read() == sent + b"end")
            """, allow=[f"127.0.0.1:{port} raw"])
        thread.join(20)
    assert done.out == "SSH-2.0-first\nTrue\n", done.err


# the process


def egress_of(process):
    """The egress process of a running `nairid sandbox`."""

    def look():
        return [found.pid for found in descendants(process.pid) if found.name == "nairid-egress"]

    wait_until(look, 20, "the egress process")
    return look()[0]


def test_the_process_has_nothing_and_ends_with_its_task(box, account):
    process = box.popen("sh", "-c", "echo ready; sleep 1000", allow=["site.test:443"])
    assert process.stdout.readline() == "ready\n"
    egress = egress_of(process)
    with open(f"/proc/{egress}/status") as file:
        found = {name: value.strip() for name, _, value in (line.partition(":") for line in file)}
    assert found["NoNewPrivs"] == "1" and found["Seccomp"] == "2"
    assert {int(found[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    if account.is_root:
        uid = int(found["Uid"].split()[0])
        assert uid not in (0, TASK_UID) and found["Uid"] == "\t".join([str(uid)] * 4)
        assert found["Groups"] == ""
    if os.getuid() == 0:
        kinds = sorted(re.sub(r":.*", "", os.readlink(f"/proc/{egress}/fd/{fd}"))
                       for fd in os.listdir(f"/proc/{egress}/fd"))
        allowed = {"/dev/null", "socket", "anon_inode", "pipe"}  # a sanitizer keeps standard error
        assert set(kinds) <= allowed and kinds.count("socket") == 2, kinds
    else:
        with pytest.raises(PermissionError):  # it isn't even its own user's to look into
            os.listdir(f"/proc/{egress}/fd")
    # proc(5): whose files these are says whether it is dumpable
    assert os.stat(f"/proc/{egress}/mem").st_uid != int(found["Uid"].split()[0])
    with open(f"/proc/{egress}/cmdline") as file:
        assert file.read().split("\0")[0] == "nairid: egress"
    process.send_signal(signal.SIGQUIT)
    process.communicate(timeout=20)
    wait_until(lambda: reap_orphans() or not os.path.exists(f"/proc/{egress}"), 5, "its end")


def test_without_it_the_task_is_ended(box):
    process = box.popen("sh", "-c", "trap '' TERM; echo ready; sleep 1000; sleep 1000")
    assert process.stdout.readline() == "ready\n"
    os.kill(egress_of(process), signal.SIGKILL)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGKILL
    assert "nairid sandbox: it was ended because its proxy had died" in err


def test_it_dies_with_the_spawner(box):
    process = box.popen("sh", "-c", "echo ready; sleep 1000")
    assert process.stdout.readline() == "ready\n"
    egress = egress_of(process)
    with open(f"/proc/{egress}/stat") as file:
        spawner = int(file.read().rsplit(")", 1)[1].split()[1])
    os.kill(spawner, signal.SIGKILL)
    process.communicate(timeout=20)
    wait_until(lambda: reap_orphans() or not os.path.exists(f"/proc/{egress}"), 5, "its end")


def test_many_tasks_at_once_have_their_own(box, server):
    allow = [f"127.0.0.1:{server.port}"]
    url = f"http://127.0.0.1:{server.port}/"
    began = [box.popen("curl", "-sS", url if n % 2 else "http://site.test/",
                       allow=allow if n % 2 else ()) for n in range(8)]
    done = [Done(process) for process in began]
    assert [bool(found.refused) for found in done] == [n % 2 == 0 for n in range(8)]
    assert [found.out == "hello" for found in done] == [n % 2 == 1 for n in range(8)]


def test_the_explanation_names_each_place_and_who_allows_it(box):
    done = box.run("true", allow=["*.Example.org:443", "[FD00::1]:* raw"], flags=["--explain"])
    assert "reachable  *.example.org:443 [sandbox.network.allow, option --allow]\n" in done.out
    assert "reachable  [fd00::1]:* raw [sandbox.network.allow, option --allow]\n" in done.out
    assert "reachable  api.anthropic.com:443 [the runner claude]\n" in done.out
    done = box.run("true", allow=["example.org"])
    assert done.code == 78 and "want HOST:PORT" in done.err


# a proxy on the way


class Uplink:
    """A proxy that resolves every name to this machine, and keeps what it was asked."""

    def __init__(self):
        self.asked = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(client,), daemon=True).start()

    def _one(self, client):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        self.asked.append(head.decode())
        method, target = head.decode().split(" ")[:2]
        port = int(re.search(r":(\d+)(/|$)", target).group(1))
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Granted\r\nX: y\r\n\r\n")
            else:
                server.sendall(head.replace(target.encode(), b"/", 1))

            def back():
                with contextlib.suppress(OSError):
                    while piece := server.recv(65536):
                        client.sendall(piece)
                    client.shutdown(socket.SHUT_WR)

            thread = threading.Thread(target=back)
            thread.start()
            with contextlib.suppress(OSError):
                while piece := client.recv(65536):
                    server.sendall(piece)
                server.shutdown(socket.SHUT_WR)
            thread.join(20)

    def end(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()


def test_a_proxy_on_the_way_is_followed_for_names(box, server, tls_server):
    uplink = Uplink()
    flags = ["--set", f"server.proxy=http://user:word@127.0.0.1:{uplink.port}"]
    allow = [f"site.test:{server.port}", f"site.test:{tls_server.port}",
             f"127.0.0.1:{server.port}"]
    done = box.run("curl", "-sS", f"http://site.test:{server.port}/", allow=allow, flags=flags)
    assert done.out == "hello", done.err
    done = box.python(tunnel_script(tls_server, ("site.test", "site.test"),
                                    ("site.test", "other.test"), ("else.test", "else.test")),
                      allow=allow, flags=flags)
    assert done.out == "HTTP/1.1 200\nclosed\n403\n", done.err
    assert [asked.split(" ")[0] for asked in uplink.asked] == ["GET", "CONNECT", "CONNECT"]
    assert all("Proxy-Authorization: Basic dXNlcjp3b3Jk\r\n" in asked for asked in uplink.asked)
    done = box.run("curl", "-sS", f"http://127.0.0.1:{server.port}/", allow=allow, flags=flags)
    assert done.out == "hello" and len(uplink.asked) == 3  # an address is reached without it
    assert "Proxy-Authorization" not in "".join(map(str, server.seen[-1]))
    uplink.end()


def test_a_name_that_may_lead_inside_is_resolved_here_whatever_proxy_there_is(box, server):
    """The proxy on the way can't know which addresses were granted."""
    with serving({"in.test": ["127.0.0.1"]}) as dns:
        uplink = Uplink()
        box.use_dns(dns)
        done = box.run("curl", "-sS", f"http://in.test:{server.port}/",
                       allow=[f"in.test:{server.port} loopback"],
                       flags=["--set", f"server.proxy=http://127.0.0.1:{uplink.port}"])
    uplink.end()
    assert (done.out, uplink.asked) == ("hello", []), done.err


# tasks


def test_the_error_reply_and_the_log_name_what_was_refused(make_daemon):
    daemon = make_daemon(sandbox={"network": {"mode": "allowlist", "allow": ["site.test:443"]}})
    text = daemon.failure("curl -sS https://example.org:8443/; curl -s http://example.org/; exit 3")
    assert text.startswith("sh ended with exit status 3")
    assert text.endswith(
        "[the task wanted example.org:8443, which the policy doesn't allow (sandbox.network.allow)"
        "\nthe task wanted example.org:80, which the policy doesn't allow (sandbox.network.allow)]")
    assert daemon.log.count("host_refused") == 2 and "host=example.org:8443" in daemon.log
    assert daemon.answer("curl -s http://example.org/ >/dev/null; echo done")["content"] == "done"


def test_check_says_what_tasks_reach(make_daemon):
    daemon = make_daemon(sandbox={"network": {"mode": "allowlist", "allow": ["site.test:443"]}})
    done = daemon.run("check", "-c", daemon.config, "--state", daemon.state + "2")
    assert "allowlist" in done.stdout and "site.test:443" in done.stdout, done.stdout
    assert "can't be checked" not in done.stdout
    for key in ("server.proxy", "sandbox.network.proxy"):
        done = daemon.run("check", "-c", daemon.config, "--state", daemon.state + "2",
                          "--set", f"{key}=http://user:hunter2@127.0.0.1:1")
        assert re.search(rf"^WARN +network +{key} resolves the names that tasks ask for: where they "
                         "lead can't be checked$", done.stdout, re.M), done.stdout
        assert "hunter2" not in done.stdout
