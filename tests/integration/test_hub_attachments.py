"""Attachments on the hub: who sees which, what is refused, and that nothing is left behind."""

import base64
import hashlib
import http.client
import json
import os
import signal

import pytest

import skillkit
from hubkit import Hub, on_small_disk, wait_until

ULID = "01KEQ6963XS96YDP3NF9NKB7QJ"
MIB = 1 << 20
BIG_MIB = 200
GROWTH_KB = 4 * 1024


def send(hub, data, filename="a.txt", agent=False, path="/attachments", **kwargs):
    call = hub.agents if agent else hub.api
    return call("POST", path, **{**skillkit.form(data, filename), **kwargs})


def upload(hub, data, filename="a.txt", **kwargs):
    answer = send(hub, data, filename, **kwargs)
    assert answer.status == 201 and set(answer.json) == {"attachment_id"}, answer
    return answer.json["attachment_id"]


def fetch(hub, attachment, agent=False, **kwargs):
    """The bytes of a file, or None where it isn't found."""
    answer = (hub.agents if agent else hub.api)("GET", f"/attachments/{attachment}", **kwargs)
    if answer.status == 404:
        return None
    assert answer.status == 200, answer
    members = {"id", "data"} if agent else {"id", "data", "filename"}
    assert set(answer.json) == members and answer.json["id"] == attachment
    return base64.b64decode(answer.json["data"], validate=True)


def answer_with(hub, message, attachments, number=1):
    return hub.agents("POST", "/messages", {
        "id": f"msg_{number}", "type": "assistant_message_v1",
        "payload": {"processed_message_id": message, "message": "done",
                    "attachment_ids": attachments}}, instance="one")


def files(hub):
    return set(os.listdir(f"{hub.db}-attachments"))


def test_a_file_goes_to_the_agent_with_its_message(hub):
    data = os.urandom(100001)
    file, other = upload(hub, data, "data.bin"), upload(hub, b"x")
    assert fetch(hub, file) == data
    assert fetch(hub, file, agent=True) is None  # no message of its own has it yet
    job, message = hub.start("look", attachment_ids=[other, file])
    [listed] = hub.poll(instance="one")
    payload = listed["messages"][0]["payload"]
    assert payload["attachments"] == [{"attachment_id": other}, {"attachment_id": file}]
    assert fetch(hub, file, agent=True) == data
    assert hub.message(message)["attachment_ids"] == [other, file]
    more = hub.resume(job, "and this", attachment_ids=[file])
    plain = hub.resume(job, "and nothing")
    [listed] = hub.poll(instance="one", wait_s=5)
    payloads = {m["id"]: m["payload"] for m in listed["messages"]}
    assert payloads[more]["attachments"] == [{"attachment_id": file}]
    assert "attachments" not in payloads[plain]
    assert "attachment_ids" not in hub.message(plain)


def test_a_file_of_the_agent_goes_out_with_its_answer(hub):
    job, message = hub.start("make")
    hub.poll(instance="one")
    file = upload(hub, b"made", "made.txt", agent=True)
    assert fetch(hub, file, agent=True) == b"made"
    assert answer_with(hub, message, [file]).json == {"stored": True}
    assert answer_with(hub, message, [file]).json == {"stored": False}
    rows = hub.messages(job)
    assert rows[-1]["role"] == "assistant" and rows[-1]["attachment_ids"] == [file]
    assert fetch(hub, file) == b"made"
    assert hub.api("GET", f"/attachments/{file}").json["filename"] == "made.txt"


def test_a_files_name_is_made_harmless(hub):
    for name, shown in (("../../etc/passwd", "passwd"), ("C:\\dir\\a.txt", "a.txt"), ("..", "file"),
                        ("", "file"), ("a\tb\x1b[31m\x07c", "a bc"), ("x" * 300, "x" * 255),
                        ("na\u00efve \u2603.txt", "na\u00efve \u2603.txt"), ("dir/", "file")):
        form = skillkit.form(b"1")
        form["body"] = form["body"].replace(b"skill.zip", name.encode())
        file = hub.api("POST", "/attachments", **form).json["attachment_id"]
        assert hub.api("GET", f"/attachments/{file}").json["filename"] == shown, name


def test_ids_that_are_none_create_nothing(hub):
    job, message = hub.start("x")
    hub.poll(instance="one")
    for ids in ("att_1", ["att_1"], [f"cmsg_{ULID}"], [f"att_{ULID}"], [7], [None], [[]], {"a": 1},
                ["../x"], [f"att_{ULID}/.."]):
        answer = hub.api("POST", "/conversations/start",
                         {"agent_id": hub.slug, "prompt": "x", "attachment_ids": ids})
        assert answer.status == 400 and "attachment_ids" in answer.json["error"], ids
        answer = hub.api("POST", f"/conversations/{job}/continue",
                         {"prompt": "x", "attachment_ids": ids})
        assert answer.status == 400, ids
        assert answer_with(hub, message, ids).status == 400, ids
    assert len(hub.api("GET", "/conversations").json["conversations"]) == 1
    assert len(hub.messages(job)) == 1 and hub.message(message)["status"] == "pending"


def test_ten_files_go_with_a_message_and_each_once(hub):
    ids = [upload(hub, b"%d" % i) for i in range(11)]
    body = {"agent_id": hub.slug, "prompt": "x"}
    for wrong in (ids, ids[:2] + ids[:1]):
        answer = hub.api("POST", "/conversations/start", {**body, "attachment_ids": wrong})
        assert answer.status == 400
    _, message = hub.start("x", attachment_ids=ids[:10])
    assert hub.message(message)["attachment_ids"] == ids[:10]


def test_another_agent_sees_none_of_it(hub):
    stranger = hub.key_create("--agent", "stranger")
    file, made = upload(hub, b"1"), upload(hub, b"2", agent=True)
    hub.start("x", attachment_ids=[file])
    for attachment in (file, made, f"att_{ULID}"):
        assert fetch(hub, attachment, agent=True, key=stranger) is None
    assert hub.api("GET", "/attachments/att_x").status == 400
    assert hub.agents("GET", "/attachments/..%2F..%2Fhub.db").status == 400
    theirs = hub.api("POST", "/conversations/start",
                     {"agent_id": "stranger", "prompt": "x"}).json["message_id"]
    hub.poll(key=stranger)
    answer = hub.agents("POST", "/messages", {
        "id": "msg_1", "type": "assistant_message_v1",
        "payload": {"processed_message_id": theirs, "message": "x", "attachment_ids": [made]}},
        key=stranger)
    assert answer.status == 400, answer


def test_what_is_no_upload_is_refused_and_leaves_nothing(hub):
    cut = skillkit.form(b"1")["body"].replace(b"--b--", b"")
    for change, words in (
            ({"body": b""}, "no end"), ({"body": b"--b--\r\n"}, "no part"),
            ({"body": b"--b\r\n"}, "no end"), ({"body": cut}, "no end"),
            ({"body": skillkit.form(b"")["body"]}, "empty"),
            ({"body": skillkit.form(b"1", name="other")["body"]}, "no part"),
            ({"body": cut * 2 + b"--b--"}, "two parts"), ({"headers": {}}, "multipart/form-data"),
            ({"headers": {"Content-Type": "multipart/form-data"}}, "multipart/form-data")):
        for call in (hub.api, hub.agents):
            answer = call("POST", "/attachments", **{**skillkit.form(b"1"), **change})
            assert answer.status == 400 and words in answer.json["error"], (change, answer)
    wait_until(lambda: not files(hub), what="no files")


def test_too_long_a_file_is_refused_and_leaves_nothing(make_hub):
    hub = make_hub(extra=["--attachment-max", "1M"])
    assert fetch(hub, upload(hub, b"x" * MIB)) == b"x" * MIB
    kept = files(hub)
    for size in (MIB + 1, 3 * MIB):
        answer = send(hub, b"x" * size)
        assert answer.status == 413 and "longer than" in answer.json["error"], answer

    def pieces():
        body = skillkit.form(b"x" * 3 * MIB)["body"]
        for at in range(0, len(body), 4096):
            yield body[at:at + 4096]

    connection = http.client.HTTPConnection(hub.host.hostname, hub.host.port, timeout=60)
    connection.request("POST", "/api/agents/attachments", body=pieces(), encode_chunked=True,
                       headers={"Authorization": f"Bearer {hub.agent_key}",
                                "Content-Type": "multipart/form-data; boundary=b",
                                "Transfer-Encoding": "chunked"})
    assert connection.getresponse().status == 413
    connection.close()
    wait_until(lambda: files(hub) == kept, what="the files of before")


def test_who_has_no_key_writes_nothing(hub):
    for key in (None, "nr_x", "nr_" + "A" * 43, hub.agent_key):
        with begun(hub, "/api/public/v1/attachments", key, b"x" * MIB):
            assert hub.api("GET", "/agents").status == 200
            assert not files(hub)
        assert send(hub, b"x" * (8 * MIB), key=key).status == 401
        assert not files(hub)
        polite = begun(hub, "/api/public/v1/attachments", key, b"x" * MIB, expect=True).connection
        assert polite.getresponse().status == 401  # who asks first need not send it all
        polite.close()


class begun:
    """An upload of which only half has been sent."""

    def __init__(self, hub, path, key, data, expect=False):
        body = skillkit.form(data)["body"]
        self.connection = http.client.HTTPConnection(hub.host.hostname, hub.host.port, timeout=60)
        self.connection.putrequest("POST", path)
        self.connection.putheader("Content-Type", "multipart/form-data; boundary=b")
        self.connection.putheader("Content-Length", str(len(body)))
        if expect:
            self.connection.putheader("Expect", "100-continue")
        if key:
            self.connection.putheader("Authorization", f"Bearer {key}")
        self.connection.endheaders()
        self.half = body[:len(body) // 2]

    def __enter__(self):
        self.connection.send(self.half)
        return self.connection

    def __exit__(self, *_):
        self.connection.close()


def test_half_an_upload_leaves_nothing(hub):
    with begun(hub, "/api/public/v1/attachments", hub.org_key, b"x" * MIB):
        wait_until(lambda: files(hub), what="a file that is being written")
        hub.start("nobody waits for it")
    wait_until(lambda: not files(hub), what="no files")


def test_what_a_kill_leaves_is_removed_by_the_next_start(hub):
    kept = upload(hub, b"kept")
    directory = f"{hub.db}-attachments"
    with begun(hub, "/api/agents/attachments", hub.agent_key, b"x" * MIB):
        wait_until(lambda: files(hub) > {kept}, what="a file that is being written")
        hub.end(signal.SIGKILL)
    for name in (f"att_{ULID}", f"att_{ULID}.part", "README", "att_short"):
        with open(os.path.join(directory, name), "w", encoding="ascii") as file:
            file.write("x")
    hub.boot()
    assert files(hub) == {kept, "README", "att_short"}
    assert fetch(hub, kept) == b"kept"
    for name in ("README", "att_short"):
        os.unlink(os.path.join(directory, name))


def test_a_file_that_is_lost_or_changed_is_an_error_and_no_lie(hub):
    file = upload(hub, b"x" * 1000)
    path = os.path.join(f"{hub.db}-attachments", file)
    os.truncate(path, 500)
    assert hub.api("GET", f"/attachments/{file}").status == 500
    os.unlink(path)
    answer = hub.api("GET", f"/attachments/{file}")
    assert answer.status == 500 and "send it again" in answer.json["error"]
    os.symlink("/etc/passwd", path)
    assert hub.api("GET", f"/attachments/{file}").status == 500
    os.unlink(path)
    assert hub.api("GET", "/agents").status == 200


def test_uploads_that_nobody_refers_to_go_after_a_time(make_hub):
    hub = make_hub(extra=["--keep-uploads", "500ms"])
    unused = upload(hub, b"1")
    used = None
    while used is None:  # it may be too late for one that is just there
        file = upload(hub, b"2")
        answer = hub.api("POST", "/conversations/start", {
            "agent_id": hub.slug, "prompt": "x", "attachment_ids": [file]})
        used = file if answer.status == 201 else None
    wait_until(lambda: fetch(hub, unused) is None, what="the unused one to go")
    wait_until(lambda: files(hub) == {used}, what="its file to go")
    assert fetch(hub, used) == b"2"


def test_the_files_of_an_agent_have_a_bound_together(make_hub):
    hub = make_hub(extra=["--agent-files", "1M"])
    first = upload(hub, b"x" * (MIB // 2), agent=True)
    upload(hub, b"x" * (2 * MIB))  # the organisation's are its own
    kept = files(hub)
    answer = send(hub, b"x" * (MIB // 2 + 1), agent=True)
    assert answer.status == 413 and "together at most 1M" in answer.json["error"], answer
    wait_until(lambda: files(hub) == kept, what="the refused file to go")
    upload(hub, b"x" * (MIB // 2), agent=True)
    assert hub.api("GET", f"/agents/{hub.slug}").json["uploaded_bytes"] == MIB
    polite = begun(hub, "/api/agents/attachments", hub.agent_key, b"x" * MIB, expect=True)
    assert polite.connection.getresponse().status == 413  # before any of it is sent
    polite.connection.close()
    other = hub.key_create("--agent", "other")
    upload(hub, b"x", agent=True, key=other)
    assert hub.api("DELETE", f"/attachments/{first}").status == 204
    upload(hub, b"x" * (MIB // 2), agent=True)


def test_a_deleted_attachment_is_gone_from_the_disk_and_its_message(hub):
    gone, kept = upload(hub, b"1"), upload(hub, b"2")
    job, message = hub.start("look", attachment_ids=[gone, kept])
    assert hub.api("DELETE", f"/attachments/{gone}").status == 204
    wait_until(lambda: files(hub) == {kept}, what="the file to go")
    assert hub.message(message)["attachment_ids"] == [kept]
    assert hub.api("DELETE", f"/attachments/{gone}").status == 404
    assert hub.api("DELETE", "/attachments/x").status == 400
    assert hub.agents("DELETE", f"/attachments/{kept}").status == 405
    [listed] = hub.poll(instance="one")
    assert listed["messages"][0]["payload"]["attachments"] == [{"attachment_id": kept}]


def test_attachments_leave_room_on_the_disk_for_messages(make_hub):
    hub = make_hub(extra=["--keep-free", "1024T"])
    for agent in (False, True):
        answer = send(hub, b"x" * (2 * MIB), agent=agent)
        assert answer.status == 507 and "keeps 1024T of its disk free" in answer.json["error"]
    assert not files(hub)
    hub.start("there is room for this")
    hub.extra = ["--keep-free", "0"]
    hub.restart()
    upload(hub, b"x")


def memory_kb(hub, what):
    with open(f"/proc/{hub.proc.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(what))


def test_200_megabytes_each_way_need_no_memory(make_hub):
    hub = make_hub(extra=["--attachment-max", f"{BIG_MIB}M"])
    upload(hub, os.urandom(2 * MIB))  # what is made once
    block = os.urandom(MIB)
    whole, end = skillkit.form(b"|")["body"].split(b"|")
    digest = hashlib.sha256(block * BIG_MIB).hexdigest()
    before = memory_kb(hub, "VmRSS")

    def pieces():
        yield whole
        for _ in range(BIG_MIB):
            yield block
        yield end

    connection = http.client.HTTPConnection(hub.host.hostname, hub.host.port, timeout=300)
    connection.request("POST", "/api/public/v1/attachments", body=pieces(),
                       headers={"Authorization": f"Bearer {hub.org_key}",
                                "Content-Type": "multipart/form-data; boundary=b",
                                "Content-Length": str(len(whole) + len(end) + BIG_MIB * MIB)})
    answer = connection.getresponse()
    assert answer.status == 201
    file = json.loads(answer.read())["attachment_id"]
    connection.request("GET", f"/api/public/v1/attachments/{file}",
                       headers={"Authorization": f"Bearer {hub.org_key}"})
    answer = connection.getresponse()
    size = int(answer.headers["Content-Length"])
    head = f'{{"id":"{file}","filename":"skill.zip","data":"'.encode()
    assert answer.status == 200 and answer.read(len(head)) == head
    found = hashlib.sha256()
    left = size - len(head) - 2
    while left > 0:
        text = answer.read(min(left, 4 * MIB))
        left -= len(text)
        found.update(base64.b64decode(text, validate=True))
    assert answer.read() == b'"}' and found.hexdigest() == digest
    connection.close()
    grown = memory_kb(hub, "VmHWM") - before
    print(f"report: {BIG_MIB} MB each way: the hub's memory grew by {grown} kB")
    assert grown < GROWTH_KB


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_full_disk_is_507_and_gives_its_room_back(tmp_path):
    hub = on_small_disk(tmp_path, Hub, extra=["--keep-free", "0"])
    kept = upload(hub, b"x" * MIB)
    for _ in range(3):
        answer = send(hub, b"x" * (10 * MIB))
        assert answer.status == 507 and "make room" in answer.json["error"], answer
        assert os.listdir(f"{hub.disk}/hub.db-attachments") == [kept]
        _, message = hub.start("there is room for this", attachment_ids=[kept])
        assert hub.message(message)["status"] == "queued"
    assert fetch(hub, upload(hub, b"y" * MIB)) == b"y" * MIB
    assert hub.end() == 0
