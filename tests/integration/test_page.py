"""The hub's web page as files: what is served, to whom, and with which words to the browser. What a
real browser makes of it is in page_browser.py."""

import os
import re

import pytest

FOLDER = os.path.join(os.path.dirname(__file__), "../../daemon/hub/page")
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".mjs": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
FILES = sorted(os.listdir(FOLDER))


def source(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return file.read()


def test_the_root_is_the_page_and_needs_no_key(hub):
    answer = hub.request("GET", "/")
    assert answer.status == 200
    assert answer.raw.decode() == source("index.html")


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_served_as_it_is_in_the_tree(hub, name):
    answer = hub.request("GET", "/" + name)
    assert answer.status == 200
    assert answer.raw.decode() == source(name)
    assert answer.headers["Content-Type"] == TYPES[os.path.splitext(name)[1]]
    head = hub.request("HEAD", "/" + name)
    assert head.status == 200 and head.raw == b""
    assert int(head.headers["Content-Length"]) == len(answer.raw)


def test_the_browser_is_told_to_load_and_run_nothing_else(hub):
    for name in [""] + FILES:
        headers = hub.request("GET", "/" + name).headers
        policy = dict(part.strip().split(" ", 1)
                      for part in headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert {policy[k] for k in ("script-src", "style-src", "img-src", "connect-src")} == {"'self'"}
        assert policy["require-trusted-types-for"] == "'script'"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"


def test_another_method_is_refused_by_name(hub):
    answer = hub.request("POST", "/page.mjs", {})
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/index", "/page/../index.html", "/%2e%2e/hub.db", "//index.html",
                                  "/page.mjs/", "/hub.db"])
def test_nothing_but_those_files_is_served(hub, path):
    assert hub.request("GET", path).status in (400, 404)


def test_the_page_has_no_way_to_turn_text_into_markup():
    for name in FILES:
        if name.endswith(".mjs"):
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|"
                                 r"new Function|DOMParser|srcdoc", source(name)), name
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|style=", source("index.html"))


def test_the_page_names_no_other_host():
    for name in FILES:
        hosts = set(re.findall(r"https?://([\w.-]+)", source(name)))
        assert hosts <= {"www.w3.org"}, name  # the name space of SVG


def test_an_agent_object_says_who_is_online(hub):
    assert hub.api("GET", f"/agents/{hub.slug}").json["instances_online"] == 0
    hub.poll(instance="one")
    hub.poll(instance="two")
    assert hub.api("GET", f"/agents/{hub.slug}").json["instances_online"] == 2
    assert [a["instances_online"] for a in hub.api("GET", "/agents").json] == [2]


def test_an_agent_object_says_what_it_works_on(hub):
    job, message = hub.start("do it")
    assert hub.api("GET", f"/agents/{hub.slug}").json["working_on"] == []  # nobody has it
    hub.poll(instance="one")
    work, = hub.api("GET", f"/agents/{hub.slug}").json["working_on"]
    assert (work["job_id"], work["message_id"], work["progress"]) == (job, message, None)
    payload = {"job_id": job, "processed_message_id": message, "progress_type": "tool_use",
               "tool_name": "Bash", "tool_input": "make\n" + "x" * 5000, "tool_output": "y" * 5000}
    assert hub.agents("POST", "/messages", {"id": "prg_01J00000000000000000000000",
                                            "type": "agent_progress_v1", "payload": payload},
                      instance="one").status == 200
    work, = hub.api("GET", f"/agents/{hub.slug}").json["working_on"]
    assert work["progress"]["tool_name"] == "Bash"
    assert work["progress"]["tool_input"].startswith("make x")
    assert len(work["progress"]["tool_input"]) <= 200
    assert "tool_output" not in work["progress"]
    hub.agents("POST", "/messages", {"id": "msg_01J00000000000000000000000",
                                     "type": "assistant_message_v1",
                                     "payload": {"job_id": job, "processed_message_id": message,
                                                 "message": "done"}}, instance="one")
    assert hub.api("GET", f"/agents/{hub.slug}").json["working_on"] == []
