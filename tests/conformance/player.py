"""Plays case files to the real daemon; README.md in this folder says what a case may hold."""

import json
import re
import time

import daemonkit

from casefile import CaseError, expand, member, unescape
from hubkit import wait_until
from pair import Pair, certificates
from peer import Play
from wire import http_date

WAIT_S = 40
HEADS = ("set", "alone", "offline", "tls", "no-long-polls", "channel", "managed")
COMMON = {"server": {"request_timeout": "20s"}}
CHANNEL = {"server": {"request_timeout": "20s", "poll_interval": "1h"}}
PATHS = ("/socket.io/", "/socketio/")
CC_MESSAGE = "42" + '["cc_message",'


class Mismatch(AssertionError):
    """What happened isn't what the case says."""



class DaemonStage:
    """Where cases for the daemon are played: those that ask for nothing special share a pair."""

    def __init__(self):
        self.shared = {}  # whether there is a channel -> the pair

    def play(self, case):
        heads = [step for step in case.steps if step.word in HEADS]
        if not heads or [(step.word, step.rest) for step in heads] == [("channel", "")]:
            if bool(heads) not in self.shared:
                self.shared[bool(heads)] = self._special(heads)
            Game(case, self.shared[bool(heads)]).play()
            return
        pair = self._special(heads)
        try:
            Game(case, pair, offline=any(step.word == "offline" for step in heads)).play()
        except BaseException:
            pair.abort()
            raise
        pair.end()

    def _special(self, heads):
        words = [step.word for step in heads]
        settings, tls, channel = dict(CHANNEL if "channel" in words else COMMON), None, None
        for step in heads:
            if step.word == "set":
                key, _, value = step.rest.partition(": ")
                for part in reversed(key.split(".")):
                    value = {part: value}
                settings = daemonkit.merge(settings, _typed(value))
            elif step.word == "tls":
                tls = certificates().context(*step.rest.split(" "))
            elif step.word == "channel":
                channel = _channel(step.rest)
        return Pair(settings, long_poll=not {"no-long-polls", "channel"} & set(words), tls=tls,
                    offline="offline" in words, channel=channel, managed="managed" in words)

    def end(self):
        for pair in self.shared.values():
            pair.end()

    def abort(self):
        for pair in self.shared.values():
            pair.abort()


def _channel(text):
    """channel [at PATH|nowhere] [JSON]: the paths that have it, and what its open packet says"""
    where = re.match(r"at (\S+) ?|nowhere ?", text)
    fields = text[where.end():] if where else text
    paths = PATHS if not where else [path for path in [where[1]] if path]
    return paths, json.loads(fields or "{}")


def _typed(value):
    if isinstance(value, dict):
        return {key: _typed(inner) for key, inner in value.items()}
    try:
        return json.loads(value)
    except ValueError:
        return value


class Game:
    """One case on a pair."""

    def __init__(self, case, pair, offline=False):
        self.case = case
        self.pair = pair
        self.peer = pair.peer
        self.daemon = pair.daemon
        self.offline = offline
        self.ids = {}       # name -> message id
        self.texts = {}     # name -> all ids of a `many`
        self.settled = {}   # name -> how it was said to end
        self.logged = ""    # by daemons that have ended

    # the whole

    def play(self):
        self.from_log = len(self.daemon.log) if self.daemon.program else 0
        if not self.offline and (self.peer.long_poll or self.peer.channel.paths):
            self._await("held")
        self.peer.forget()
        self.peer.names = self._name
        self.peer.event = self._event
        for step in self.case.steps:
            if step.word in HEADS:
                continue
            act = getattr(self, "step_" + step.word.replace("-", "_"), None)
            if act is None:
                raise CaseError(f"{self.case.path}:{step.number}: there is no step '{step.word}'")
            try:
                act(step)
            except (AssertionError, CaseError) as error:
                raise type(error)(f"{self.case.path}:{step.number}: {step.word} {step.rest}: "
                                  f"{error}\n{self._story()}") from None
        try:
            self._finish()
        except AssertionError as error:
            raise Mismatch(f"{self.case.path}, at the end: {error}\n{self._story()}") from None

    def _finish(self):
        for play in self.peer.plays:
            self._await_that(lambda: play.played, f"{play.step} to be played")
        for name in self.ids:
            if name not in self.settled:
                self._answered(name)
        if self.daemon.program and not self.offline:
            self._exchange()
        self._check_always()

    def _exchange(self):
        """Whatever happened, the next message goes the whole way."""
        self.pair.count += 1
        text = f"nonce {self.pair.count}"
        message = self.peer.give(f"echo {text}")
        if self.peer.channel.paths:
            self._push(message)
        self._await_that(lambda: self.peer.acked.get(message), "another message to go its way")
        assert [e["payload"]["message"] for e in self.peer.replies[message]] == [text]

    def _check_always(self):
        """What holds in every case: design.md's invariants, as seen from the server."""
        with self.peer.lock:
            assert not self.peer.complaints, "\n".join(self.peer.complaints)
            requests = list(self.peer.requests)
        mine = {message for name, message in self.ids.items()
                if self.settled.get(name) != "refused"}
        instances = {r.headers.get("X-CCAGENT-ID") for r in requests if r.endpoint != "connect"}
        assert len(instances) <= 1, f"one daemon has several ids: {instances}"
        first, taken = {}, set()
        for r in requests:
            if r.endpoint == "connect":
                assert "Authorization" not in r.headers, "a proxy was given the key"
                continue
            if r.is_of_channel:
                self._check_channel(r)
                continue
            assert r.headers.get("Authorization", "").startswith("Bearer "), r
            if r.endpoint == "reply":
                known = first.setdefault(r.message, r.json["id"])
                assert known == r.json["id"], f"two replies to {r.message}"
                if r.accepted:
                    taken.add(r.message)
            if r.endpoint == "ack" and r.message in mine:
                assert r.message in taken, f"{r.message} was acknowledged before its reply"
        for message, replies in self.peer.replies.items():
            assert len(replies) == 1, f"two replies to {message} were taken"
        assert self.peer.agent_key not in self._log(), "the key is in the log"

    def _check_channel(self, request):
        """The four headers, the query, and that it never asks for another transport."""
        wanted = {"X-CCAGENT-API-KEY": r"(nairid|ek)_[0-9a-f]+", "X-CCAGENT-ID": "ccaid_[0-9A-Z]{26}",
                  "X-CCAGENT-REPO": "", "X-AGENT-ID": self.peer.slug}
        for name, value in wanted.items():
            got = request.headers.get_all(name) or []
            assert len(got) == 1 and re.fullmatch(value, got[0]), f"{request}: {name} is {got}"
        assert "Authorization" not in request.headers, request
        sid = {"sid": request.query["sid"]} if request.endpoint != "open" else {}
        assert request.query == {"EIO": "4", "transport": "polling", **sid}, request.path
        if request.endpoint == "post":
            assert request.headers["Content-Type"] == "text/plain;charset=UTF-8", request

    def _story(self):
        with self.peer.lock:
            requests = "\n".join(f"  {r}" for r in self.peer.requests[-40:])
            complaints = "\n".join(self.peer.complaints)
        return (f"requests:\n{requests}\ncomplaints: {complaints or 'none'}\n"
                f"log:\n{self._log()[-4000:]}")

    # what others ask

    def _log(self):
        if not self.daemon.program:
            return self.logged
        return self.logged + self.daemon.log[self.from_log:]

    def _name(self, name):
        base, _, what = name.partition(".")
        if base in self.ids and what == "event":
            return CC_MESSAGE + json.dumps(self.peer.envelope(self.ids[base])) + "]"
        if base in self.ids:
            return self.peer.job_of[self.ids[base]] if what == "job" else self.ids[base]
        if re.fullmatch(r"date([+-]\d+)?", name):
            return http_date(int(name[4:] or 0))
        return {"url": self.peer.url, "key": self.peer.agent_key}.get(name)

    def _event(self, text):
        """Whether it has come; README.md lists them."""
        word, _, rest = text.partition(" ")
        if word == "held":
            return self.peer.held is not None or self.peer.channel.is_held()
        if word == "joined":
            return self.peer.channel.joins >= int(rest or 1)
        if word == "said":
            return self.peer.channel.heard(rest)
        if word == "reply":
            return self.peer.replies.get(self.ids[rest])
        if word == "ack":
            return self.peer.acked.get(self.ids[rest])
        if word == "given":
            return self.ids[rest] not in self.peer.fresh
        if word == "log":
            return re.search(rest, self._log())
        if word == "played":
            return all(play.played for play in self.peer.plays)
        if word == "request":
            endpoint, _, count = rest.partition(" ")
            return self._count(endpoint) >= int(count or 1)
        if word == "status":
            path, _, value = rest.partition(" ")
            try:
                return member(self.daemon.status() or {}, path) == json.loads(value)
            except TimeoutError:  # it has thousands of messages to look at
                return False
        raise CaseError(f"there is no event '{word}'")

    def _count(self, endpoint):
        with self.peer.lock:
            return sum(r.endpoint == endpoint for r in self.peer.requests)

    def _await_that(self, condition, what, timeout_s=None):
        def look():
            assert not self.peer.complaints, "\n".join(self.peer.complaints)
            return condition()

        wait_until(look, timeout_s or WAIT_S, lambda: f"{what}; the daemon said:\n{self._log()}")

    def _await(self, event):
        self._await_that(lambda: self._event(event), event)

    def _expand(self, text):
        return expand(text, self._name)

    # steps: what happens

    def step_at(self, step):
        self.peer.arm(Play(step))

    def _details(self, step):
        """The keywords of give() that a step's details stand for."""
        found = {"record": {}, "payload": {}, "fields": {}}
        for detail in step.details:
            key, _, value = self._expand(detail.rest).partition(": ")
            kind = "fields" if detail.word == "job" else detail.word
            if kind not in found:
                raise CaseError(f"{detail}: there is only job, record and payload")
            found[kind][key] = json.loads(value)
        return found

    def step_give(self, step):
        head, _, prompt = step.rest.partition(": ")
        name, _, other = head.partition(" in ")
        job = self.peer.job_of[self.ids[other]] if other else None
        self.ids[name] = self.peer.give(unescape(prompt).decode(), job, **self._details(step))

    def step_attach(self, step):
        """attach ID TEXT: a file that messages may name"""
        name, _, text = step.rest.partition(" ")
        self.peer.files[name] = unescape(text)

    def step_give_huge(self, step):
        """give-huge NAME BYTES: a prompt of that size, whose program prints its size"""
        name, _, size = step.rest.partition(" ")
        script = f"echo {size}; exit 0; #"
        self.ids[name] = self.peer.give(script + "x" * (int(size) - len(script)))

    def step_many(self, step):
        head, _, prompt = step.rest.partition(": ")
        count, name = head.split(" ")
        details = self._details(step)
        with self.peer.lock:  # no poll sees a part of them
            self.texts[name] = [self.peer.give(prompt, **details) for _ in range(int(count))]

    def step_list(self, step):
        self.peer.list_raw(json.loads(self._expand(step.rest)))

    def _push(self, message, fields=None):
        packet = CC_MESSAGE + json.dumps(self.peer.envelope(message, fields)) + "]"
        self.peer.channel.tell(packet.encode())

    def step_push(self, step):
        """push NAME: the message by the channel; details `envelope KEY: JSON`"""
        fields = {}
        for detail in step.details:
            key, _, value = self._expand(detail.rest).partition(": ")
            fields[key] = json.loads(value)
        self._push(self.ids[step.rest], fields)

    def step_packets(self, step):
        """packets TEXT: what answers one GET of the channel"""
        self.peer.channel.tell(unescape(self._expand(step.rest)))

    def step_lose(self, step):
        self.peer.channel.lose()

    def step_hang(self, step):
        """hang ENDPOINT: its requests are never answered, from now on"""
        self.peer.hanging.add(step.rest)

    def step_change(self, step):
        """change NAME KEY: JSON"""
        name, _, field = step.rest.partition(" ")
        key, _, value = field.partition(": ")
        self.peer.change(self.ids[name], {key: json.loads(value)})

    def step_unlist(self, step):
        self.peer.unlist(self.ids[step.rest])

    def step_relist(self, step):
        self.peer.relist(self.ids[step.rest], self._details(step)["fields"])

    def step_kick(self, step):
        self.peer.kick()

    def step_down(self, step):
        self.peer.down()

    def step_up(self, step):
        self.peer.up()

    def step_cut(self, step):
        self.peer.cut()

    def step_mend(self, step):
        self.peer.mend()

    def step_key(self, step):
        """key revoked: the daemon's is; key renewed: another is valid, and in the daemon's file;
        key restored: the daemon's is valid again"""
        if step.rest == "revoked":
            self.peer.revoke()
        elif step.rest == "renewed":
            self.peer.agent_key = "nairid_" + "fedcba9876543210" * 3
            self.peer.valid_key = self.peer.agent_key
            self.daemon.account.write(self.daemon.key_file, self.peer.agent_key + "\n")
        elif step.rest == "restored":
            self.peer.valid_key = self.peer.agent_key
        else:
            raise CaseError("a key is revoked, renewed or restored")

    def step_certificate(self, step):
        self.peer.tls = self.peer.certificate(step.rest)

    def step_signal(self, step):
        import signal
        self.daemon.program.send(getattr(signal, "SIG" + step.rest))

    def step_exit(self, step):
        code = self.daemon.program.wait(WAIT_S)
        self.logged = self._log()
        self.daemon.last_log = self.daemon.log
        self.daemon.program = None
        self.from_log = 0
        assert code == int(step.rest), f"it is {code}"

    def step_start(self, step):
        """start: and waits for the first good answer, unless the case is offline"""
        if self.offline:
            self.daemon.start()
        else:
            self.daemon.boot()

    def step_wait(self, step):
        self._await(self._expand(step.rest))

    # steps: what must be true

    def _answered(self, name):
        message = self.ids[name]
        self.settled.setdefault(name, "answered")
        self._await_that(lambda: self.peer.acked.get(message), f"{name} ({message}) to be acked")
        replies = self.peer.replies.get(message, [])
        assert len(replies) == 1, f"{len(replies)} replies to {name}: {replies}"
        return replies[0]

    def _text(self, step, kind, prefix=""):
        name, how, text = re.fullmatch(r"(\S+?)(:| ~) (.*)", step.rest, re.S).groups()
        reply = self._answered(name)
        got = reply["payload"]["message"]
        assert reply["type"] == kind, f"it is {reply['type']}: {got[:300]!r}"
        assert got.startswith(prefix), f"it is {got[:300]!r}"
        got = got[len(prefix):]
        text = self._expand(text)
        if how == ":":
            good = got == unescape(text).decode()
        else:
            good = re.search(text, got)
        assert good, f"it is {got[:300]!r} ({len(got)} characters)"

    def step_reply(self, step):
        self._text(step, "assistant_message_v1")

    def step_files(self, step):
        """files NAME JSON: what came with its reply, in order, as pairs of name and contents"""
        name, _, wanted = step.rest.partition(" ")
        ids = self._answered(name)["payload"].get("attachment_ids", [])
        got = [[file, data.decode()] for file, data in (self.peer.uploads[i] for i in ids)]
        assert got == json.loads(wanted), f"it is {got}"

    def step_error(self, step):
        self._text(step, "system_message_v1", daemonkit.ERROR)

    def step_all(self, step):
        """all NAME ~ REGEX: each of a `many` was answered so, once, and acknowledged"""
        name, _, text = step.rest.partition(" ~ ")
        messages = self.texts[name]
        self._await_that(lambda: all(self.peer.acked.get(m) for m in messages),
                         f"all {len(messages)} to be acked", 300)
        for message in messages:
            replies = self.peer.replies.get(message, [])
            assert len(replies) == 1 and re.search(text, replies[0]["payload"]["message"]), \
                f"{message}: {replies}"

    def step_refused(self, step):
        """The server never took a reply, and has the ack all the same."""
        message = self.ids[step.rest]
        self.settled[step.rest] = "refused"
        self._await_that(lambda: self.peer.acked.get(message), f"the ack of {message}")
        assert message not in self.peer.replies, self.peer.replies[message]

    def step_silent(self, step):
        """The server has neither a reply nor an ack, and gets none while another goes its way."""
        message = self.ids[step.rest]
        self.settled[step.rest] = "silent"
        self._exchange()
        assert message not in self.peer.replies and message not in self.peer.acked

    def step_requests(self, step):
        """requests ENDPOINT COUNT, where COUNT is N, N.. or N..M"""
        endpoint, _, count = step.rest.partition(" ")
        low, dots, high = count.partition("..")
        got = self._count(endpoint)
        good = got == int(low) if not dots else got >= int(low) and (not high or got <= int(high))
        assert good, f"there were {got}"

    def step_acks(self, step):
        """acks NAME COUNT: how often the server took it"""
        name, _, count = step.rest.partition(" ")
        assert self.peer.acked.get(self.ids[name], 0) == int(count)

    def step_order(self, step):
        """order NAME...: their replies were taken in that order"""
        wanted = [self.ids[name] for name in step.rest.split()]
        got = [m for m in self.peer.replies if m in wanted]
        assert got == wanted, f"it was {got}"

    def step_log(self, step):
        """log [COUNT] REGEX: so many lines match, at least one without a count"""
        self._counted(step.rest, lambda regex: sum(
            bool(re.search(regex, line)) for line in self._log().splitlines()), "such lines")

    @staticmethod
    def _counted(text, count_of, what):
        """[COUNT] REGEX"""
        count, _, regex = text.partition(" ")
        if not re.fullmatch(r"\d+(\.\.\d+)?", count):
            count, regex = "", text
        low, _, high = count.partition("..")
        got = count_of(regex)
        good = bool(got) if not low else int(low) <= got <= int(high or low)
        assert good, f"there are {got} {what}"

    def step_said(self, step):
        """said [COUNT] REGEX: so many packets match that the daemon sent by the channel"""
        self._counted(self._expand(step.rest), self.peer.channel.heard, "packets")

    def step_spaced(self, step):
        """spaced MS...: the handshakes of this case had at least so much time between them"""
        opened = self.peer.channel.opened
        got = [int((later - before) * 1000) for before, later in zip(opened, opened[1:])]
        least = [int(ms) for ms in step.rest.split(" ")]
        good = len(got) >= len(least) and all(ms >= want for ms, want in zip(got, least))
        assert good, f"it was {got}"

    def step_within(self, step):
        """within MS EVENT: it comes in that time"""
        limit, _, event = step.rest.partition(" ")
        began = time.monotonic()
        self._await_that(lambda: self._event(event), event, max(WAIT_S, int(limit) / 1000 + 1))
        took = (time.monotonic() - began) * 1000
        assert took <= int(limit), f"it took {took:.0f} ms"

    def step_not(self, step):
        """not MS EVENT: it doesn't come in that time"""
        limit, _, event = step.rest.partition(" ")
        try:
            wait_until(lambda: self._event(event), int(limit) / 1000, event)
        except AssertionError:
            return
        raise Mismatch("it came")

    def step_status(self, step):
        path, _, value = step.rest.partition(": ")
        got = member(self.daemon.status(), path)
        assert got == json.loads(value), f"it is {got!r}"
