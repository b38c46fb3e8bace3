"""The hub as an HTTP server: odd, broken, slow and many clients."""

import json
import os
import random
import socket
import threading
import time

import pytest

from hubkit import wait_until


def connect(hub, timeout=30):
    client = socket.create_connection((hub.host.hostname, hub.host.port), timeout=timeout)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def read_answer(client):
    """(status, headers, body) of one answer with a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = client.recv(65536)
        assert part, f"closed after {data!r}"
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
    while len(body) < int(headers["content-length"]):
        part = client.recv(65536)
        assert part
        body += part
    return int(lines[0].split()[1]), headers, body


def request(hub, method="GET", path="/api/public/v1/agents", extra="", body=b"", key=None):
    head = (f"{method} {path} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {key or hub.org_key}\r\n{extra}")
    if body:
        head += f"Content-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def ends(client):
    """True once the server has closed the connection."""
    try:
        while client.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


def start_body(prompt="x"):
    return json.dumps({"agent_id": "test-agent", "prompt": prompt}).encode()


def test_many_requests_go_over_one_connection(hub):
    with connect(hub) as client:
        for _ in range(100):
            client.sendall(request(hub))
            assert read_answer(client)[0] == 200


def test_pipelined_requests_are_answered_in_order(hub):
    with connect(hub) as client:
        client.sendall(request(hub) + request(hub, path="/nowhere") + request(hub))
        data = b""
        while data.count(b"HTTP/1.1 ") < 3 or not data.endswith(b"]"):
            data += client.recv(65536)
    statuses = [part.split()[0] for part in data.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"404", b"200"]


def test_a_body_may_come_in_any_pieces(hub):
    message = request(hub, "POST", "/api/public/v1/conversations/start", body=start_body("pieces"))
    with connect(hub) as client:
        for i in range(0, len(message), 7):
            client.sendall(message[i:i + 7])
        assert read_answer(client)[0] == 201


def test_a_chunked_body_is_read(hub):
    body = start_body("chunked")
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 9]), body[i:i + 9])
                      for i in range(0, len(body), 9)) + b"0\r\n\r\n"
    with connect(hub) as client:
        client.sendall(request(hub, "POST", "/api/public/v1/conversations/start",
                               "Transfer-Encoding: chunked\r\n") + chunks)
        assert read_answer(client)[0] == 201


def test_a_client_that_asks_first_is_told_to_go_on(hub):
    body = start_body("expected")
    with connect(hub) as client:
        client.sendall(request(hub, "POST", "/api/public/v1/conversations/start",
                               f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n"))
        assert client.recv(100).startswith(b"HTTP/1.1 100")
        client.sendall(body)
        assert read_answer(client)[0] == 201


def test_endless_chunked_bodies_are_cut_off(hub):
    with connect(hub) as client:
        client.sendall(request(hub, "POST", "/api/public/v1/conversations/start",
                               "Transfer-Encoding: chunked\r\n"))
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        sent = 0
        try:
            while sent < 200:
                client.sendall(chunk)
                sent += 1
        except ConnectionError:
            pass
        assert sent < 100
    assert hub.api("GET", "/agents").status == 200


def test_an_announced_gigabyte_is_413_at_once(hub):
    with connect(hub) as client:
        client.sendall(request(hub, "POST", "/api/public/v1/conversations/start",
                               "Content-Length: 1000000000\r\n"))
        status, _, body = read_answer(client)
        assert status == 413
        assert "error" in json.loads(body)
        assert ends(client)


def test_bodies_that_are_too_much_together_are_503_and_pass_later(hub):
    body = start_body("x" * (7 << 20))
    message = request(hub, "POST", "/api/public/v1/conversations/start", body=body)
    clients = [connect(hub) for _ in range(24)]
    for client in clients:
        client.sendall(message[:-1])
    statuses = []
    for client in clients:
        client.sendall(message[-1:])
        status, headers, answer = read_answer(client)
        statuses.append(status)
        assert "error" in json.loads(answer)
        assert (status == 503) == (headers.get("retry-after") == "1")
        client.close()
    assert set(statuses) == {413, 503}, "a prompt of 7 MiB is too long by itself"
    assert statuses.count(413) >= 16
    hub.start("small ones pass again")


@pytest.mark.parametrize("data", [
    b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
    b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000,
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"\xff\x00" * 100 + b"\r\n\r\n", b"\0" * 5000,
], ids=lambda data: repr(data[:20]))
def test_what_is_no_http_does_no_harm(hub, data):
    with connect(hub) as client:
        try:
            client.sendall(data)
            client.settimeout(0.2)
            client.recv(100)
        except OSError:
            pass  # refused, or more is waited for
    assert hub.api("GET", "/agents").status == 200


def test_random_bytes_do_no_harm(hub):
    rng = random.Random(20261122)
    valid = request(hub, "POST", "/api/public/v1/conversations/start", body=start_body("fuzz"))
    for _ in range(200):
        data = bytearray(valid)
        for _ in range(rng.randrange(1, 20)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        with connect(hub) as client:
            client.sendall(data[:rng.randrange(1, len(data) + 1)])
    assert hub.api("GET", "/agents").status == 200


def test_clients_that_vanish_midway_leave_nothing_behind(hub):
    def open_files():
        return len(os.listdir(f"/proc/{hub.proc.pid}/fd"))

    assert hub.api("GET", "/agents").status == 200
    time.sleep(0.1)  # nap: for that request's own connection to be gone
    before = open_files()
    message = request(hub, "POST", "/api/public/v1/conversations/start", body=start_body())
    poll = request(hub, path="/api/agents/jobs", extra="Prefer: wait=100\r\n", key=hub.agent_key)
    for data in (message[:20], message[:-5], poll):
        clients = [connect(hub) for _ in range(50)]
        for client in clients:
            client.sendall(data)
        wait_until(lambda: open_files() >= before + 50, what="the connections to be accepted")
        for client in clients:
            client.close()
        wait_until(lambda: open_files() <= before, what="the connections to be gone")


def test_idle_connections_cost_no_wakeups(hub):
    def switches():
        with open(f"/proc/{hub.proc.pid}/status", encoding="ascii") as file:
            return sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)

    clients = [connect(hub) for _ in range(20)]
    for i, client in enumerate(clients):
        client.sendall(request(hub, path="/api/agents/jobs", key=hub.agent_key,
                               extra=f"Prefer: wait=100\r\nX-CCAGENT-ID: i{i}\r\n"))
    time.sleep(1)  # nap: for the polls to be held
    before = switches()
    time.sleep(3)  # nap: the time in which nothing is to happen
    assert switches() - before < 10
    for client in clients:
        client.close()


def test_more_connections_than_the_limit_wait_their_turn(hub):
    clients = [connect(hub) for _ in range(1050)]
    clients[-1].sendall(request(hub))
    clients[-1].settimeout(0.3)
    with pytest.raises(TimeoutError):
        clients[-1].recv(1)
    for client in clients[:100]:
        client.close()
    clients[-1].settimeout(30)
    assert read_answer(clients[-1])[0] == 200
    for client in clients[100:]:
        client.close()


def test_requests_in_parallel_are_all_answered(hub):
    failures = []

    def work():
        try:
            with connect(hub, timeout=60) as client:
                for i in range(25):
                    client.sendall(request(hub, "POST", "/api/public/v1/conversations/start",
                                           body=start_body(str(i))))
                    assert read_answer(client)[0] == 201
        except Exception as e:  # shown below, in the test's own thread
            failures.append(e)

    threads = [threading.Thread(target=work) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(hub.poll()) == 1000
