"""What the control plane provides for tasks: a token, variables, rules, MCP configs, skills."""

import io
import os
import signal
import stat
import zipfile

import pytest

from conftest import Peer
from hubkit import wait_until

# Claude Code's words around whatever the prompt does as a shell.
PROGRAM = r"""#!/usr/bin/python3
import json, subprocess, sys
out = subprocess.run(["sh", "-c", sys.stdin.read(), *sys.argv], capture_output=True, text=True)
print(json.dumps({"type": "system", "subtype": "init", "session_id": "s", "model": "m"}))
print(json.dumps({"type": "result", "subtype": "success", "is_error": False, "session_id": "s",
                  "result": out.stdout + out.stderr}))
"""
MANAGED = "mk_" + "0123456789abcdef" * 3  # a key of a managed container
VALUE = "it's \"quoted\" $(touch /workspace/ran) `id` \\ and spaces"


def archive(*files, root=""):
    """A zip: (name, content, mode or ZipInfo attributes)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content, *mode in files:
            info = zipfile.ZipInfo(root + name)
            info.external_attr = (mode[0] if mode else stat.S_IFREG | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(info, content)
    return out.getvalue()


class Provider(Peer):
    """A control plane that provides."""

    def artifact(self, kind, title, location, data):
        files = self.documents.get("artifacts", [])
        files = files if isinstance(files, list) else []
        attachment = self.provide_file(f"att_{len(self.documents)}", data)
        self.provide("artifacts", [*files, {
            "title": title, "description": "", "type": kind,
            "files": [{"location": location, "attachmentId": attachment}]}])
        return attachment

    def variables(self, **pairs):
        self.provide("env", {"env_vars": [{"key": k, "value": v} for k, v in pairs.items()]})

    def answer(self, prompt, **kwargs):
        return self.wait_reply(self.give(prompt, **kwargs))["payload"]["message"]

    def asked(self, endpoint):
        with self.lock:
            return sum(request.endpoint == endpoint for request in self.requests)


@pytest.fixture
def provider():
    provider = Provider()
    yield provider
    provider.end()


@pytest.fixture
def make(provider, me, make_daemon):
    """A factory of daemons with a shell as their runner claude."""

    def make(start=True, **settings):
        program = me.write(os.path.join(me.shared(), "claude"), PROGRAM, 0o755)
        runner = {"name": "claude", "argv": [], "program": program, **settings.pop("runner", {})}
        return make_daemon(hub=provider, start=start, runner=runner, sandbox={
            "network": {"mode": "host"}, "read": [os.path.dirname(program)]}, **settings)

    return make


def ready(daemon):
    """Once all was asked for and is there."""
    wait_until(lambda: daemon.status()["provisioning"]["state"] == "ready", 30,
               lambda: f"what is provided:\n{daemon.log}")
    return daemon.status()["provisioning"]


# variables and the token


def test_w28_a_value_with_quotes_spaces_and_commands_arrives_as_it_is(make, provider):
    provider.variables(TRICKY=VALUE)
    daemon = make()
    text = provider.answer('test "$TRICKY" = "$(printf %s "$TRICKY")" && printf %s "$TRICKY" | '
                           "sha256sum; ls /workspace")
    assert text.split()[0] == __import__("hashlib").sha256(VALUE.encode()).hexdigest()
    assert "ran" not in text
    assert "$(touch" not in daemon.log


def test_what_is_provided_is_masked_in_replies_and_logs(make, provider):
    provider.variables(PRIVATE="a-value-that-nobody-sees")
    daemon = make()
    assert provider.answer('echo "it is $PRIVATE"; printf %s "$PRIVATE" | base64') == \
        "it is [secret]\n[secret]\n"
    assert "a-value-that-nobody-sees" not in daemon.log
    assert "a-value-that-nobody-sees" not in str(daemon.status())


def test_the_operators_value_of_a_variable_goes_before_the_servers(make, provider):
    provider.variables(ONE="of the server", TWO="of the server")
    make(runner={"env": {"ONE": "of the operator"}})
    assert provider.answer('echo "$ONE"; test "$TWO" = "of the server" && echo yes') == \
        "of the operator\nyes\n"


def test_a_reserved_or_wrong_name_is_refused_by_name_and_the_rest_counts(make, provider):
    provider.provide("env", {"env_vars": [
        {"key": "PATH", "value": "/workspace"}, {"key": "LD_PRELOAD", "value": "/workspace/x.so"},
        {"key": "https_proxy", "value": "http://192.0.2.1:1"}, {"key": "no-name", "value": "x"},
        {"key": "NUMBER", "value": 7}, {"key": "GOOD", "value": "good"}]})
    daemon = make()
    assert provider.answer('echo "$GOOD$LD_PRELOAD$https_proxy"; echo "$PATH"').splitlines()[0] == \
        "good"
    problems = "\n".join(ready(daemon)["problems"])
    for name in ("PATH", "LD_PRELOAD", "https_proxy", "no-name", "NUMBER"):
        assert f"'{name}'" in problems
        assert daemon.log.count(f"'{name}'") == 1
    assert "/workspace/x.so" not in problems


def test_a_managed_key_gets_a_token_and_it_is_renewed_before_it_ends(make, provider):
    provider.agent_key = provider.valid_key = MANAGED
    now = __import__("time").time()
    stamp = __import__("datetime").datetime.fromtimestamp(now + 7).astimezone().isoformat()
    provider.provide("token", {"token": "first-token", "env_key": "SOME_TOKEN",
                               "expires_at": stamp})
    daemon = make()
    assert provider.answer('echo "$SOME_TOKEN" | rev') == "nekot-tsrif\n"
    assert ready(daemon)["variables"] == ["SOME_TOKEN"]
    provider.provide("token", {"token": "second-token", "env_key": "SOME_TOKEN",
                               "expires_at": stamp.replace("20", "21", 1)})
    wait_until(lambda: provider.asked("token") == 2, 40, "the token to be asked for again")
    wait_until(lambda: daemon.log.count(" token ") == 2, 10, lambda: daemon.log)
    assert provider.answer('echo "$SOME_TOKEN" | rev') == "nekot-dnoces\n"


def test_a_self_hosted_key_asks_for_no_token(make, provider):
    provider.provide("token", {"token": "not-to-be-asked", "env_key": "SOME_TOKEN"})
    provider.variables(SEEN="yes")
    make()
    assert provider.answer('echo "$SEEN$SOME_TOKEN"') == "yes\n"
    assert provider.asked("token") == 0 and provider.asked("env") == 1


def test_a_models_key_goes_to_the_broker_and_not_to_the_task(provider, me, make_daemon):
    provider.variables(ANTHROPIC_API_KEY="sk-of-the-control-plane")
    program = me.write(os.path.join(me.shared(), "claude"), PROGRAM, 0o755)
    make_daemon(hub=provider, runner={"name": "claude", "argv": [], "program": program},
                sandbox={"network": {"mode": "allowlist"}, "read": [os.path.dirname(program)]})
    assert provider.answer("env | grep ANTHROPIC | sort") == \
        "ANTHROPIC_API_KEY=the-broker-has-it\nANTHROPIC_BASE_URL=http://127.0.0.1:808/anthropic\n"


def test_after_hup_later_tasks_get_what_is_new(make, provider):
    provider.variables(ONE="the first value")
    daemon = make()
    assert provider.answer('test "$ONE" = "the first value" && echo yes') == "yes\n"
    provider.variables(TWO="the second value")
    daemon.program.send(signal.SIGHUP)
    wait_until(lambda: ready(daemon)["variables"] == ["TWO"], 20, lambda: daemon.log)
    assert provider.answer('test "$TWO" = "the second value" && echo "yes$ONE"') == "yes\n"


# when the server doesn't answer well


def test_a_server_that_provides_nothing_is_no_trouble(make, provider):
    daemon = make()
    assert provider.answer("echo works") == "works\n"
    assert "provisions_failed" not in daemon.log and "warning artifact" not in daemon.log


def test_w36_an_outage_at_the_start_is_waited_for_and_ends_nothing(make, provider):
    provider.provide("env", 500)
    provider.provide("artifacts", 502)
    daemon = make()
    message = provider.give('echo "$LATE"')
    wait_until(lambda: daemon.log.count("provisions_failed") == 2, 20, lambda: daemon.log)
    assert daemon.status()["provisioning"]["state"] == "awaited"
    provider.provide("artifacts", [])
    provider.variables(LATE="but")
    assert provider.wait_reply(message)["payload"]["message"] == "but\n"


def test_tasks_begin_without_what_never_comes(make, provider):
    provider.provide("env", 500)
    daemon = make(server={"request_timeout": "1s"})
    assert provider.answer("echo without") == "without\n"
    assert daemon.log.count("provisions_late") == 1


def test_a_task_that_waits_can_be_cancelled(make, provider):
    provider.provide("env", 500)
    daemon = make()
    message = provider.give("echo never")
    wait_until(lambda: daemon.status()["jobs"], 20, "the message")
    daemon.control(verb="cancel", job=provider.job_of[message])
    assert "stopped by the user" in provider.wait_reply(message)["payload"]["message"]


# artifacts


def test_rules_skills_and_servers_are_where_the_program_looks(make, provider):
    provider.artifact("rule", "Be kind", "~/.config/eksecd/rules/kind.md", b"# be kind\n")
    provider.artifact("mcp_config", "Tools", "~/.config/eksecd/mcp/tools.json",
                      b'{"mcpServers":{"a":{"command":"true","args":["x"]}}}')
    provider.artifact("mcp_cfg", "More tools", "mcp/more.json",
                      b'{"mcpServers":{"a":{"command":"false","env":{"API_KEY":"mcp-secret-1"}}}}')
    provider.artifact("skill", "Fly", "skills/fly-a1B2c3.zip", archive(
        ("SKILL.md", "fly\n"), ("bin/run", "#!/bin/sh\necho flies\n", stat.S_IFREG | 0o775),
        ("__MACOSX/x", ""), (".DS_Store", ""), root="fly/"))
    daemon = make()
    text = provider.answer('cat ~/.claude/rules/kind.md ~/.claude/skills/fly/SKILL.md; '
                           '~/.claude/skills/fly/bin/run; ls -A ~/.claude/skills/fly; '
                           'for word in "$0" "$@"; do echo "$word"; done | grep mcp; '
                           'cat /nairid/mcp.json')
    assert text.splitlines() == [
        "# be kind", "fly", "flies", "SKILL.md", "bin", "--mcp-config=/nairid/mcp.json",
        '{"mcpServers":{"a":{"command":"true","args":["x"]},'
        '"a-2":{"command":"false","env":{"API_KEY":"[secret]"}}}}']
    found = ready(daemon)
    assert (found["rules"], found["skills"], found["mcp_servers"]) == (1, 1, 2)
    assert not found["problems"]


def test_artifacts_can_be_read_and_not_changed_and_the_rest_of_the_home_can(make, provider):
    provider.artifact("rule", "Rule", "rules/rule.md", b"rule\n")
    make()
    text = provider.answer("echo mine > ~/.claude/mine && cat ~/.claude/mine; "
                           "{ echo x >> ~/.claude/rules/rule.md; } 2>/dev/null || echo refused; "
                           "rm -rf ~/.claude/rules 2>/dev/null; cat ~/.claude/rules/rule.md")
    assert text.split() == ["mine", "refused", "rule"]


def test_links_that_a_task_plants_lead_nowhere(make, provider, me):
    provider.artifact("rule", "Rule", "rules/rule.md", b"rule\n")
    daemon = make(runner={"name": "claude"})
    target = me.mkdir("target")
    first = provider.give("rmdir ~/.claude/rules; mv ~/.claude ~/.old && ln -s "
                          f"{target} ~/.claude; ls -ld ~/.claude >/dev/null && echo planted")
    assert provider.wait_reply(first)["payload"]["message"].startswith("planted") or \
        "busy" in provider.wait_reply(first)["payload"]["message"]
    job = provider.job_of[first]
    home = os.path.join(daemon.state, "jobs", job, "home")
    if not os.path.islink(os.path.join(home, ".claude")):
        os.rename(os.path.join(home, ".claude"), os.path.join(home, ".old"))
        os.symlink(target, os.path.join(home, ".claude"))
    assert provider.answer("cat ~/.claude/rules/rule.md; readlink ~/.claude.own", job=job) == \
        f"rule\n{target}\n"
    assert os.listdir(target) == []


def test_what_a_task_leaves_at_their_places_bars_no_start(make, provider, me):
    provider.artifact("rule", "Rule", "rules/rule.md", b"rule\n")
    daemon = make()
    first = provider.give("cat ~/.claude/rules/rule.md")
    assert provider.wait_reply(first)["payload"]["message"] == "rule\n"
    job = provider.job_of[first]
    home = os.path.join(daemon.state, "jobs", job, "home")
    target = me.mkdir("target")
    for own in (".claude.own", ".kept"):  # the second time the first one is still there
        os.rename(os.path.join(home, ".claude"), os.path.join(home, ".before" + own))
        os.symlink(target, os.path.join(home, ".claude"))
        os.makedirs(os.path.join(home, own, "full"))
        assert provider.answer("cat ~/.claude/rules/rule.md; ls -d ~/.claude.own/full", job=job) == \
            "rule\n/home/agent/.claude.own/full\n"
    assert os.listdir(target) == []
    assert len([name for name in os.listdir(home) if name.startswith(".claude.own-")]) == 2


def test_w35_a_bad_archive_is_named_and_the_rest_is_applied(make, provider, me):
    bad = {
        "dots": archive(("SKILL.md", ""), ("../../escaped", "x")),
        "absolute": archive(("/tmp/escaped", "x")),
        "link": archive(("SKILL.md", ""), ("link", "/etc", stat.S_IFLNK | 0o777)),
        "device": archive(("null", "", stat.S_IFCHR | 0o666)),
        "bomb": archive(("zeros", b"\0" * (60 << 20))),
        "many": archive(*[(f"f{i}", "") for i in range(1200)]),
        "none": b"this is no archive",
    }
    for name, data in bad.items():
        provider.artifact("skill", name, f"skills/{name}.zip", data)
    provider.artifact("strange", "what", "x/what.x", b"?")
    provider.artifact("rule", "no text", "rules/bytes.md", b"\xff\xfe")
    provider.artifact("rule", "a zero", "rules/zero.md", b"before\0behind")
    provider.artifact("mcp_config", "no JSON", "mcp/broken.json", b"{")
    provider.artifact("skill", "good", "skills/good.skill", archive(("SKILL.md", "good\n")))
    daemon = make()
    assert provider.answer("ls ~/.claude/skills; cat ~/.claude/skills/good/SKILL.md") == \
        "good\ngood\n"
    problems = "\n".join(ready(daemon)["problems"])
    for name in (*bad, "what", "no text", "a zero", "no JSON"):
        assert f"'{name}'" in problems, problems
    assert not os.path.exists(os.path.join(daemon.state, "escaped"))
    assert "AddressSanitizer" not in daemon.log


def test_w35_a_location_decides_nothing_but_the_name(make, provider, me):
    target = me.mkdir("target")
    provider.artifact("rule", "Far", f"{target}/far.md", b"far\n")
    provider.artifact("rule", "Up", "../../../../up.md", b"up\n")
    make()
    assert provider.answer("cat ~/.claude/rules/far.md ~/.claude/rules/up.md") == "far\nup\n"
    assert os.listdir(target) == []


def test_w35_a_failed_download_keeps_the_old_set(make, provider):
    attachment = provider.artifact("rule", "Rule", "rules/rule.md", b"old\n")
    daemon = make()
    assert provider.answer("cat ~/.claude/rules/rule.md") == "old\n"
    provider.artifact("rule", "New", "rules/new.md", b"new\n")
    document = provider.documents[f"attachments/{attachment}"]
    provider.provide(f"attachments/{attachment}", 503)
    daemon.program.send(signal.SIGHUP)
    wait_until(lambda: "provisions_failed" in daemon.log, 20, lambda: daemon.log)
    assert provider.answer("ls ~/.claude/rules") == "rule.md\n"
    provider.provide(f"attachments/{attachment}", document)
    wait_until(lambda: daemon.status()["provisioning"]["rules"] == 2, 30, lambda: daemon.log)
    assert provider.answer("ls ~/.claude/rules") == "new.md\nrule.md\n"


def test_what_the_server_takes_away_goes_and_a_running_task_keeps_its_own(make, provider, me):
    from daemonkit import Meeting

    meeting = Meeting(me.shared())
    provider.artifact("rule", "Rule", "rules/rule.md", b"old\n")
    daemon = make(start=False)
    daemon.configure(sandbox={"write": [meeting.folder]})
    daemon.boot()
    message = provider.give(meeting.hold("it", "cat ~/.claude/rules/rule.md"))
    meeting.wait("it")
    provider.provide("artifacts", [])
    daemon.program.send(signal.SIGHUP)
    wait_until(lambda: daemon.status()["provisioning"]["rules"] == 0, 20, lambda: daemon.log)
    assert provider.answer("ls ~/.claude/rules 2>/dev/null; echo gone") == "gone\n"
    meeting.release("it")
    assert provider.wait_reply(message)["payload"]["message"] == "old\n"
    sets = os.path.join(daemon.state, "artifacts")
    wait_until(lambda: len([s for s in os.listdir(sets) if s.startswith("set-")]) <= 2, 10,
               lambda: os.listdir(sets))


def test_the_set_of_before_serves_a_start_without_the_server(make, provider):
    provider.artifact("rule", "Rule", "rules/rule.md", b"kept\n")
    daemon = make(server={"request_timeout": "1s"})
    ready(daemon)
    daemon.end()
    provider.provide("artifacts", 500)
    daemon.boot()
    assert provider.answer("cat ~/.claude/rules/rule.md") == "kept\n"
    folder = os.stat(os.path.join(daemon.state, "artifacts"))
    assert stat.S_IMODE(folder.st_mode) & 0o066 == 0


def test_the_host_of_a_remote_server_is_the_operators_to_allow(make, provider):
    provider.artifact("mcp_config", "Remote", "mcp/remote.json",
                      b'{"mcpServers":{"r":{"url":"https://mcp.example/x?y=1"}}}')
    daemon = make(start=False, runner={"secrets": {}})
    daemon.configure(sandbox={"network": {"mode": "allowlist"}})
    daemon.boot()
    assert ready(daemon)["hosts_not_allowed"] == ["mcp.example:443"]
    assert "mcp_host_not_allowed" in daemon.log
    checked = daemon.run("check", "-c", daemon.config, "--state", daemon.state)
    assert "mcp.example:443" in checked.stdout
    daemon.configure(sandbox={"network": {"allow": ["mcp.example:443"]}})
    daemon.program.send(signal.SIGHUP)
    wait_until(lambda: not daemon.status()["provisioning"]["hosts_not_allowed"], 20,
               lambda: daemon.log)
