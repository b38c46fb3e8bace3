"""The players themselves: a case that asks for what isn't so must fail, whatever step asks for it."""

import copy

import pytest

import casefile
import test_daemon_channel
import test_daemon_links
import test_daemon_posts

from casefile import Case, CaseError
from hubplayer import HubStage
from player import DaemonStage, Game, Mismatch
from stage import Pool

PARTS = "give a: echo one\nreply a: one\n"
PARTS_PUSHED = "give a: echo one\npush a\nreply a: one\n"

# what stands at the end of a good case, and what the failure says
WRONG = {
    "reply-text": ("give a: echo one\nreply a: two", "it is 'one'"),
    "reply-regex": ("give a: echo one\nreply a ~ ^two", "it is 'one'"),
    "reply-kind": ("give a: exit 3\nreply a ~ .", "system_message_v1"),
    "error-kind": ("give a: echo one\nerror a ~ .", "assistant_message_v1"),
    "requests": (PARTS + "requests reply 2", "there were 1"),
    "requests-range": (PARTS + "requests ack 2..5", "there were 1"),
    "acks": (PARTS + "acks a 2", "acks a 2"),
    "log": (PARTS + "log no_such_event", "there are 0"),
    "log-count": (PARTS + "log 2 task_started", "there are 1"),
    "log-none": (PARTS + "log 0 task_started", "there are 1"),
    "order": ("give a: echo one\nreply a: one\ngive b: echo two\nreply b: two\norder b a", "it was"),
    "refused": (PARTS + "refused a", "assistant_message_v1"),
    "silent": (PARTS + "silent a", "silent a"),
    "not": (PARTS + "not 5000 reply a", "it came"),
    "status": (PARTS + "status queue.running: 7", "it is 0"),
    "want-header": ("at reply\n  want header X-Nairi-Fence\n  good\n" + PARTS, "but it is"),
    "want-no-header": ("at reply\n  want no header Authorization\n  good\n" + PARTS, "but it is"),
    "want-field": ("at reply\n  want field type: \"x\"\n  good\n" + PARTS, "but it is"),
    "want-body": ("at reply\n  want body nonsense\n  good\n" + PARTS, "but it is"),
    "want-path": ("at ack\n  want path /elsewhere\n  good\n" + PARTS, "but it is"),
    "said": ("channel\n" + PARTS_PUSHED + "said dance", "there are 0 packets"),
    "said-count": ("channel\n" + PARTS_PUSHED + "said 2 processing_message_v1", "there are 1"),
    "spaced": ("alone\nchannel\nat open\n  answer 500\nlose\nwait joined\nspaced 60000", "it was"),
    "want-channel": ("channel\nat post\n  want body dance\n  good\n" + PARTS_PUSHED, "but it is"),
    "hang": ("alone\nhang reply\n" + PARTS, "waited 6 s"),
    "unknown-step": ("dance", "there is no step"),
    "unknown-detail": ("at reply\n  dance\n" + PARTS, "can't do that"),
    "unknown-event": ("wait dance", "no event"),
    "unknown-name": ("give a: echo ${nobody}\nat reply\n  line ${nobody}\nreply a: x", "nobody"),
    "never-played": (PARTS + "at reply\n  good", "to be played"),
    "exit": ("alone\nsignal TERM\nexit 77", "it is 0"),
}

WRONG_HUB = {
    "status": ("call GET /nowhere\nanswer 200", "it is 404"),
    "field": ("call GET /api/agents/jobs\nanswer 200\n  field jobs: [1]", "it is"),
    "header": ("call GET /api/agents/jobs\nanswer 200\n  header X-Nothing", "it is"),
    "no-header": ("call GET /api/agents/jobs\nanswer 200\n  no header Content-Type", "it is"),
    "body": ("call GET /api/agents/jobs\nanswer 200\n  body nonsense", "it is"),
    "error": ("call GET /nowhere\nanswer 404\n  error nonsense", "it is"),
    "capture": ("call GET /nowhere\nanswer 404\n  capture a (dance)", "it is None"),
    "messages": ("start a: x\ncall GET /api/agents/jobs\nanswer 200\n  messages cmsg_1", "it is"),
    "within": ("call GET /api/agents/jobs\n  on p\n  wait 1\nanswer 200 on p\n  within 500", "ms"),
    "quiet": ("call GET /nowhere\n  on p\nquiet 3000 on p", "something came"),
    "refused": ("call GET /api/agents/jobs\n  on p\n  header Connection: close\nrefused p", "200"),
    "ends": ("call GET /nowhere\n  on p\nends p", "it sent"),
    "one-answer": ("send p\n  repeat 2 GET /nowhere HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n\none-answer p",
                   "404"),
    "message": ("start a: x\ncall GET /api/agents/jobs\nanswer 200\nconversation a: user, assistant",
                "it is"),
    "unknown-step": ("dance", "no step"),
}


def make(folder, text, name="wrong"):
    path = folder / f"{name}.case"
    path.write_text("# A case that must fail.\n" + text + "\n", encoding="utf-8")
    return Case(str(path))


@pytest.fixture(scope="module")
def quick():
    """Nothing is waited for long, as most of it never comes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("player.WAIT_S", 6)
        patch.setattr("hubplayer.WAIT_S", 6)
        yield


def play_all(folder, make_stage, wrong):
    cases = {name: make(folder, text, name) for name, (text, _) in wrong.items()}
    return Pool(make_stage, cases.values()), cases


@pytest.fixture(scope="module")
def daemon_cases(quick, tmp_path_factory):
    pool, cases = play_all(tmp_path_factory.mktemp("daemon"), DaemonStage, WRONG)
    yield pool, cases
    pool.done()


@pytest.fixture(scope="module")
def hub_cases(quick, tmp_path_factory):
    pool, cases = play_all(tmp_path_factory.mktemp("hub"), HubStage, WRONG_HUB)
    yield pool, cases
    pool.done()


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_case_for_the_daemon_fails(daemon_cases, name):
    pool, cases = daemon_cases
    with pytest.raises((AssertionError, CaseError)) as failure:
        pool.result(cases[name])
    assert WRONG[name][1] in str(failure.value)


@pytest.mark.parametrize("name", WRONG_HUB)
def test_a_wrong_case_for_the_hub_fails(hub_cases, name):
    pool, cases = hub_cases
    with pytest.raises((AssertionError, CaseError)) as failure:
        pool.result(cases[name])
    assert WRONG_HUB[name][1] in str(failure.value)


def forge_reply(game, request):
    game.peer.replies[request.message].append({"id": "msg_other"})


def forge_id(game, request):
    forged = copy.copy(request)
    forged.body = request.body.replace(b'"msg_', b'"msg_X')
    game.peer.requests.append(forged)


def ack_first(game, request):
    requests = game.peer.requests
    requests.sort(key=lambda r: r.endpoint != "ack")


def forget_key(game, request):
    del request.headers["Authorization"]


def of_channel(game):
    return next(r for r in game.peer.requests if r.endpoint == "get")


def forget_header(game, request):
    del of_channel(game).headers["X-CCAGENT-REPO"]


def ask_for_websocket(game, request):
    of_channel(game).query["transport"] = "websocket"


def overlap(game, request):
    get = of_channel(game)
    with game.peer.channel.flight(get), game.peer.channel.flight(get):
        pass


def change_instance(game, request):
    request.headers.replace_header("X-CCAGENT-ID", "ccaid_other")


def log_key(game, request):
    game.peer.agent_key = "task_started"


OF_CHANNEL = (forget_header, ask_for_websocket, overlap)


@pytest.mark.parametrize("tamper,says", [
    (forge_reply, "two replies to"), (forge_id, "two replies to"), (ack_first, "before its reply"),
    (forget_key, "reply"), (change_instance, "several ids"), (log_key, "the key is in the log"),
    (forget_header, "X-CCAGENT-REPO"), (ask_for_websocket, "transport"),
    (overlap, "two at a time")])
def test_what_holds_without_a_word_is_looked_at(quick, tmp_path, monkeypatch, tamper, says):
    check = Game._check_always

    def tampered(game):
        with game.peer.lock:
            tamper(game, next(r for r in game.peer.requests if r.endpoint == "reply"))
        check(game)

    monkeypatch.setattr(Game, "_check_always", tampered)
    stage = DaemonStage()
    head, parts = ("channel\n", PARTS_PUSHED) if tamper in OF_CHANNEL else ("", PARTS)
    try:
        with pytest.raises(Mismatch, match=says):
            stage.play(make(tmp_path, head + parts))
    finally:
        stage.abort()


@pytest.mark.parametrize("text", ["at reply\n good\n", "   give a: x\n", ""])
def test_a_case_file_of_the_wrong_form_is_refused(tmp_path, text):
    with pytest.raises(CaseError):
        make(tmp_path, text)


def test_every_kind_has_its_cases():
    daemon, hub = casefile.find("daemon"), casefile.find("hub")
    assert len(daemon) >= 150 and len(hub) >= 60
    played = casefile.find("daemon/poll", "daemon/listing", "daemon/channel-long",
                           "daemon/listing-long", *test_daemon_links.KINDS, *test_daemon_posts.KINDS,
                           *test_daemon_channel.KINDS)
    assert {case.name for case in played} == {case.name for case in daemon}
    titles = [case.title for case in daemon + hub]
    assert len(set(titles)) == len(titles)
