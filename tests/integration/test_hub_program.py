"""The program nairi-hub: command line, files, exit codes, what it does with a bad database or disk."""

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import time

import pytest

from hubkit import Hub, program, wait_until


def run(*args, env=None, cwd=None, **kwargs):
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(env or {})}
    return subprocess.run([program("nairi-hub"), *args], env=env, cwd=cwd, timeout=60,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, **kwargs)


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("args,words", [
    ([], "verb is missing"), (["nonsense"], "nonsense"), (["key"], "create, list, rotate or revoke"),
    (["key", "nonsense"], "nonsense"), (["serve", "--nonsense"], "--nonsense"),
    (["serve", "--lissten", "x"], "'--listen'"),
    (["serve", "extra"], "extra"), (["serve", "--org", "x"], "--org"),
    (["serve", "--listen"], "argument"), (["key", "create"], "--org NAME and --agent SLUG"),
    (["key", "create", "--org", "a", "--agent", "b"], "one of"), (["key", "revoke"], "id of a key"),
    (["key", "create", "--agent", "a b"], "no agent slug"),
    (["key", "create", "--agent", "cci_x"], "no agent slug"),
    (["key", "create", "--agent", ""], "no agent slug"),
    (["key", "create", "--org", ""], "name"), (["key", "create", "--org", "a\nb"], "name"),
    (["serve", "--listen", "nonsense"], "HOST:PORT"),
    (["serve", "--listen", "example.org:80"], "numeric"),
    (["serve", "--listen", "127.0.0.1:65536"], "HOST:PORT"),
    (["serve", "--patience", "0"], "1 to 3600 seconds"),
    (["serve", "--patience", "2m"], "1 to 3600 seconds"),
    (["serve", "--listen", "[::1:80"], "HOST:PORT"),
])
def test_wrong_usage_is_64_with_a_sentence(tmp_path, args, words):
    done = run(*args, env={"XDG_STATE_HOME": str(tmp_path)})
    assert done.returncode == 64, done
    assert words in done.stderr
    assert done.stdout == ""


def test_help_and_version_need_nothing(tmp_path):
    for args in (["--help"], ["help"], ["serve", "--help"], ["key", "create", "-h"]):
        done = run(*args)
        assert (done.returncode, done.stderr) == (0, "")
        assert "usage: nairi-hub serve [--listen ADDR] " in done.stdout
    assert re.fullmatch(r"nairi-hub \d+\.\d+\.\d+\n", run("--version").stdout)


def test_key_create_prints_the_key_alone(tmp_path):
    db = tmp_path / "deep" / "er" / "hub.db"
    done = run("key", "create", "--org", "acme", "--db", str(db))
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"nr_[A-Za-z0-9_-]{43}\n", done.stdout)
    done = run("key", "create", "--db", str(db), "--agent", "github.com/owner/repo")
    assert re.fullmatch(r"nairid_[A-Za-z0-9_-]{43}\n", done.stdout)
    listed = run("key", "list", "--db", str(db)).stdout.splitlines()
    assert [line.split()[1:3] for line in listed] == [["org", "acme"],
                                                      ["agent", "github.com/owner/repo"]]


def test_files_are_private_and_hold_no_key(tmp_path):
    db = tmp_path / "new" / "hub.db"
    old = os.umask(0)
    try:
        key = run("key", "create", "--org", "acme", "--db", str(db)).stdout.strip()
        hub = Hub(db.parent).boot()
    finally:
        os.umask(old)
    hub.start("hello")
    assert mode_of(db.parent) == 0o700
    assert mode_of(f"{db}-attachments") == 0o700
    for name in os.listdir(db.parent):
        if os.path.isdir(db.parent / name):
            continue
        assert mode_of(db.parent / name) == 0o600, name
        with open(db.parent / name, "rb") as file:
            content = file.read()
        for secret in (key, hub.org_key, hub.agent_key):
            assert secret.encode() not in content
            assert secret.split("_", 1)[1].encode() not in content
    assert hub.end() == 0
    assert hub.org_key not in hub.log


def test_a_database_that_others_may_read_is_closed_to_them(tmp_path):
    hub = Hub(tmp_path)
    os.chmod(hub.db, 0o666)
    hub.boot()
    assert mode_of(hub.db) == 0o600
    assert hub.end() == 0


@pytest.mark.parametrize("env,where", [
    ({"STATE_DIRECTORY": "{}/s:/other"}, "s/hub.db"),
    ({"XDG_STATE_HOME": "{}/x"}, "x/nairi-hub/hub.db"),
])
def test_without_db_the_environment_says_where_it_is(tmp_path, env, where):
    env = {key: value.format(tmp_path) for key, value in env.items()}
    assert run("key", "create", "--org", "a", env=env).returncode == 0
    assert (tmp_path / where).exists()


def test_revoking_what_is_not_there_says_so(tmp_path):
    run("key", "create", "--org", "acme", "--db", str(tmp_path / "hub.db"))
    done = run("key", "revoke", "key_x", "--db", str(tmp_path / "hub.db"))
    assert done.returncode == 64
    assert "key list" in done.stderr


def test_a_key_given_in_place_of_its_id_is_not_repeated(tmp_path):
    key = run("key", "create", "--org", "acme", "--db", str(tmp_path / "hub.db")).stdout.strip()
    done = run("key", "revoke", key, "--db", str(tmp_path / "hub.db"))
    assert done.returncode == 64
    assert key not in done.stderr and "key_" in done.stderr


# serving


def test_ready_is_the_first_line_and_names_the_port(tmp_path):
    hub = Hub(tmp_path).boot()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", hub.url)
    assert hub.api("GET", "/agents").status == 200
    assert "exposed" not in hub.log
    assert hub.end() == 0


def test_it_serves_ipv6_loopback_too(make_hub):
    hub = make_hub(listen="[::1]:0")
    assert hub.url.startswith("http://[::1]:")
    assert hub.api("GET", "/agents").status == 200
    assert "exposed" not in hub.log
    hub.listen = "[::1]:0"


def test_listening_beyond_loopback_warns_of_it(make_hub):
    hub = make_hub(listen="0.0.0.0:0")
    wait_until(lambda: "listening" in hub.log)
    (line,) = [line for line in hub.log.splitlines() if "exposed" in line]
    assert "warning" in line and "plain HTTP" in line and "on the wire" in line


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_answers_pending_polls_and_exits_0(tmp_path, signo):
    hub = Hub(tmp_path).boot()
    request = (f"GET /api/agents/jobs HTTP/1.1\r\nHost: x\r\nPrefer: wait=60\r\n"
               f"Authorization: Bearer {hub.agent_key}\r\n\r\n")
    with socket.create_connection((hub.host.hostname, hub.host.port)) as client, \
            socket.create_connection((hub.host.hostname, hub.host.port)) as idle:
        client.sendall(request.encode())
        time.sleep(0.2)  # nap: so that the poll is held when the signal comes
        began = time.monotonic()
        assert hub.end(signo) == 0
        assert time.monotonic() - began < 10
        client.settimeout(5)
        answer = b""
        while part := client.recv(4096):
            answer += part
        assert answer.startswith(b"HTTP/1.1 200")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["jobs"] == []
        assert idle.recv(10) == b""


def test_a_second_hub_on_the_same_database_is_refused(hub):
    done = run("serve", "--listen", "127.0.0.1:0", "--db", hub.db)
    assert done.returncode == 75
    assert "already" in done.stderr and hub.db in done.stderr


def test_a_taken_port_is_refused_with_75(hub, tmp_path):
    done = run("serve", "--listen", f"127.0.0.1:{hub.host.port}", "--db", str(tmp_path / "o.db"))
    assert done.returncode == 75
    assert "another program has that port" in done.stderr


# databases


def test_a_newer_schema_is_refused_with_78_and_left_alone(tmp_path):
    hub = Hub(tmp_path)
    base = sqlite3.connect(hub.db)
    base.execute("PRAGMA user_version = 99")
    base.close()
    done = run("serve", "--listen", "127.0.0.1:0", "--db", hub.db)
    assert done.returncode == 78
    assert "99" in done.stderr and "newer" in done.stderr
    assert run("key", "list", "--db", hub.db).returncode == 78
    base = sqlite3.connect(hub.db)
    assert base.execute("PRAGMA user_version").fetchone() == (99,)


def test_another_programs_database_is_refused(tmp_path):
    path = tmp_path / "other.db"
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE theirs (x)")
    base.commit()
    base.close()
    done = run("serve", "--listen", "127.0.0.1:0", "--db", str(path))
    assert done.returncode == 74
    assert "another program" in done.stderr


@pytest.mark.parametrize("content", [b"no database at all" * 100,
                                     b"SQLite format 3\0" + b"\xff" * 4096],
                         ids=["text", "garbage"])
def test_a_file_that_is_no_database_is_refused_with_a_sentence(tmp_path, content):
    path = tmp_path / "hub.db"
    path.write_bytes(content)
    done = run("serve", "--listen", "127.0.0.1:0", "--db", str(path))
    assert done.returncode == 74, done
    assert str(path) in done.stderr and "backup" in done.stderr
    assert path.read_bytes() == content


def test_a_path_that_cannot_be_made_is_73(tmp_path):
    (tmp_path / "file").write_text("x")
    assert run("key", "list", "--db", str(tmp_path / "file" / "hub.db")).returncode == 73
    done = run("key", "list", "--db", str(tmp_path))
    assert done.returncode == 73
    assert str(tmp_path) in done.stderr


def test_damage_found_while_serving_is_500_and_the_hub_goes_on(tmp_path):
    hub = Hub(tmp_path).boot()
    job, message = hub.start("x" * 3000)
    for i in range(200):
        hub.resume(job, "y" * 3000)
    assert hub.end() == 0
    size = os.path.getsize(hub.db)
    with open(hub.db, "r+b") as file:
        file.seek(size // 2)
        file.write(b"\xa5" * (size - size // 2))
    hub.boot()
    answer = hub.api("GET", f"/conversations/{job}/messages")
    assert answer.status == 500
    assert "database" in answer.json["error"]
    wait_until(lambda: "database_failed" in hub.log, 10, "the log to name the failure")
    assert hub.request("GET", "/nowhere").status == 404, "still there"
    assert hub.end() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_full_disk_is_500_and_work_goes_on_when_there_is_room(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    hub = Hub(tmp_path / "made")
    hub.wrap = ["unshare", "-m", "bash", "-c",
                'mount -t tmpfs -o size=3m none "$0" && cp "$1"/* "$0"/ && shift && exec "$@"',
                str(disk), hub.state]
    made, hub.db = hub.db, str(disk / "hub.db")
    hub.boot()
    stored = []
    while True:
        answer = hub.api("POST", "/conversations/start",
                         {"agent_id": "test-agent", "prompt": "x" * 100_000})
        if answer.status != 201:
            break
        stored.append(answer.json["message_id"])
        assert len(stored) < 100
    assert answer.status == 500
    assert "full" in answer.json["error"]
    assert stored
    for message in stored:
        assert hub.message(message)["status"] == "queued"
    assert hub.api("POST", "/conversations/start",
                   {"agent_id": "test-agent", "prompt": "x" * 100_000}).status == 500
    subprocess.run(["nsenter", "-m", "-r", "-t", str(hub.proc.pid), "mount", "-o", "remount,size=30m",
                    str(disk)], check=True)
    job, message = hub.start("room again")
    assert hub.message(message)["status"] == "queued"
    assert hub.end() == 0
    shutil.rmtree(os.path.dirname(made))


@pytest.mark.parametrize("args", [["list"], ["revoke", "key_x"]])
def test_a_mistyped_database_is_no_hub_without_keys(tmp_path, args):
    done = run("key", *args, "--db", str(tmp_path / "typo.db"))
    assert done.returncode != 0 and "typo.db" in done.stderr and "--db" in done.stderr
    assert os.listdir(tmp_path) == []
