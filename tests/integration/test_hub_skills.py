"""Skills: uploaded archives, what is read in them, and their way to the daemons of an agent."""

import base64
import os
import zipfile

import pytest

from hubkit import wait_until
from skillkit import archive, page, upload


@pytest.fixture(scope="module")
def refusing_hub(shared_hub):
    """Nothing that it refuses stays."""
    before = files(shared_hub)
    yield shared_hub
    assert shared_hub.api("GET", "/artifacts/skills").json == []
    wait_until(lambda: files(shared_hub) == before, what="the refused archives to go")


def files(hub):
    return sorted(os.listdir(hub.db + "-attachments"))


@pytest.mark.parametrize("data", [
    archive(), archive(method=zipfile.ZIP_STORED), archive(stream=True),
    archive({"tools/": "", "tools/SKILL.md": page(), "tools/run.sh": "echo"}),
    archive({"__MACOSX/SKILL.md": "x", "SKILL.md": page(), "sub/SKILL.md": "x"}),
    archive({"sub/SKILL.md": "x", "SKILL.md": page()}),
    archive({"SKILL.md": "\ufeff" + page().replace("\n", "\r\n")}),
    archive({"SKILL.md": '---\nname: "pdf-tools"\ndescription: >\n  Reads and writes\n'
                         "  PDF files.\nlicence: MIT\n---"}),
], ids=range(8))
def test_a_skill_is_taken_and_named_by_its_page(shared_hub, data):
    hub = shared_hub
    answer = upload(hub, data, filename="Tools.SKILL")
    assert answer.status == 201, answer
    skill = answer.json
    assert skill["id"].startswith("ask_") and skill["size"] == len(data)
    assert (skill["name"], skill["description"]) == ("pdf-tools", "Reads and writes PDF files.")
    assert hub.api("GET", "/artifacts/skills").json == [skill]
    assert hub.api("DELETE", f"/artifacts/skills/{skill['id']}").status == 204


def test_a_skill_reaches_an_agent_that_it_is_assigned_to(hub):
    data = archive()
    skill = upload(hub, data).json
    assert hub.agents("GET", "/artifacts").json == []
    answer = hub.api("POST", f"/agents/{hub.slug}/resources",
                     {"entity_type": "agent_artifact_skill", "entity_id": skill["id"]})
    assert answer.status == 201, answer
    hub.restart()
    [got] = hub.agents("GET", "/artifacts").json
    [file] = got["files"]
    assert (got["type"], got["title"]) == ("skill", "pdf-tools")
    assert file["location"].startswith("~/.config/eksecd/skills/pdf-tools-")
    assert file["location"].endswith(".zip")
    answer = hub.agents("GET", f"/attachments/{file['attachmentId']}")
    assert base64.b64decode(answer.json["data"]) == data
    other = hub.key_create("--agent", "other")
    assert hub.agents("GET", f"/attachments/{file['attachmentId']}", key=other).status == 404
    refused = hub.api("DELETE", f"/artifacts/skills/{skill['id']}")
    assert refused.json == {"error": "cannot delete skill: still assigned to 1 agent(s)"}


def test_a_deleted_skill_takes_its_file_along(hub):
    before = files(hub)
    skill = upload(hub, archive()).json
    [file] = set(files(hub)) - set(before)
    assert hub.api("DELETE", f"/artifacts/skills/{skill['id']}").status == 204
    wait_until(lambda: files(hub) == before, what="the file to go")
    assert hub.api("GET", f"/attachments/{file}").status == 404


def test_a_deleted_skills_file_stays_where_a_message_has_it(hub):
    skill = upload(hub, archive()).json
    [file] = files(hub)
    _, message = hub.start("look at this", attachment_ids=[file])
    answer = hub.api("DELETE", f"/attachments/{file}")
    assert answer.status == 400 and "delete the skill" in answer.json["error"], answer
    assert hub.api("DELETE", f"/artifacts/skills/{skill['id']}").status == 204
    assert hub.message(message)["attachment_ids"] == [file]
    assert hub.api("GET", f"/attachments/{file}").status == 200 and files(hub) == [file]


def test_a_skills_name_is_there_once(hub):
    first = upload(hub, archive()).json
    answer = upload(hub, archive({"SKILL.md": page(description="another")}))
    assert answer.status == 400 and "pdf-tools already" in answer.json["error"], answer
    assert hub.api("GET", "/artifacts/skills").json == [first]
    wait_until(lambda: len(files(hub)) == 1, what="the refused archive to go")


BOMB = archive({"SKILL.md": page(), "zeros": b"\0" * (65 << 20)})


@pytest.mark.parametrize("data, words", [
    (b"hello", "no zip"),
    (archive()[:100], "damaged"),
    (archive({"README.md": "x"}), "no SKILL.md"),
    (archive({"a/b/SKILL.md": page()}), "no SKILL.md"),
    (archive({"__MACOSX/SKILL.md": page()}), "no SKILL.md"),
    (archive({"../x": "x", "SKILL.md": page()}), "leads out"),
    (archive({"a/../../x": "x", "SKILL.md": page()}), "leads out"),
    (archive({"/etc/x": "x", "SKILL.md": page()}), "no relative name"),
    (archive({"SKILL.md": "# no front matter"}), "front matter"),
    (archive({"SKILL.md": "---\nname: x\n"}), "front matter"),
    (archive({"SKILL.md": "---\nname: x\n---"}), "a description"),
    (archive({"SKILL.md": "---\nname: [x]\ndescription: d\n---"}), "a name"),
    (archive({"SKILL.md": "---\n- x\n---"}), "a name"),
    (archive({"SKILL.md": "---\nname: &a x\ndescription: *a\n---"}), "SKILL.md"),
    (archive({"SKILL.md": page(name="Pdf_Tools")}), "a-z"),
    (archive({"SKILL.md": page(name="x" * 65)}), "a-z"),
    (archive({"SKILL.md": page(description="x" * 1025)}), "1024"),
    (archive({"SKILL.md": page() + "x" * (256 << 10)}), "256 KiB"),
    (archive({"SKILL.md": page(), **{f"f{i}": "" for i in range(1000)}}), "1000 files"),
    (archive({"SKILL.md": page(), **{f"f{i}/": "" for i in range(4000)}}), "4000 entries"),
    (archive(method=zipfile.ZIP_BZIP2), "another method than deflate"),
    (archive(method=zipfile.ZIP_LZMA), "another method than deflate"),
    (archive({"SKILL.md": page(), "a\nb": "x"}), "control characters"),
    (archive({"SKILL.md": page(), "a//b": "x"}), "empty part"),
    (archive({"SKILL.md": page(), "x" * 129: "x"}), "too long a name"),
    (archive({"SKILL.md": page(), "x/" * 12 + "x": "x"}), "too deep"),
    (BOMB, "unpacked"),
], ids=range(27))
def test_what_is_no_skill_is_refused(refusing_hub, data, words):
    answer = upload(refusing_hub, data)
    assert answer.status == 400 and words in answer.json["error"], answer


def test_a_skills_file_has_a_skills_ending(refusing_hub):
    answer = upload(refusing_hub, archive(), filename="skill.tar")
    assert answer.status == 400 and ".zip" in answer.json["error"], answer


def test_a_skill_that_is_too_long_is_refused(refusing_hub):
    answer = upload(refusing_hub, b"x" * ((32 << 20) + 1))
    assert answer.status == 413 and str(32 << 20) in answer.json["error"], answer
