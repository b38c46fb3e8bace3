"""That coverage.txt is whole and true: each endpoint and each type of message has its cases."""

import fnmatch
import glob
import os
import re

import pytest

import casefile

from openapikit import load

HERE = casefile.FOLDER
DAEMON = os.path.join(HERE, "..", "..", "daemon")
ENDPOINTS = {"GET /api/agents/token": "token", "GET /api/agents/env": "env",
             "GET /api/agents/artifacts": "artifacts", "GET /api/agents/jobs": "poll",
             "GET /api/agents/attachments/{id}": "download",
             "POST /api/agents/attachments": "upload",
             "POST /api/agents/messages": "reply|processing|progress",
             "POST /api/agents/messages/{id}/ack": "ack"}
# what a case has that plays the type, where its name isn't written there
DAEMON_WORDS = {"start_conversation_v1": "give|many", "unknown": "dance_v1|\"type\"|record type",
                "user_message_v1": "give .* in |user_message_v1", "attachments": "attach|files",
                "processing_message_v1": "processing", "agent_progress_v1": "progress",
                "assistant_message_v1": "reply", "system_message_v1": "error",
                "job_complete_v1": "complete", "ping": r'\["ping"', "check_idle_jobs_v1": None}
HUB_WORDS = {"unknown": "dance_v1|made_up", "start_conversation_v1": "start ", "user_message_v1":
             "continue "}


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def rows():
    """{(who, what): patterns of cases}"""
    lines = [line for line in read(HERE, "coverage.txt").splitlines()
             if line and not line.startswith("#")]
    parsed = [re.fullmatch(r"(daemon|hub) (.+): (\S.*)", line) for line in lines]
    assert all(parsed), [line for line, good in zip(lines, parsed) if not good]
    assert len({(row[1], row[2]) for row in parsed}) == len(parsed), "a row stands there twice"
    return {(row[1], row[2]): row[3].split() for row in parsed}


ROWS = rows()
CASES = {case.name: read(case.path) for case in casefile.find("daemon", "hub")}


def cases_of(patterns):
    found = []
    for pattern in patterns:
        names = fnmatch.filter(CASES, pattern)
        assert names, f"there is no case {pattern}"
        found += names
    return found


def document():
    return load(os.path.join(DAEMON, "hub", "openapi.json"))


def sources(*folders):
    return "".join(read(path) for folder in folders
                   for path in sorted(glob.glob(os.path.join(DAEMON, folder, "*.c"))))


def hub_calls(text):
    """(method, path) of what a case sends to the hub."""
    calls = re.findall(r"^call ([A-Z]+) (\S+)", text, re.M)
    return calls + re.findall(r"^  line ([A-Z]+) (\S+) HTTP/1", text, re.M)


def plays_operation(op, text):
    session = re.search("^session ", text, re.M)
    pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(op.path)) + r"(\?.*)?"
    return any(method == op.method and (re.fullmatch(pattern, path) or session and
                                        path == "${s}" and op.path == "/socket.io/")
               for method, path in hub_calls(text))


def daemon_words(what):
    """The expression that a case has which plays a row of the daemon's."""
    if what in ENDPOINTS:
        return rf"\b({ENDPOINTS[what]})\b"
    if re.fullmatch("(GET|POST) /socket.?io/", what):
        return "^channel"
    kind = what.split(" ")[-1]
    return DAEMON_WORDS[kind] or kind


def test_every_operation_of_the_hubs_document_has_its_case():
    """A case of any kind does; these are more than a table could keep up to date."""
    hub = {name: text for name, text in CASES.items() if name.startswith("hub/")}
    missing = [str(op) for op in document().operations
               if not any(plays_operation(op, text) for text in hub.values())]
    assert missing == [], "write a case below tests/conformance/hub that calls them"


def test_a_call_of_something_else_does_not_count():
    [op] = [op for op in document().operations
            if (op.method, op.path) == ("GET", "/api/public/v1/agents/{agent}")]
    assert plays_operation(op, "call GET /api/public/v1/agents/${slug}\nanswer 200")
    for call in ("PATCH /api/public/v1/agents/x", "GET /api/public/v1/agents",
                 "GET /api/public/v1/agents/x/env-vars"):
        assert not plays_operation(op, f"call {call}\nanswer 200")


def test_every_operation_goes_well_in_a_case():
    """With the status of its success, right behind the call."""
    texts = [text for name, text in CASES.items() if name.startswith("hub/")]
    bad = []
    for op in document().operations:
        good = [status for status in op.statuses if status < "300"]
        if not good:  # GET /api/agents/token: a hub has none to give
            continue
        seen = set()
        for text in texts:
            for step in re.split(r"^(?=call |send)", text, flags=re.M)[1:]:
                answer = re.search(r"^answer (\d+)", step, re.M)
                if answer and plays_operation(op, "session s\n" + step):
                    seen.add(answer[1])
        if not seen & set(good):
            bad.append(f"{op}: {sorted(seen)}")
    assert bad == []


def test_every_endpoint_that_the_daemon_asks_has_its_row():
    text = sources("upstream")
    asked = set(re.findall(r'"%s(/api/agents/\w+|/socket\.?io/)', text))
    assert len(asked) >= 4, "the daemon's URLs are made in another way now"
    documents = re.search(r"names\[KIND_COUNT\] = \{(.*?)\};", sources("main"), re.S)
    asked |= {f"/api/agents/{name}" for name in re.findall(r'"(\w+)"', documents[1])}
    in_rows = {what for who, what in ROWS if who == "daemon"}
    for path in asked:
        assert any(what.split(" ")[-1].startswith(path) for what in in_rows), path
    assert set(ENDPOINTS) <= in_rows


@pytest.mark.parametrize("who,folder", [("daemon", "upstream"), ("hub", "hub")])
def test_every_type_that_is_written_in_the_sources_has_its_row(who, folder):
    types = set(re.findall(r'"(\w+_v1)"', sources(folder)))
    assert len(types) >= 7
    in_rows = {what.split(" ")[-1] for name, what in ROWS if name == who}
    assert types - in_rows == set()


@pytest.mark.parametrize("who,what", ROWS, ids=" ".join)
def test_the_cases_of_a_row_are_there_and_play_it(who, what):
    names = cases_of(ROWS[who, what])
    assert all(name.startswith(who) for name in names)
    kind = what.split(" ")[-1]
    words = daemon_words(what) if who == "daemon" else HUB_WORDS.get(kind, kind)
    idle = [name for name in names if not re.search(words, CASES[name], re.M)]
    assert not (idle if len(names) < 5 else len(idle) == len(names)), f"no {words} in {idle}"
    if " channel " in what and who == "daemon":
        assert all(re.search("^channel", CASES[name], re.M) for name in names)
