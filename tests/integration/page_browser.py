"""The hub's web page in a real headless Chromium: what a person does with it, step by step.

Screenshots go to $NAIRID_SCREENSHOTS, if that names a directory.
"""

import os

import pytest

from browserkit import Browser

HOSTILE = ("<img src=x onerror=window.pwned=1><script>window.pwned=1</script> "
           "[x](javascript:window.pwned=1) <https://a.example/|site>\n```html\n<b>code</b>\n```")


class Agent:
    """Does by the agents API what a daemon would."""

    def __init__(self, hub):
        self.hub = hub
        self.count = 0

    def say(self, kind, job, of, **payload):
        self.count += 1
        answer = self.hub.agents(
            "POST", "/messages",
            {"id": f"msg_01J{self.count:023d}", "type": kind,
             "payload": {"job_id": job, "processed_message_id": of, **payload}},
            instance="browser-test")
        assert answer.status == 200, answer

    def take(self):
        """The next message: (job, id, payload)."""
        jobs = self.hub.poll(instance="browser-test", wait_s=20)
        (job,) = jobs
        (message,) = job["messages"]
        return job["id"], message["id"], message["payload"]

    def answer(self, job, message, text, **payload):
        self.say("assistant_message_v1", job, message, message=text, **payload)
        assert self.hub.agents("POST", f"/messages/{message}/ack",
                               instance="browser-test").status == 200


@pytest.fixture
def agent(hub):
    return Agent(hub)


@pytest.fixture
def browser(tmp_path):
    with Browser(tmp_path) as browser:
        yield browser
        said = [line for line in browser.console if "favicon" not in line]
        assert not said, said


@pytest.fixture
def shoot(browser):
    folder = os.environ.get("NAIRID_SCREENSHOTS")

    def shot(name):
        if folder:
            browser.screenshot(os.path.join(folder, f"{name}.png"))

    return shot


def sign_in(browser, hub):
    browser.open(hub.url + "/")
    browser.wait("!document.getElementById('signin').hidden")
    browser.type("#key", hub.org_key)
    browser.click("#signin button[type=submit]")
    browser.wait("!document.getElementById('app').hidden")


def start(browser, prompt):
    browser.wait("document.querySelector('#agent option')")
    browser.type("#prompt", prompt)
    browser.click("#send")
    browser.wait("location.hash.startsWith('#job_') && document.querySelector('#timeline .user')")


def test_a_wrong_key_is_refused_in_words_and_the_right_one_is_kept(browser, hub, shoot):
    browser.open(hub.url + "/")
    shoot("signin")
    browser.type("#key", "nr_wrong")
    browser.click("#signin button[type=submit]")
    browser.wait("!document.getElementById('signin-error').hidden")
    assert "refuses this key" in browser.text("#signin-error")
    shoot("signin-refused")
    browser.run("document.getElementById('key').value = ''")
    browser.type("#key", hub.org_key)
    browser.click("#signin button[type=submit]")
    browser.wait("!document.getElementById('app').hidden")
    browser.reload()
    browser.wait("!document.getElementById('app').hidden")
    assert hub.org_key not in browser.run("document.documentElement.outerHTML")
    assert hub.org_key not in browser.run("location.href")
    browser.click("#signout")
    browser.wait("!document.getElementById('signin').hidden")
    browser.reload()
    browser.wait("!document.getElementById('signin').hidden")
    assert browser.run("Object.keys(localStorage).length + Object.keys(sessionStorage).length") == 0
    browser.console = [line for line in browser.console if "401" not in line]  # asked for


def test_a_conversation_from_its_start_to_the_second_answer(browser, hub, agent, shoot):
    sign_in(browser, hub)
    browser.wait("document.querySelector('#agents .offline')")
    shoot("empty")
    start(browser, "Count the files")
    assert "waiting for an agent" in browser.text("#timeline .user .state")
    job, message, payload = agent.take()
    assert payload["message"] == "Count the files"
    browser.wait("document.querySelector('#agents .online')")
    agent.say("agent_progress_v1", job, message, progress_type="text", text_delta="I look first.")
    agent.say("agent_progress_v1", job, message, progress_type="tool_use", tool_name="Bash",
              tool_input="ls | wc -l", tool_status="running", tool_use_id="t1")
    browser.wait("document.querySelector('.activity .now')"
                 " && document.querySelector('.activity .now').innerText.includes('ls | wc -l')")
    browser.wait("document.querySelector('#agents .doing')")
    assert "Bash ls | wc -l" in browser.text("#agents .doing")
    assert browser.run("!document.getElementById('stop').hidden")
    shoot("working")
    agent.say("agent_progress_v1", job, message, progress_type="tool_use", tool_name="Bash",
              tool_input="ls | wc -l", tool_status="completed", tool_use_id="t1", tool_output="7")
    agent.answer(job, message, "There are *7* files, see `ls`.",
                 usage={"model": "m-1", "input_tokens": 1200, "output_tokens": 30,
                        "cost_usd": "0.0021000000"})
    browser.wait("document.querySelector('#timeline .assistant')")
    assert "There are 7 files, see ls." in browser.text("#timeline .assistant")
    assert "1 tool call" in browser.text("#timeline .activity summary")
    assert "1,200 tokens in" in browser.text("#timeline .usage")
    assert browser.run("document.getElementById('stop').hidden")
    browser.wait("document.querySelector('#conversations a[aria-current]')")
    assert "Count the files" in browser.text("#conversations a[aria-current]")
    shoot("answered")
    browser.type("#prompt", "And the folders?")
    browser.click("#send")
    browser.wait("document.querySelectorAll('#timeline .user').length === 2")
    again, second, payload = agent.take()
    assert (again, payload["message"]) == (job, "And the folders?")
    agent.say("system_message_v1", job, second,
              message="nairid encountered error: the task used more than 4 GB of memory")
    browser.wait("document.querySelector('#timeline .failure')")
    assert "more than 4 GB" in browser.text("#timeline .failure")
    assert "nairid encountered" not in browser.text("#timeline")
    shoot("failed")


def test_what_an_agent_writes_is_text_and_nothing_else(browser, hub, agent, shoot):
    sign_in(browser, hub)
    start(browser, HOSTILE)
    job, message, _ = agent.take()
    agent.say("agent_progress_v1", job, message, progress_type="tool_use", tool_name=HOSTILE,
              tool_input=HOSTILE, tool_output=HOSTILE, tool_use_id="t1", tool_status="completed")
    agent.answer(job, message, HOSTILE)
    browser.wait("document.querySelector('#timeline .assistant')")
    browser.wait("document.querySelector('#conversations a[aria-current]')")
    assert "<script>window.pwned=1</script>" in browser.text("#timeline .assistant")
    assert browser.text("#timeline .assistant pre") == "<b>code</b>"
    assert browser.run("document.querySelectorAll('#app img, #app script, #app b').length") == 0
    assert browser.run("Array.from(document.querySelectorAll('#timeline a'), a => a.href)") == \
        ["https://a.example/"]
    assert browser.run("window.pwned") is None
    shoot("hostile")


def test_stop_ends_what_runs(browser, hub, agent):
    sign_in(browser, hub)
    start(browser, "Never end")
    job, message, _ = agent.take()
    browser.wait("!document.getElementById('stop').hidden")
    browser.click("#stop")
    jobs = hub.poll(instance="browser-test", wait_s=20)
    assert [(j["id"], j["cancel_requested"]) for j in jobs] == [(job, True)]
    agent.say("system_message_v1", job, message,
              message="nairid encountered error: stopped by the user")
    browser.wait("document.querySelector('#timeline .failure')")
    assert "stopped by the user" in browser.text("#timeline .failure")


def test_files_go_both_ways(browser, hub, agent, tmp_path):
    sign_in(browser, hub)
    note = tmp_path / "note.txt"
    note.write_text("seven")
    browser.attach("#files", note)
    browser.wait("document.getElementById('chosen').innerText === 'note.txt'")
    start(browser, "Read the note")
    job, message, payload = agent.take()
    (inbound,) = payload["attachments"]
    data = hub.agents("GET", f"/attachments/{inbound['attachment_id']}").json["data"]
    assert data == "c2V2ZW4="
    body = (b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"out.txt\"\r\n\r\n"
            b"eight\r\n--b--\r\n")
    made = hub.agents("POST", "/attachments", body,
                      headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert made.status == 201
    agent.answer(job, message, "Here.", attachment_ids=[made.json["attachment_id"]])
    browser.wait("document.querySelector('#timeline .assistant .files button')")
    browser.click("#timeline .assistant .files button")
    browser.wait("document.querySelector('#timeline .assistant .files button').innerText"
                 " === 'out.txt'")


def test_the_page_says_that_the_hub_is_away_and_comes_back(browser, hub):
    sign_in(browser, hub)
    hub.end()
    browser.wait("document.getElementById('link').innerText.includes('be reached')")
    hub.boot()
    browser.wait("document.getElementById('link').innerText === ''")
    browser.console = [line for line in browser.console if "ERR_" not in line]


def test_it_fits_a_telephone_and_the_dark(browser, hub, agent, shoot):
    sign_in(browser, hub)
    start(browser, "A long one: " + "word " * 50 + "x" * 300)
    job, message, _ = agent.take()
    agent.answer(job, message, "```\n" + "y" * 500 + "\n```\n" + "z" * 500)
    browser.wait("document.querySelector('#timeline .assistant')")
    browser.dark()
    shoot("dark")
    browser.resize(390, 800)
    browser.wait("document.documentElement.scrollWidth <= 390"
                 " && document.querySelector('main').scrollWidth <= 390")
    shoot("telephone")
    browser.click("#menu")
    browser.wait("document.getElementById('side').offsetWidth > 300")
    shoot("telephone-menu")
