"""The hub as an HTTP server: random bytes, large bodies, many clients. What one client alone can do
wrong, is among the conformance cases."""

import contextlib
import json
import os
import random
import select
import socket
import threading
import time

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


def start_body(prompt="x"):
    return json.dumps({"agent_id": "test-agent", "prompt": prompt}).encode()


def test_a_body_may_come_in_any_pieces(hub):
    message = request(hub, "POST", "/api/public/v1/conversations/start", body=start_body("pieces"))
    with connect(hub) as client:
        for i in range(0, len(message), 7):
            client.sendall(message[i:i + 7])
        assert read_answer(client)[0] == 201


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


def test_whoever_has_no_key_keeps_nobody_out(hub):
    half = request(hub, "POST", body=b"x" * 100)[:-50]
    silent = [connect(hub) for _ in range(700)]
    slow = [connect(hub) for _ in range(700)]
    for client in slow:
        with contextlib.suppress(OSError):  # it may have made place already
            client.sendall(half)
    for _ in range(20):
        assert hub.api("GET", "/agents", timeout=20).status == 200
    for client in silent + slow:
        client.close()


def test_the_polls_of_one_agent_leave_connections_to_others(hub):
    clients = [connect(hub) for _ in range(401)]
    for i, client in enumerate(clients):
        client.sendall(request(hub, path="/api/agents/jobs", key=hub.agent_key,
                               extra=f"Prefer: wait=100\r\nX-CCAGENT-ID: i{i}\r\n"))
    [made_place] = select.select(clients, [], [], 30)[0]
    assert json.loads(read_answer(made_place)[2])["jobs"] == []
    for client in clients:
        client.close()


def test_bodies_of_strangers_take_no_place(hub):
    body = start_body("x" * (7 << 20))
    for path, key in (("/api/public/v1/conversations/start", "nr_" + "A" * 43),
                      ("/api/agents/messages", "nairid_" + "A" * 43), ("/nothing", "nr_"),
                      ("/socket.io/?EIO=4&transport=polling&sid=x", "nr_")):
        clients = [connect(hub) for _ in range(20)]
        for client in clients:
            client.sendall(request(hub, "POST", path, body=body, key=key)[:-1])
        hub.start("y" * 500000)
        for client in clients:
            client.sendall(body[-1:])
            assert read_answer(client)[0] in (401, 413)
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
