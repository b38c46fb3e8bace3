"""The programs that tasks are made of, doing real work in the profile agent, without a network.

Compilers build and test a small project, packages are installed from a file, a browser draws a
page, and the agents' own programs work with a model that runs beside them in the sandbox. What is
not installed on this machine is skipped by name.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(TESTS, "integration"))

import claudekit  # noqa: E402
import npmkit  # noqa: E402
from daemonkit import Account, accounts  # noqa: E402
from hubkit import REPORTS  # noqa: E402

TASK_UID = 61358  # the task's when we are root; no account has it
NO_NPM = "the npm registry can't be reached, so there is no Codex and no OpenCode to run"
MODEL = os.path.join(TESTS, "support", "stub-model.mjs")
# Starts the model on the sandbox's own loopback, then runs the rest with its address in $URL.
WITH_MODEL = """
mkfifo ready
node model.mjs 0 >ready &
read -r word URL <ready
export URL
{script}
kill %1
"""


class Box:
    def __init__(self, account):
        self.account = account
        self.uid = TASK_UID if account.is_root else account.uid
        self.workspace = account.mkdir("work")
        os.chown(self.workspace, self.uid, self.uid)

    def write(self, name, text):
        path = os.path.join(self.workspace, name)
        folder = os.path.dirname(path)
        os.makedirs(folder, exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        for made in (folder, path):
            os.chown(made, self.uid, self.uid)

    def path(self, name):
        return os.path.join(self.workspace, name)

    def within_reach(self, folder):
        """The folder; or, where that is in root's home and this is another user, one like it."""
        if subprocess.run([*self.account.wrap, "test", "-r", folder]).returncode == 0:
            return folder
        like = self.account.shared()
        for name in ("bin", "lib"):
            subprocess.run(["cp", "-a", "--link", f"{folder}/{name}", like], check=True)
        return like

    def sh(self, script, read=(), timeout_s=240):
        """Standard output of a script that must succeed."""
        done = subprocess.run(
            [*self.account.wrap, self.account.program("nairid"), "sandbox", "--profile", "agent",
             "--network", "none", "--workspace", self.workspace, "--set",
             f"sandbox.read={json.dumps(list(read))}", "--", "bash", "-ec", script],
            env=self.account.environ(), cwd=self.account.folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=timeout_s)
        for report in REPORTS:
            assert report not in done.stderr, done.stderr
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(params=accounts())
def box(request):
    account = Account(request.param)
    yield Box(account)
    account.done()


def need(program):
    """Where it is, or a skip."""
    path = shutil.which(program)
    if not path:
        pytest.skip(f"{program} is not installed here")
    return os.path.realpath(path)


def shown(folder):
    """The paths that a task has to be shown so that it can use a folder."""
    return [] if folder.startswith("/usr/") else [folder]


# languages


def test_gcc_and_make_build_and_test_a_library(box):
    box.write("sum.c", "int sum(int a, int b) { return a + b; }\n")
    box.write("check.c", "int sum(int, int);\nint main(void) { return sum(40, 2) != 42; }\n")
    box.write("Makefile", "check: sum.o check.o\n\t$(CC) -fsanitize=undefined -o $@ $^\n"
                          "test: check\n\t./check && echo tested\n")
    assert "tested\n" in box.sh("make -j2 CFLAGS='-g -O2 -flto' LDFLAGS=-flto test")


def test_gdb_stops_and_changes_its_own_child(box):
    need("gdb")
    box.write("twice.c", "#include <stdio.h>\nint twice(int n) { return n * 2; }\n"
                         "int main(void) { printf(\"%d\\n\", twice(21)); return 0; }\n")
    out = box.sh("""gcc -g -O0 -o twice twice.c
        gdb -q -batch -ex 'break twice' -ex run -ex 'print n' -ex 'set var n = 4' -ex continue \
            ./twice 2>&1""")
    assert "$1 = 21" in out and "\n8\n" in out and "exited normally" in out, out


def test_git_clones_merges_and_runs_hooks(box):
    out = box.sh("""
        git init -q one && cd one && git config user.name a && git config user.email a@b
        echo x >f && git add f && git commit -qm first
        git checkout -qb side && echo y >g && git add g && git commit -qm side
        git checkout -q - && echo z >h && git add h && git commit -qm main && git merge -q side
        printf '#!/bin/sh\\necho hook' >.git/hooks/pre-commit && chmod +x .git/hooks/pre-commit
        cd .. && git clone -q one two && git -C two gc -q && git -C two fsck --strict
        git -C two log --format=%s | sort | tr '\\n' ' '""")
    assert out.startswith("Merge") or "first main side" in out, out


def test_python_builds_an_environment_and_tests(box):
    box.write("test_it.py", "import unittest, sqlite3, multiprocessing, asyncio\n"
                            "class T(unittest.TestCase):\n    def test_it(self):\n"
                            "        with multiprocessing.Pool(2) as pool:\n"
                            "            self.assertEqual(pool.map(abs, [-1]), [1])\n"
                            "        asyncio.run(asyncio.to_thread(abs, 1))\n")
    assert "Ran 1 test" in box.sh("/usr/bin/python3 -m venv --without-pip env\n"
                                  "env/bin/python -m unittest test_it 2>&1")


def test_node_and_npm_install_a_local_package(box):
    need("npm")
    box.write("lib/package.json", '{"name": "lib", "version": "1.0.0", "main": "i.js"}')
    box.write("lib/i.js", "module.exports = () => 42;\n")
    box.write("app/package.json", '{"name": "app", "version": "1.0.0", "scripts": {"test": '
                                  '"node -e \\"console.log(require(\'lib\')())\\""}}')
    assert "\n42\n" in box.sh("""cd lib && npm pack --silent && cd ../app
        npm install --silent --offline --no-audit --no-fund ../lib/lib-1.0.0.tgz && npm test""")


def test_java_builds_tests_and_runs(box):
    need("javac")
    box.write("A.java", "import java.util.stream.*; public class A { static int f() { return "
                        "IntStream.range(0, 10).parallel().sum() - 3; } public static void main("
                        "String[] a) { System.out.println(f()); } }")
    box.write("ATest.java", "public class ATest { public static void main(String[] a) throws "
                            "Exception { assert A.f() == 42; Thread t = new Thread(() -> { assert "
                            "A.f() == 42; System.out.println(\"tested\"); }); t.start(); t.join(); "
                            "boolean works = false; assert works = true; if (!works) "
                            "throw new Exception(\"no assertions\"); } }")
    assert box.sh("javac A.java ATest.java && java -ea ATest && jar cf a.jar A.class && "
                  "java -cp a.jar A") == "tested\n42\n"


def test_go_builds_and_tests_offline(box):
    go = need("go")
    box.write("go.mod", "module x\ngo 1.19\n")
    box.write("m.go", 'package main\nimport "fmt"\nfunc main() { fmt.Println(f()) }\n'
                      "func f() int { c := make(chan int); go func() { c <- 42 }(); return <-c }\n")
    box.write("m_test.go", 'package main\nimport ("net"; "testing")\nfunc TestF(t *testing.T) {\n'
                           'l, err := net.Listen("tcp", "127.0.0.1:0")\n'
                           "if err != nil || f() != 42 { t.Fatal(err) }\nl.Close() }\n")
    folder = os.path.dirname(os.path.dirname(go))
    out = box.sh(f"export PATH=$PATH:{folder}/bin GOPROXY=off GOFLAGS=-mod=mod\n"
                 "go build -o x . && ./x && go test ./...", shown(folder), timeout_s=580)
    assert out.startswith("42\n") and "\nok" in out, out


def test_rust_builds_and_tests_offline(box):
    """As an operator brings it in: the toolchain's folder, named in sandbox.read."""
    need("cargo")
    root = box.within_reach(subprocess.run(["rustc", "--print", "sysroot"], capture_output=True,
                                           text=True, check=True).stdout.strip())
    out = box.sh(f"""export PATH={root}/bin:$PATH
        cargo init -q --vcs none --name hello . && cargo build -q --offline && ./target/debug/hello
        printf '#[test] fn it() {{ assert_eq!(6 * 7, 42); }}\\n' >>src/main.rs
        cargo test --offline 2>&1""", shown(root), timeout_s=580)
    assert "Hello, world!" in out and "1 passed" in out, out


def test_a_headless_browser_draws_a_page(box):
    need("chromium")
    box.write("page.html", "<body><script>document.body.style.background = 'rgb(255, 0, 0)'"
                           "</script></body>")
    box.sh("""chromium --headless --no-sandbox --disable-gpu --no-first-run \
        --disable-background-networking --user-data-dir=/tmp/profile --window-size=64,64 \
        --screenshot=/workspace/page.png file:///workspace/page.html""")
    with open(box.path("page.png"), "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"
    # the script ran: the picture is red
    pixel = box.sh("""/usr/bin/python3 -c "
import struct, zlib
data, at, idat = open('page.png', 'rb').read(), 8, b''
while at < len(data):
    size, kind = struct.unpack('>I4s', data[at:at + 8])
    idat += data[at + 8:at + 8 + size] if kind == b'IDAT' else b''
    at += size + 12
print(*zlib.decompress(idat)[1:4])
" """)
    assert pixel == "255 0 0\n"


# agents


def agents():
    """The folder with Codex and OpenCode, of the versions that tests/support/agents names."""
    folder = os.path.join(os.environ["NAIRID_BUILD"], "agents")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(os.path.join(folder, "done")):
            fetch(folder)
    return os.path.join(folder, "node_modules")


def fetch(folder):
    env = dict(os.environ)
    env.setdefault("NODE_EXTRA_CA_CERTS", "/etc/ssl/certs/ca-certificates.crt")  # a site's own CA
    shutil.copy(os.path.join(TESTS, "support", "agents", "package.json"), folder)
    try:
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts",
                               "--no-package-lock", "--fetch-retries=2", "--fetch-timeout=60000"],
                              cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=480, env=env)
    except subprocess.TimeoutExpired:
        pytest.skip(NO_NPM)
    if done.returncode != 0 and npmkit.UNREACHABLE.search(done.stderr):
        pytest.skip(NO_NPM)
    assert done.returncode == 0, done.stderr
    with open(os.path.join(folder, "done"), "w", encoding="ascii"):
        pass


def native(folder, name):
    """The program itself, without the script that looks for it."""
    found = subprocess.run(["find", folder, "-type", "f", "-name", name, "-perm", "-u+x", "-size",
                            "+1M"], capture_output=True, text=True, check=True).stdout.split()
    found = [path for path in found if "baseline" not in path]
    assert found, f"no {name} in {folder}"
    return found[0]


def with_model(box, script, read):
    box.write("model.mjs", open(MODEL, encoding="utf-8").read())
    return box.sh(WITH_MODEL.format(script=script), read)


def test_claude_code_works(box):
    program = claudekit.install()
    out = with_model(box, f"""export ANTHROPIC_BASE_URL=$URL ANTHROPIC_API_KEY=none \
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 DISABLE_AUTOUPDATER=1
        echo 'TOOL: echo made >by-claude; cat by-claude' | {program} \
            --dangerously-skip-permissions --verbose --output-format stream-json -p""",
                     [os.path.dirname(program)])
    assert '"subtype":"success"' in out and '"is_error":false' in out, out[-2000:]
    assert open(box.path("by-claude"), encoding="ascii").read() == "made\n"


CODEX_CONFIG = """model = "stub-model"
model_provider = "stub"
check_for_update_on_startup = false
[analytics]
enabled = false
[features]
plugins = false
apps = false
remote_plugin = false
[model_providers.stub]
name = "Stub"
base_url = "$URL/v1"
env_key = "STUB_API_KEY"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
"""


def test_codex_works(box):
    folder = agents()
    program = native(os.path.join(folder, "@openai"), "codex")
    out = with_model(box, f"""export STUB_API_KEY=none
        mkdir -p ~/.codex && cat >~/.codex/config.toml <<END\n{CODEX_CONFIG}END
        echo 'TOOL: echo made >by-codex; cat by-codex' | {program} exec --json \
            --dangerously-bypass-approvals-and-sandbox --skip-git-repo-check - 2>&1""",
                     [os.path.join(folder, "@openai")])
    assert '"turn.completed"' in out, out[-2000:]
    assert open(box.path("by-codex"), encoding="ascii").read() == "made\n"


OPENCODE_CONFIG = json.dumps(
    {"autoupdate": False, "share": "disabled", "model": "stub/stub-model",
     "small_model": "stub/stub-model",
     "provider": {"stub": {"npm": "@ai-sdk/openai-compatible", "name": "Stub",
                           "options": {"baseURL": "$URL/v1", "apiKey": "none"},
                           "models": {"stub-model": {"name": "Stub", "tool_call": True,
                                                     "limit": {"context": 200000,
                                                               "output": 32000}}}}}})


def test_opencode_works(box):
    folder = agents()
    program = native(folder, "opencode")
    out = with_model(box, f"""export OPENCODE_DISABLE_MODELS_FETCH=1 OPENCODE_DISABLE_AUTOUPDATE=1 \
        OPENCODE_DISABLE_LSP_DOWNLOAD=1 OPENCODE_DISABLE_DEFAULT_PLUGINS=1
        mkdir -p ~/.config/opencode
        cat >~/.config/opencode/opencode.json <<END\n{OPENCODE_CONFIG}\nEND
        echo 'TOOL: echo made >by-opencode; cat by-opencode' | {program} run --format json \
            --agent build""", [os.path.dirname(os.path.dirname(program))])
    assert '"step_finish"' in out and '"reason":"stop"' in out, out[-2000:]
    assert open(box.path("by-opencode"), encoding="ascii").read() == "made\n"
