"""Plays case files to the real hub, as its clients; README.md in this folder says what they hold."""

import itertools
import json
import re
import select
import socket
import struct
import tempfile
import time

import deadwire

from casefile import CaseError, expand, member, raw, unescape
from hubkit import Hub, wait_until

WAIT_S = 30
PATIENCE_S = 2  # of the hub, for requests to arrive
_numbers = itertools.count(1)


class Wire:
    """One connection to the hub."""

    def __init__(self, hub):
        self.sock = socket.create_connection((hub.host.hostname, hub.host.port), WAIT_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ahead = b""
        self.sent_nothing_more = False

    def send(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self.sent_nothing_more = True  # refused before it was whole: the answer says why

    def _more(self):
        try:
            part = self.sock.recv(1 << 16)
        except ConnectionResetError:
            part = b""
        self.ahead += part
        return bool(part)

    def answer(self, has_body=True):
        """(status, headers, body) of the next answer."""
        while b"\r\n\r\n" not in self.ahead:
            assert self._more(), f"the hub closed the connection after {self.ahead!r}"
        head, _, self.ahead = self.ahead.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        assert lines[0].startswith("HTTP/1."), lines[0]
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            headers.setdefault(name.lower(), []).append(value)
        length = int(headers.get("content-length", ["0"])[0]) if has_body else 0
        while len(self.ahead) < length:
            assert self._more(), f"the hub closed the connection within a body: {self.ahead!r}"
        body, self.ahead = self.ahead[:length], self.ahead[length:]
        return int(lines[0].split()[1]), headers, body

    def ends(self):
        """Whether the hub ends the connection, having sent nothing more."""
        while self._more():
            pass
        return not self.ahead

    def is_quiet(self, seconds):
        return not self.ahead and not select.select([self.sock], [], [], seconds)[0]


class HubStage:
    """A hub that cases share, but for those that begin with `hub OPTIONS`; each has an agent, a key
    and connections of its own."""

    def __init__(self, *options):
        self.folder = tempfile.TemporaryDirectory(prefix="nairid-hub-")
        self.hub = Hub(self.folder.name + "/hub",
                       extra=("--patience", str(PATIENCE_S), *options)).boot()

    def play(self, case):
        if case.steps[0].word != "hub":
            HubGame(case, self.hub).play()
            return
        own = HubStage(*case.steps[0].rest.split(" "))
        try:
            HubGame(case, own.hub).play()
        except BaseException:
            own.abort()
            raise
        own.end()

    def end(self):
        try:
            assert self.hub.end() == 0, self.hub.log
        finally:
            self.folder.cleanup()

    def abort(self):
        if self.hub.proc:
            self.hub.proc.kill()
            self.hub.proc.wait()
        self.folder.cleanup()


class HubGame:
    """One case."""

    def __init__(self, case, hub):
        self.case = case
        self.hub = hub
        self.wires = {}
        self.dead = []       # wires that are cut
        self.last = None     # the connection that was used last
        self.status = None
        self.heard = []      # for the story
        slug = f"case-{next(_numbers)}"
        self.names = {"slug": slug, "org": hub.org_key, "key": hub.key_create("--agent", slug)}

    def play(self):
        try:
            for step in self.case.steps:
                act = getattr(self, "step_" + step.word.replace("-", "_"), None)
                if act is None:
                    raise CaseError(f"{self.case.path}:{step.number}: no step '{step.word}'")
                try:
                    act(step)
                except (AssertionError, CaseError, OSError) as error:
                    raise AssertionError(
                        f"{self.case.path}:{step.number}: {step.word} {step.rest}: {error}\n"
                        + "\n".join(self.heard[-20:]) + "\n" + self.hub.log[-2000:]) from None
            assert self.hub.api("GET", "/agents").status == 200, "the hub serves no others any more"
        finally:
            for connection in [*self.wires.values(), *self.dead]:
                connection.sock.close()

    # what others ask

    def _expand(self, text):
        return expand(text, self.names.get)

    def _names(self, name):
        return self.names.get(name)

    def _wire(self, name):
        """The connection of that name, which is made where there is none; empty: the last one."""
        name = name or self.last or "first"
        if name not in self.wires:
            self.wires[name] = Wire(self.hub)
        self.last = name
        return self.wires[name]

    def _details(self, step, *known):
        found = {}
        for detail in step.details:
            if detail.word not in known:
                raise CaseError(f"{detail}: there is only {', '.join(known)}")
            found.setdefault(detail.word, []).append(self._expand(detail.rest))
        return found

    # steps: what the client does

    def step_hub(self, step):
        """Heeded by the stage."""

    def step_connect(self, step):
        self._wire(step.rest)

    def step_send(self, step):
        """send [CONNECTION]: its details are bytes, as they are"""
        wire = self._wire(step.rest)
        for detail in step.details:
            data = raw(detail, self._names)
            if data is None:
                raise CaseError(f"{detail}: there is only line, bytes, repeat and chunk")
            wire.send(data)

    def step_drips(self, step):
        """drips [CONNECTION]: byte after byte, until the hub has had enough"""
        wire = self._wire(step.rest)
        deadline = time.monotonic() + WAIT_S
        while not wire.sent_nothing_more and not select.select([wire.sock], [], [], 0.02)[0]:
            assert time.monotonic() < deadline, "the hub listens for ever"
            wire.send(b"x")

    def step_call(self, step):
        """call METHOD PATH: one well-formed request"""
        details = self._details(step, "on", "as", "header", "json", "text", "form", "wait",
                                "instance", "fence")
        method, path = self._expand(step.rest).split(" ")
        wire = self._wire(details.get("on", [f"call {next(_numbers)}"])[0])
        who = details.get("as", ["org" if "/public/" in path else "agent"])[0]
        key = {"org": self.names["org"], "agent": self.names["key"]}.get(who, who)
        lines = [f"{method} {path} HTTP/1.1", "Host: hub"]
        if who != "nobody":
            lines.append(f"Authorization: Bearer {key}")
        for name, form in (("wait", "Prefer: wait={}"), ("instance", "X-CCAGENT-ID: {}"),
                           ("fence", "X-Nairi-Fence: {}"), ("header", "{}")):
            lines += [form.format(value) for value in details.get(name, [])]
        body, kind = self._body(details)
        if kind:
            lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
        wire.send("\r\n".join([*lines, "", ""]).encode() + body)

    @staticmethod
    def _body(details):
        """The body of a call, and what it says it is; None where there is none."""
        if "json" in details:
            return details["json"][0].encode(), "application/json"
        if "text" in details:  # as the realtime channel's posts are
            return unescape(details["text"][0]), "text/plain;charset=UTF-8"
        if "form" in details:
            name, _, contents = details["form"][0].partition(" ")
            return (b'--b\r\nContent-Disposition: form-data; name="file"; filename="' +
                    name.encode() + b'"\r\n\r\n' + unescape(contents) + b"\r\n--b--\r\n",
                    "multipart/form-data; boundary=b")
        return b"", None

    def step_session(self, step):
        """session NAME [INSTANCE]: a realtime session of this case's agent that has joined, and
        whose first answer was read; ${NAME} is its path"""
        name, _, instance = step.rest.partition(" ")
        headers = {"X-CCAGENT-API-KEY": self.names["key"], "X-CCAGENT-ID": instance or name,
                   "X-CCAGENT-REPO": "", "X-AGENT-ID": self.names["slug"]}
        path = "/socket.io/?EIO=4&transport=polling"
        opened = self.hub.request("GET", path, headers=headers)
        assert opened.status == 200, opened
        path += "&sid=" + json.loads(opened.raw[1:])["sid"]
        assert self.hub.request("POST", path, b"40{}").raw == b"ok"
        joined = self.hub.request("GET", path).raw
        assert re.match(rb'40\{"sid":"[\w-]+"\}', joined), joined
        self.names[name] = path

    def step_start(self, step):
        """start NAME: PROMPT; ${NAME} is the message, ${NAME.job} its conversation"""
        name, _, prompt = step.rest.partition(": ")
        answer = self.hub.api("POST", "/conversations/start",
                              {"agent_id": self.names["slug"], "prompt": prompt})
        assert answer.status == 201, answer
        self.names[name] = answer.json["message_id"]
        self.names[name + ".job"] = answer.json["job_id"]

    def step_continue(self, step):
        """continue NAME in OTHER: PROMPT"""
        head, _, prompt = step.rest.partition(": ")
        name, _, other = head.partition(" in ")
        job = self.names[other + ".job"]
        self.names[name] = self.hub.resume(job, prompt)
        self.names[name + ".job"] = job

    def step_agent(self, step):
        """agent NAME: another agent, whose key is ${NAME}"""
        slug = f"case-{next(_numbers)}"
        self.names[step.rest] = self.hub.key_create("--agent", slug)
        self.names[step.rest + ".slug"] = slug

    def step_revoke(self, step):
        """revoke: this case's agent key"""
        lines = self.hub.command("key", "list").stdout.splitlines()
        (line,) = [line for line in lines if re.search(rf"\b{self.names['slug']}\b", line)]
        done = self.hub.command("key", "revoke", line.split()[0])
        assert done.returncode == 0, done.stderr

    def step_half(self, step):
        self._wire(step.rest).sock.shutdown(socket.SHUT_WR)

    def step_close(self, step):
        self._wire(step.rest).sock.close()
        del self.wires[self.last]

    def step_reset(self, step):
        sock = self._wire(step.rest).sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        del self.wires[self.last]

    def step_cut(self, step):
        """cut [CONNECTION]: its wire is dead"""
        deadwire.cut(self._wire(step.rest).sock)
        self.dead.append(self.wires.pop(self.last))

    def step_vanish(self, step):
        """vanish [CONNECTION]: our side is gone without a word"""
        deadwire.vanish(self._wire(step.rest).sock)
        del self.wires[self.last]

    # steps: what must be true

    def step_answer(self, step):
        """answer STATUS [on CONNECTION]: the next answer there"""
        status, _, name = step.rest.partition(" on ")
        wire = self._wire(name)
        began = time.monotonic()
        got, headers, body = wire.answer()
        took_ms = (time.monotonic() - began) * 1000
        self.heard.append(f"{got} {headers} {body[:300]!r}")
        assert got == int(status), f"it is {got}: {body[:300]!r}"
        words = [detail.word for detail in step.details]
        if got >= 400 and "foreign" not in words:
            assert headers.get("content-type") == ["application/json"], headers
            error = json.loads(body)
            assert list(error) == ["error"] and isinstance(error["error"], str), error
        for detail in step.details:
            self._check(detail, headers, body, took_ms)

    def _check(self, detail, headers, body, took_ms):
        rest = self._expand(detail.rest)
        name, _, value = rest.partition(": ")
        if detail.word == "header":
            got = headers.get(name.lower(), [])
            good = len(got) == 1 and re.fullmatch(value or ".*", got[0])
        elif detail.word == "no":  # no header NAME
            got = headers.get(rest.partition(" ")[2].lower())
            good = got is None
        elif detail.word == "field":
            got = member(json.loads(body), name)
            good = got == json.loads(value)
        elif detail.word == "save":
            what, _, path = rest.partition(" ")
            got = self.names[what] = member(json.loads(body), path)
            good = got is not None
        elif detail.word == "capture":  # capture NAME REGEX, whose first group it is
            what, _, regex = rest.partition(" ")
            got = re.search(regex, body.decode(), re.S)
            good = got is not None
            self.names[what] = got[1] if good else None
        elif detail.word == "messages":  # the ids listed, in order
            jobs = json.loads(body)["jobs"]
            got = [m["id"] for job in jobs for m in job["messages"]]
            good = got == rest.split()
        elif detail.word == "error":
            got = json.loads(body)["error"]
            good = re.search(rest, got)
        elif detail.word == "body":
            got = body
            good = re.search(rest.encode(), body, re.S)
        elif detail.word == "within":
            got, good = f"{took_ms:.0f} ms", took_ms <= int(rest)
        elif detail.word == "foreign":  # libmicrohttpd's own answer
            return
        else:
            raise CaseError(f"{detail}: there is no such check")
        assert good, f"{detail}: it is {got!r}"

    def step_interim(self, step):
        """interim STATUS"""
        status, _, _ = self._wire("").answer(has_body=False)
        assert status == int(step.rest), f"it is {status}"

    def step_refused(self, step):
        """refused [CONNECTION]: a 4xx or 5xx if anything, and then the end of the connection"""
        wire = self._wire(step.rest)
        wire.sock.settimeout(WAIT_S)
        while wire._more():
            pass
        assert not wire.ahead or re.match(rb"HTTP/1\.[01] [45]\d\d ", wire.ahead), wire.ahead[:200]

    def step_one_answer(self, step):
        """one-answer [CONNECTION]: at most one answer, and then the end of the connection"""
        wire = self._wire(step.rest)
        while wire._more():
            pass
        assert wire.ahead.count(b"HTTP/1.1 ") <= 1, wire.ahead

    def step_ends(self, step):
        """ends [CONNECTION]: the hub closes it, and sends nothing more before"""
        wire = self._wire(step.rest)
        assert wire.ends(), f"it sent {wire.ahead[:200]!r}"

    def step_quiet(self, step):
        """quiet MS [on CONNECTION]: nothing comes in that time"""
        ms, _, name = step.rest.partition(" on ")
        assert self._wire(name).is_quiet(int(ms) / 1000), "something came"

    def step_status(self, step):
        """status NAME: STATUS, soon"""
        name, _, status = step.rest.partition(": ")
        wait_until(lambda: self.hub.message(self.names[name])["status"] == status, WAIT_S,
                   lambda: f"{status}: it is {self.hub.message(self.names[name])['status']}")

    def step_conversation(self, step):
        """conversation NAME: ROLE, ROLE...: the roles of all its messages"""
        name, _, roles = step.rest.partition(": ")
        got = [m["role"] for m in self.hub.messages(self.names[name + ".job"])]
        assert got == roles.split(", "), f"it is {got}"

    def step_log(self, step):
        wait_until(lambda: re.search(self._expand(step.rest), self.hub.log), WAIT_S,
                   "that log line")
