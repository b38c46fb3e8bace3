"""nairid ask against a server whose every answer the test chooses."""

import http.server
import json
import signal
import subprocess
import threading
import time

import pytest

from clikit import Terminal, environment, nairid, screen
from hubkit import program

KEY = "nr_0123456789abcdef"
JOB = "job_01K0000000000000000000000A"
MESSAGE = "cmsg_01K0000000000000000000000B"


class Server:
    """The public API, by a script: {(METHOD, PATH): [answer, ...]}; the last answer is repeated.
    An answer is (status, body) or (status, body, headers); body a str goes out as it is."""

    def __init__(self, script):
        self.script = {key: list(answers) for key, answers in script.items()}
        self.requests = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                path = self.path.removeprefix("/api/public/v1")
                if self.headers.get("Content-Type", "").startswith("application/json"):
                    body = json.loads(body)
                server.requests.append((self.command, path, body or None, dict(self.headers)))
                answers = server.script.get((self.command, path), [(404, {"error": "not found"})])
                status, content, *more = answers.pop(0) if len(answers) > 1 else answers[0]
                raw = content if isinstance(content, str) else json.dumps(content)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw.encode())))
                for name, value in (more[0] if more else {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw.encode())

            do_GET = do_POST = handle_one

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def asked(self, method, path):
        return [r for r in self.requests if r[:2] == (method, path)]

    def env(self, home, **extra):
        return environment(home, NAIRI_API_URL=self.url, NAIRI_PUBLIC_API_KEY=KEY,
                           NAIRI_AGENT_ID="helper", **extra)


@pytest.fixture
def serve():
    servers = []

    def make(script):
        servers.append(Server(script))
        return servers[-1]

    yield make
    for server in servers:
        server.http.shutdown()
        server.http.server_close()


def user(status, message_id=MESSAGE, content="q"):
    return {"id": message_id, "job_id": JOB, "role": "user", "status": status, "content": content}


def row(role, content):
    return {"id": "cmsg_x", "job_id": JOB, "role": role, "status": "completed", "content": content}


def progress(**fields):
    return row("progress", json.dumps({"job_id": JOB, "processed_message_id": MESSAGE, **fields}))


START = ("POST", "/conversations/start")
CONTINUE = ("POST", f"/conversations/{JOB}/continue")
GET = ("GET", f"/messages/{MESSAGE}")
LIST = ("GET", f"/conversations/{JOB}/messages")
STARTED = (201, {"job_id": JOB, "message_id": MESSAGE})


def answered(text):
    return {START: [STARTED], CONTINUE: [STARTED],
            GET: [(200, user("queued")), (200, user("pending")), (200, user("completed"))],
            LIST: [(200, {"messages": [user("completed"), row("assistant", text)]})]}


def test_prints_the_reply_alone_and_exits_0(serve, tmp_path):
    server = serve(answered("hello\nworld"))
    done = nairid("ask", "say it", env=server.env(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\nworld\n", "")
    [(_, _, body, headers)] = server.asked(*START)
    assert body == {"agent_id": "helper", "prompt": "say it", "ask_mode": False}
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert len(server.asked(*GET)) == 3


@pytest.mark.parametrize("args", [["-"], []])
def test_reads_the_prompt_from_standard_input(serve, tmp_path, args):
    server = serve(answered("ok"))
    done = nairid("ask", *args, env=server.env(tmp_path), stdin="first\nzweite – Zeile\n")
    assert (done.returncode, done.stdout) == (0, "ok\n")
    assert server.asked(*START)[0][2]["prompt"] == "first\nzweite – Zeile\n"


def test_ask_mode_is_passed_on(serve, tmp_path):
    server = serve(answered("ok"))
    assert nairid("ask", "--mode", "ask", "q", env=server.env(tmp_path)).returncode == 0
    assert server.asked(*START)[0][2]["ask_mode"] is True


UPLOAD = ("POST", "/attachments")


def test_sends_files_along_and_names_them_in_the_request(serve, tmp_path):
    server = serve({**answered("ok"), UPLOAD: [(503, {"error": "busy"}, {"Retry-After": "1"}),
                                               (201, {"attachment_id": "att_1"}),
                                               (201, {"attachment_id": "att_2"})]})
    for name in ("one.txt", "two.bin"):
        (tmp_path / name).write_bytes(b"contents of " + name.encode())
    done = nairid("ask", "--attach", str(tmp_path / "one.txt"), "--attach", "two.bin", "q",
                  env=server.env(tmp_path), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")
    assert server.asked(*START)[0][2]["attachment_ids"] == ["att_1", "att_2"]
    again, one, two = server.asked(*UPLOAD)
    assert again[2] != b"" and b'name="file"; filename="one.txt"' in one[2]
    assert b"contents of one.txt" in one[2] and b"contents of two.bin" in two[2]
    assert one[3]["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("answer, code, says", [
    ((413, {"error": "too large"}), 1, "doesn't take '/etc/passwd': too large (HTTP 413)"),
    ((404, {"error": "not found"}), 1, "doesn't take '/etc/passwd': not found"),
    ((401, {"error": "no"}), 77, "refused the key"),
    ((201, {"ok": True}), 69, "names no attachment"),
])
def test_without_its_files_a_question_is_not_asked(serve, tmp_path, answer, code, says):
    server = serve({**answered("ok"), UPLOAD: [answer]})
    done = nairid("ask", "--attach", "/etc/passwd", "q", env=server.env(tmp_path))
    assert done.returncode == code and says in done.stderr
    assert not server.asked(*START)


def with_files(*ids):
    return {**answered("ok"), LIST: [(200, {"messages": [
        user("completed"), {**row("assistant", "ok"), "attachment_ids": list(ids)}]})]}


def test_says_what_came_with_the_answer(serve, tmp_path):
    server = serve(with_files("att_1", "att_2", "../x"))
    done = nairid("ask", "q", env=server.env(tmp_path))
    assert (done.returncode, done.stdout) == (0, "ok\n")
    assert "came att_1, att_2. To save them:" in done.stderr
    assert f"ask --job {JOB} --save DIR" in done.stderr


def test_saves_what_came_with_the_answer_under_safe_names(serve, tmp_path):
    script = with_files("att_1", "att_2", "att_3")
    script[("GET", "/attachments/att_1")] = [(200, {"id": "att_1", "data": "b25l",
                                                    "filename": "../../there.txt"})]
    script[("GET", "/attachments/att_2")] = [(200, {"filename": "there.txt", "data": "dHdv"})]
    script[("GET", "/attachments/att_3")] = [(502, "<html>"), (200, {"data": "dGhyZWU="})]
    server = serve(script)
    (tmp_path / "files").mkdir()
    done = nairid("ask", "--save", "files", "--job", JOB, env=server.env(tmp_path), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "ok\n")
    found = {p.name: p.read_bytes() for p in (tmp_path / "files").iterdir()}
    assert found == {"there.txt": b"one", "att_2-there.txt": b"two", "att_3.txt": b"three"}
    for name in found:
        assert f"saved 'files/{name}'" in done.stderr


@pytest.mark.parametrize("answer, says", [
    ((404, {"error": "attachment not found"}), "attachment not found"),
    ((200, {"data": "no base64"}), "no base64"),
    ((200, {"data": ""}), "att_1 can't be saved: it is empty"),
])
def test_a_file_that_cannot_be_saved_gives_1_and_leaves_nothing(serve, tmp_path, answer, says):
    server = serve({**with_files("att_1"), ("GET", "/attachments/att_1"): [answer]})
    (tmp_path / "files").mkdir()
    done = nairid("ask", "--save", str(tmp_path / "files"), "q", env=server.env(tmp_path))
    assert done.returncode == 1 and says in done.stderr
    assert not list((tmp_path / "files").iterdir())


def test_continues_a_conversation(serve, tmp_path):
    server = serve(answered("more"))
    done = nairid("ask", "--job", JOB, "and then?", env=server.env(tmp_path))
    assert (done.returncode, done.stdout) == (0, "more\n")
    assert server.asked(*CONTINUE)[0][2] == {"prompt": "and then?"}
    assert not server.asked(*START)


def test_waits_for_the_last_answer_of_a_conversation(serve, tmp_path):
    script = answered("late")
    script[LIST].insert(0, (200, {"messages": [user("completed", "cmsg_old"), row("assistant", "x"),
                                               user("pending")]}))
    server = serve(script)
    done = nairid("ask", "--job", JOB, env=server.env(tmp_path))
    assert (done.returncode, done.stdout) == (0, "late\n")
    assert all(method == "GET" for method, *_ in server.requests)


def test_a_failed_task_gives_1_and_its_system_message(serve, tmp_path):
    error = "nairid encountered error: sh: exit status 3"
    server = serve({START: [STARTED], GET: [(200, user("failed"))],
                    LIST: [(200, {"messages": [user("failed"), row("system", error)]})]})
    done = nairid("ask", "q", env=server.env(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", error + "\n")


def test_429_and_retry_after_are_honoured_before_and_after_the_start(serve, tmp_path):
    busy = (429, {"error": "slow down"}, {"Retry-After": "1"})
    script = answered("ok")
    script[START].insert(0, busy)
    script[GET].insert(0, busy)
    server = serve(script)
    began = time.monotonic()
    done = nairid("ask", "q", env=server.env(tmp_path))
    assert (done.returncode, done.stdout) == (0, "ok\n")
    assert time.monotonic() - began >= 2
    assert len(server.asked(*START)) == 2


def test_failures_while_waiting_are_retried(serve, tmp_path):
    script = answered("ok")
    script[GET][0:0] = [(500, {"error": "oops"}), (502, "<html>proxy</html>"), (200, "[]")]
    server = serve(script)
    done = nairid("ask", "q", env=server.env(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


def test_a_start_whose_fate_is_unknown_is_not_repeated(serve, tmp_path):
    server = serve({START: [(500, {"error": "disk full"}), STARTED]})
    done = nairid("ask", "q", env=server.env(tmp_path))
    assert done.returncode == 69
    assert "disk full (HTTP 500)" in done.stderr
    assert len(server.asked(*START)) == 1


@pytest.mark.parametrize("status, body, code, says", [
    (401, {"error": "invalid api key"}, 77, "refused the key"),
    (403, {"error": "no"}, 77, "refused the key"),
    (403, "<html>denied by proxy</html>", 69, "no JSON"),
    (404, {"error": "agent not found"}, 1, "agent not found"),
    (400, {"error": "prompt is required"}, 1, "prompt is required"),
    (201, {"unexpected": True}, 69, "names no message"),
    (201, {"job_id": "../../x", "message_id": MESSAGE}, 69, "names no message"),
])
def test_what_the_server_refuses_becomes_a_sentence(serve, tmp_path, status, body, code, says):
    server = serve({START: [(status, body)]})
    done = nairid("ask", "q", env=server.env(tmp_path))
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr and done.stderr.count("\n") == 1
    assert KEY not in done.stderr


def test_an_unknown_conversation_gives_1(serve, tmp_path):
    server = serve({})
    done = nairid("ask", "--job", JOB, "q", env=server.env(tmp_path))
    assert done.returncode == 1
    assert f"knows no conversation '{JOB}'" in done.stderr


def test_an_unreachable_server_gives_69(serve, tmp_path):
    server = serve({})
    env = server.env(tmp_path)
    server.http.server_close()
    done = nairid("ask", "q", env=env)
    assert done.returncode == 69
    assert "127.0.0.1" in done.stderr
    done = nairid("ask", "--job", JOB, "q", env=env)  # here is a job to come back to
    assert done.returncode == 69
    assert "whether the task goes on is not known. To get its answer:" in done.stderr


@pytest.mark.parametrize("args, says", [
    (["--attach", "/nonexistent/f", "q"], "the file '/nonexistent/f' can't be sent along: No such file"),
    (["--attach", "/dev/null", "q"], "'/dev/null' can't be sent along: it is no regular file"),
    (["--attach", "/etc/hostname", "--job", JOB, ""], "'--attach' goes along with a prompt"),
    (["--save", "/nonexistent", "q"], "files can't be saved in '/nonexistent': No such file"),
    (["--mode", "fast", "q"], "want ask or execute"),
    (["--mode", "ask", "--job", JOB, "q"], "keeps its mode"),
    (["--job", "a/b", "q"], "no conversation's id"),
    ([""], "the prompt is empty"),
    (["a", "b"], "'b' is one argument too many"),
    (["--jobb", "q"], "did you mean '--job'?"),
])
def test_wrong_usage_gives_64(serve, tmp_path, args, says):
    done = nairid("ask", *args, env=serve({}).env(tmp_path))
    assert done.returncode == 64
    assert says in done.stderr


@pytest.mark.parametrize("prompt, says", [
    (b"a\0b", "has a NUL byte in it"),
    (b"\xff", "isn't text in UTF-8"),
])
def test_a_prompt_that_is_no_text_gives_64(serve, tmp_path, prompt, says):
    done = subprocess.run([program("nairid"), "ask"], input=prompt, env=serve({}).env(tmp_path),
                          capture_output=True, timeout=30)
    assert done.returncode == 64
    assert says in done.stderr.decode()


def test_the_wrong_kind_of_key_gives_78(serve, tmp_path):
    env = serve({}).env(tmp_path)
    env["NAIRI_PUBLIC_API_KEY"] = "nairid_0123456789"
    done = nairid("ask", "q", env=env)
    assert done.returncode == 78
    assert "an agent's key" in done.stderr and "0123456789" not in done.stderr


def test_without_a_server_it_says_where_it_looked(tmp_path):
    done = nairid("ask", "q", env=environment(tmp_path))
    assert done.returncode == 78
    assert f"{tmp_path}/.local/state/nairid-up/client.env" in done.stderr


def test_a_key_without_agent_gives_78(serve, tmp_path):
    env = serve({}).env(tmp_path)
    del env["NAIRI_AGENT_ID"]
    done = nairid("ask", "q", env=env)
    assert done.returncode == 78
    assert "NAIRI_AGENT_ID" in done.stderr


def write_client_env(directory, server):
    directory.mkdir(parents=True)
    path = directory / "client.env"
    path.write_text(f"NAIRI_API_URL={server.url}\nNAIRI_PUBLIC_API_KEY={KEY}\nNAIRI_AGENT_ID=local\n")
    path.chmod(0o600)


def test_client_env_of_up_is_used_where_the_environment_says_nothing(serve, tmp_path):
    server = serve(answered("ok"))
    write_client_env(tmp_path / ".local/state/nairid-up", server)
    assert nairid("ask", "q", env=environment(tmp_path)).stdout == "ok\n"
    assert server.asked(*START)[0][2]["agent_id"] == "local"


def test_the_state_directory_beats_the_environment(serve, tmp_path):
    server, other = serve(answered("ok")), serve({})
    write_client_env(tmp_path / "s", server)
    done = nairid("ask", "--state", tmp_path / "s", "q", env=other.env(tmp_path))
    assert (done.returncode, done.stdout) == (0, "ok\n")
    assert not other.requests  # nobody else saw a key


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(serve, tmp_path):
    server, proxy = serve(answered("ok")), serve({})
    done = nairid("ask", "q", env=server.env(tmp_path, http_proxy=proxy.url))
    assert (done.returncode, done.stdout) == (0, "ok\n")
    assert not proxy.requests


def on_terminal(serve, rows, last):
    """A server on which the message is pending with rows as progress, until released."""
    listed = [(200, {"messages": [user("queued")]}), (200, {"messages": [user("pending"), *rows]})]
    server = serve({START: [STARTED], LIST: listed})

    def release():
        server.script[LIST] = [(200, {"messages": [user(last[0]), *rows, row(*last[1:])]})]

    return server, release


def test_a_terminal_shows_what_the_task_does_and_is_clean_after(serve, tmp_path):
    rows = [progress(progress_type="text", text_delta="let me see"),
            progress(progress_type="tool_use", tool_name="Bash", tool_input="make\ntest",
                     tool_status="running")]
    server, release = on_terminal(serve, rows, ("completed", "assistant", "the reply"))
    ask = Terminal("ask", "q", env=server.env(tmp_path, TERM="xterm"), stdout_pipe=True)
    ask.expect("queued")
    ask.expect("working: Bash: make test")
    release()
    assert ask.end() == 0
    assert ask.proc.stdout.read() == b"the reply\n"
    assert screen(ask.text) == [f"(to go on: {program('nairid')} ask --job {JOB} PROMPT)", ""]


def test_the_line_fits_the_terminal_and_obeys_nothing_that_a_task_said(serve, tmp_path):
    evil = "\x1b]0;owned\x07\x1b[2J" + "漢字" * 60 + "\u202e"
    server, release = on_terminal(serve, [progress(progress_type="text", text_delta=evil)],
                                  ("completed", "assistant", "\x1b[31mred\x1b[0m\u009b2J ok\x07"))
    ask = Terminal("ask", "q", env=server.env(tmp_path, TERM="xterm"), columns=40)
    ask.expect("…")
    release()
    assert ask.end() == 0
    # The last line, how to go on, is for copying: it is as long as the program's path makes it.
    lines = screen(ask.text.replace("漢", "XX").replace("字", "YY"))
    drawn = [part for part in ask.text.split("\r") if part.startswith("working")]
    assert drawn
    for part in drawn:
        shown = part.removesuffix("\n").split("\x1b[K")[0]
        width = sum(2 if c in "漢字" else 1 for c in shown)
        assert width <= 39 and "owned" not in shown and "\u202e" not in shown
    assert "red2J ok" in lines
    assert "\x07" not in ask.text


def test_a_dumb_terminal_and_a_pipe_show_nothing(serve, tmp_path):
    server = serve(answered("ok"))
    ask = Terminal("ask", "q", env=server.env(tmp_path, TERM="dumb"))
    assert ask.end() == 0
    assert ask.text == "ok\r\n"


@pytest.mark.parametrize("signo, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_the_task_running_and_says_how_to_go_on(serve, tmp_path, signo, code):
    server, _ = on_terminal(serve, [], ("completed", "assistant", "x"))
    ask = Terminal("ask", "q", env=server.env(tmp_path, TERM="xterm"))
    ask.expect("working")
    ask.interrupt(signo)
    assert ask.end() == code
    shown = screen(ask.text)
    assert f"  {program('nairid')} ask --job {JOB}" in shown
    assert (f'  curl -X POST -H "Authorization: Bearer $NAIRI_PUBLIC_API_KEY" '
            f"{server.url}/api/public/v1/conversations/{JOB}/stop") in shown
    assert KEY not in ask.text
    assert not [r for r in server.requests if r[1].endswith("/stop")]


def test_the_line_that_stops_a_task_works_without_the_key_in_the_shell(serve, tmp_path):
    server, _ = on_terminal(serve, [], ("completed", "assistant", "x"))
    state = tmp_path / "of up"
    write_client_env(state, server)
    ask = Terminal("ask", "--state", state, "q", env=environment(tmp_path, TERM="xterm"))
    ask.expect("working")
    ask.interrupt(signal.SIGINT)
    assert ask.end() == 130
    assert f"  . '{state}/client.env'\r\n  curl -X POST" in ask.text


def test_a_server_that_is_not_there_is_named_by_the_variable_of_ask(tmp_path):
    env = environment(tmp_path, NAIRI_API_URL="http://127.0.0.1:1", NAIRI_PUBLIC_API_KEY=KEY,
                      NAIRI_AGENT_ID="local")
    done = nairid("ask", "q", env=env)
    assert done.returncode == 69
    assert "NAIRI_API_URL" in done.stderr and "server.url" not in done.stderr


def test_an_interrupt_before_the_answer_says_that_nothing_is_known(serve, tmp_path):
    server = serve({START: [(503, {"error": "busy"}, {"Retry-After": "60"})]})
    ask = Terminal("ask", "q", env=server.env(tmp_path, TERM="xterm"))
    ask.expect("trying again")
    ask.interrupt()
    assert ask.end() == 130
    assert "not known" in ask.text


def test_a_reply_into_a_pipe_is_byte_for_byte(serve, tmp_path):
    server = serve(answered("\x1b[31mred\x1b[0m"))
    done = nairid("ask", "q", env=server.env(tmp_path))
    assert done.stdout == "\x1b[31mred\x1b[0m\n"


def test_a_full_disk_under_the_reply_is_an_error(serve, tmp_path):
    server = serve(answered("ok"))
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([program("nairid"), "ask", "q"], env=server.env(tmp_path),
                              stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
                              timeout=60)
    assert done.returncode == 74
    assert b"standard output" in done.stderr
