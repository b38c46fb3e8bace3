"""`nairid sandbox`: what a command sees, can do and leaves behind.

Every test runs once as root and once as an ordinary user. The commands are run in the sandbox only;
what would do harm outside is never tried there.
"""

import ctypes
import os
import pty
import re
import select
import signal
import socket
import subprocess
import textwrap
import time

import pytest

from hubkit import REPORTS, wait_until
from processes import Process, descendants, reap_orphans

TASK_UID = 61358  # whose the workspace is when we are root; no account has it
LANDLOCK_SCOPES = 6  # the ABI that keeps abstract sockets and signals inside


@pytest.fixture(autouse=True)
def as_each(account):
    """Root, then an ordinary user."""


class Box:
    """A workspace, and commands in the sandbox that see it."""

    def __init__(self, account):
        self.account = account
        self.uid = TASK_UID if account.is_root else account.uid
        self.workspace = account.mkdir("work")
        os.chown(self.workspace, self.uid, self.uid)

    def argv(self, *command, flags=()):
        return [*self.account.wrap, self.account.program("nairid"), "sandbox", "--workspace",
                self.workspace, "--network", "none", *flags, "--", *command]

    def popen(self, *command, flags=(), **kwargs):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, "env": self.account.environ(SECRET="hunter2"),
                   "cwd": self.account.folder, "text": True}
        return subprocess.Popen(self.argv(*command, flags=flags), **{**options, **kwargs})

    def run(self, *command, flags=(), timeout_s=60, **kwargs):
        """Runs it to its end. No sanitizer may have complained."""
        text = kwargs.pop("input", None)
        if text is not None:
            kwargs["stdin"] = subprocess.PIPE
        with self.popen(*command, flags=flags, **kwargs) as process:
            try:
                process.out, process.err = process.communicate(text, timeout=timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        for report in REPORTS:
            assert report not in (process.err or ""), process.err
        return process

    def sh(self, script, flags=(), **kwargs):
        """Standard output of a shell script that must succeed."""
        done = self.run("sh", "-c", script, flags=flags, **kwargs)
        assert done.returncode == 0, (done.returncode, done.out, done.err)
        return done.out

    def python(self, script, flags=(), **kwargs):
        done = self.run("/usr/bin/python3", "-c", textwrap.dedent(script), flags=flags, **kwargs)
        assert done.returncode == 0, (done.returncode, done.out, done.err)
        return done.out

    def fails(self, script, flags=()):
        """Standard error of a shell script that must not succeed."""
        done = self.run("sh", "-c", script, flags=flags)
        assert done.returncode != 0, done.out
        return done.err

    def path(self, name):
        return os.path.join(self.workspace, name)

    def life_line(self):
        """A FIFO in the workspace; a task that holds it open for writing (exec 9>life) lives until
        reading gives the end."""
        os.mkfifo(self.path("life"))
        os.chmod(self.path("life"), 0o666)
        return os.open(self.path("life"), os.O_RDONLY | os.O_NONBLOCK)


@pytest.fixture
def box(account):
    return Box(account)


def wait_line(process):
    """The first line of its output."""
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return line


def ends_within(fd, seconds):
    """Whether every writer of the life line is gone by then."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if select.select([fd], [], [], left)[0] and os.read(fd, 4096) == b"":
            return True
    return False


def landlock_abi():
    return ctypes.CDLL(None).syscall(444, None, 0, 1)


def spawner_of(process):
    """The spawner below a running `nairid sandbox`."""
    found = [p for p in descendants(process.pid) if p.argv() == ["nairid: spawner"]]
    return min(found, key=lambda p: p.pid)


# output, input, status


def test_output_input_and_status_pass_through(box):
    done = box.run("sh", "-c", "cat; echo problem >&2; exit 5", input="one\ntwo\n")
    assert (done.out, done.err, done.returncode) == ("one\ntwo\n", "problem\n", 5)


def test_death_by_a_signal_is_told_as_a_shell_does(box):
    assert box.run("sh", "-c", "kill -SEGV $$").returncode == 128 + signal.SIGSEGV


def test_a_missing_program_is_named(box):
    done = box.run("no-such-program", "argument")
    assert done.returncode == 127
    assert "'no-such-program'" in done.err and "no such program" in done.err


def test_a_script_without_its_interpreter_is_named(box):
    with open(box.path("run"), "w") as file:
        file.write("#!/no/such/interpreter\n")
    os.chmod(box.path("run"), 0o755)
    done = box.run("./run")
    assert done.returncode == 127 and "'./run'" in done.err and "interpreter" in done.err


@pytest.mark.parametrize("flags, code, words", [
    (["--profile", "lax"], 78, "sandbox.profile"),
    (["--network", "allowed"], 78, "allowlist"),
    (["--allow", "example.org"], 78, "HOST:PORT"),
    (["--workspace", "/no/such/place"], 64, "/no/such/place"),
    (["--set", 'sandbox.read=["/no/such/place"]'], 78, "/no/such/place"),
    (["--set", 'sandbox.write=["/etc"]'], 78, "/etc"),
])
def test_what_cannot_be_is_refused_by_name(box, flags, code, words):
    done = box.run("true", flags=flags)
    assert done.returncode == code and words in done.err, (done.returncode, done.err)


def test_a_command_is_required(box):
    assert box.run().returncode == 64


def test_a_directory_as_standard_input_is_refused(box):
    fd = os.open("/", os.O_RDONLY)
    done = box.run("ls", stdin=fd)
    os.close(fd)
    assert done.returncode == 64 and "directory" in done.err


def test_the_home_directory_is_not_taken_unasked(box, account):
    argv = [*account.wrap, account.program("nairid"), "sandbox", "--", "true"]
    done = subprocess.run(argv, cwd=account.folder, env=account.environ(), capture_output=True,
                          text=True)
    assert done.returncode == 64 and "--workspace" in done.stderr
    done = subprocess.run(argv, cwd=box.workspace, env=account.environ(), capture_output=True)
    assert done.returncode == 0


# who one is


def test_one_user_id_is_mapped_and_it_is_not_the_hosts_root(box):
    assert box.sh("id -u; id -g; id -un") == "1000\n1000\nagent\n"
    fields = box.sh("cat /proc/self/uid_map /proc/self/gid_map").split()
    assert fields == ["1000", str(box.uid), "1"] * 2
    box.sh("touch file")
    assert os.stat(box.path("file")).st_uid == box.uid != 0


def test_as_root_no_group_is_left(box, account):
    if account.is_root:
        account.wrap = ["setpriv", "--groups=4,61399", "--"]
    groups = box.sh("grep Groups: /proc/self/status").split()[1:]
    assert groups == [] if account.is_root else True


def test_there_is_no_capability_and_no_way_to_one(box):
    status = box.sh("cat /proc/self/status")
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert re.search(rf"^{name}:\s0+$", status, re.M), status
    assert re.search(r"^NoNewPrivs:\s1$", status, re.M)
    assert re.search(r"^Seccomp:\s2$", status, re.M)
    assert box.fails("chown 0 /workspace")


def test_no_set_id_program_works(box):
    box.sh("su --version >/dev/null")  # it is there
    assert box.fails("su -c id")
    for line in box.sh("cat /proc/self/mountinfo").splitlines():
        assert "nosuid" in line.split()[5].split(","), line


def test_no_set_id_file_can_be_left(box):
    box.sh("touch file")
    assert "Operation not permitted" in box.fails("chmod u+s file")
    assert "Operation not permitted" in box.fails("chmod g+s file")
    assert "Operation not permitted" in box.fails("install -m 4755 /bin/true file2")
    for name in os.listdir(box.workspace):
        assert os.stat(box.path(name)).st_mode & 0o6000 == 0


def test_the_environment_is_made_from_nothing(box):
    assert sorted(box.sh("cat /proc/self/environ | tr '\\0' '\\n'").split()) == [
        "HOME=/home/agent", "LANG=C.UTF-8", "LOGNAME=agent",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PWD=/workspace",
        "SHELL=/bin/sh", "TERM=dumb", "TMPDIR=/tmp", "USER=agent"]


def test_nothing_of_ours_shows_in_process_1(box):
    assert "hunter2" not in box.sh("cat /proc/1/environ 2>/dev/null; true")
    for name in ("environ", "mem", "maps", "exe", "fd", "cwd", "root"):
        assert "Permission denied" in box.fails(f"ls -L /proc/1/{name}/; cat /proc/1/{name}"), name
    assert box.workspace not in box.sh("cat /proc/1/cmdline")


def test_no_descriptor_of_the_callers_is_left_open(box):
    fds = [os.open("/", os.O_RDONLY), os.open("/etc/passwd", os.O_RDONLY), *os.pipe()]
    names = box.sh("ls /proc/self/fd", pass_fds=fds).split()
    for fd in fds:
        os.close(fd)
    assert names == ["0", "1", "2", "3"]  # 3: ls reads the directory


def test_limits_hold(box):
    flags = ["--set", "sandbox.limits.files=100", "--set", "sandbox.limits.pids=40",
             "--set", "sandbox.limits.disk=1M", "--set", "sandbox.limits.memory=256M"]
    limits = {line[:25].strip(): line[26:].split() for line in
              box.sh("cat /proc/self/limits", flags=flags).splitlines()}
    assert limits["Max open files"][:2] == ["100", "100"]
    assert limits["Max processes"][:2] == ["41", "41"]  # with our process 1
    assert limits["Max file size"][:2] == [str(1 << 20)] * 2
    assert limits["Max core file size"][:2] == ["1", "1"]  # 0 would still feed a pipe, core(5)
    assert limits["Max data size"][:2] == [str(256 << 20)] * 2
    assert box.fails("head -c 2000000 /dev/zero >large", flags=flags) is not None
    assert os.stat(box.path("large")).st_size <= 1 << 20
    assert "MemoryError" in box.run("/usr/bin/python3", "-c", "bytearray(300 << 20)",
                                    flags=flags).err


# what one sees


def test_nothing_else_of_the_host_is_there(box, account):
    canary = account.write(os.path.join(account.folder, "canary"), "tweet", 0o644)
    os.chmod(account.folder, 0o755)
    places = set(box.sh("ls -A /").split())
    assert places <= {"bin", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "proc",
                      "sbin", "tmp", "usr", "var", "workspace"}
    assert box.sh("ls -A /home /home/agent /tmp /var /var/tmp/ /dev/shm").split() == [
        "/dev/shm:", "/home:", "agent", "/home/agent:", "/tmp:", "/var:", "tmp", "/var/tmp/:"]
    for path in (canary, "/root", "/run", "/sys", "/etc/shadow", "/etc/machine-id", "/var/lib",
                 "/var/run", "/proc/sys/fs/binfmt_misc/status"):
        assert "No such file" in box.fails(f"ls -d {path}"), path
    assert "nobody" in box.sh("cat /etc/passwd") and "daemon" not in box.sh("cat /etc/passwd")


def test_devices_are_the_harmless_ones(box):
    names = set(box.sh("ls -A /dev").split())
    assert names == {"null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout",
                     "stderr", "shm", "pts", "ptmx"}
    assert box.sh("head -c 3 /dev/zero | od -An -tx1; echo x >/dev/null; head -c 8 /dev/urandom "
                  "| wc -c").split() == ["00", "00", "00", "8"]
    for line in box.sh("cat /proc/self/mountinfo").splitlines():
        place, options = line.split()[4], line.split()[5].split(",")
        if not place.startswith("/dev/"):
            assert "nodev" in options, line
    assert box.fails("mknod null c 1 3")


def test_processes_of_the_host_are_not_there(box):
    pids = [int(name) for name in box.sh("ls /proc").split() if name.isdigit()]
    assert len(pids) <= 3 and max(pids) < 10, pids
    assert box.sh("kill -9 1; kill -STOP 1; kill -TERM 1; echo alive") == "alive\n"


def test_process_1_cannot_be_traced(box):
    box.python("""
        import ctypes, errno
        libc = ctypes.CDLL(None, use_errno=True)
        for request in (16, 0x4206):  # ATTACH, SEIZE
            assert libc.ptrace(request, 1, 0, 0) == -1 and ctypes.get_errno() == errno.EPERM
        try:
            open("/proc/1/mem", "rb")
            raise SystemExit("open")
        except PermissionError:
            pass
        """)


def test_ones_own_child_can_be_debugged_unless_strict(box):
    script = """
        import ctypes, os, errno, signal
        libc = ctypes.CDLL(None, use_errno=True)
        pid = os.fork()
        if pid == 0:
            while True: signal.pause()
        r = libc.ptrace(0x4206, pid, 0, 0)
        print("traced" if r == 0 else errno.errorcode[ctypes.get_errno()])
        os.kill(pid, signal.SIGKILL)
        """
    assert box.python(script) == "traced\n"
    assert box.python(script, flags=["--profile", "strict"]) == "EPERM\n"


def test_the_host_name_is_private(box):
    before = socket.gethostname()
    assert box.sh("hostname; cat /proc/sys/kernel/hostname") == "sandbox\nsandbox\n"
    assert box.fails("hostname other")
    assert socket.gethostname() == before


def test_system_v_objects_of_the_host_are_not_there(box):
    libc = ctypes.CDLL(None)
    queue = libc.msgget(0, 0o1666)  # IPC_PRIVATE, IPC_CREAT
    try:
        assert box.sh("wc -l </proc/sysvipc/msg") == "1\n"  # the heading
    finally:
        libc.msgctl(queue, 0, None)


def test_there_is_no_terminal_to_take_over(box):
    ours, theirs = pty.openpty()
    box.python("""
        import errno, fcntl, os, sys, termios
        assert os.isatty(0)
        for request, argument in ((termios.TIOCSTI, b"x"), (0x541c, b"\\2"), (0x541d, b"")):
            try:
                fcntl.ioctl(0, request, argument)
                raise SystemExit(f"ioctl {request:x} went through")
            except OSError as e:
                assert e.errno == errno.EPERM, e
        try:
            open("/dev/tty")
            raise SystemExit("a controlling terminal")
        except OSError as e:
            assert e.errno == errno.ENXIO, e
        """, stdin=theirs)
    assert select.select([ours], [], [], 0)[0] == []
    os.close(ours)
    os.close(theirs)


def test_terminals_of_ones_own_can_be_made(box):
    assert "hello" in box.sh("script -qc 'echo hello' /dev/null")


# files


def test_the_system_cannot_be_written(box):
    for path in ("/", "/usr", "/usr/bin", "/bin", "/etc", "/etc/ssl", "/lib", "/var", "/dev",
                 "/proc", "/home"):
        done = box.run("touch", f"{path}/nairid-test")
        assert done.returncode != 0, path
        assert re.search("Read-only file system|Permission denied|No such file", done.err), done.err
    for script in ("echo x >>/etc/passwd", "rm /bin/sh", "mv /usr /x", "chmod 777 /etc",
                   "echo 1 >/proc/sys/kernel/core_pattern", "echo b >/proc/sysrq-trigger",
                   "echo x >/proc/sys/kernel/hostname"):
        assert box.fails(script), script


def test_only_the_workspace_persists(box):
    box.sh("echo kept >file; mkdir -p d/e; echo gone >~/home; echo gone >/tmp/tmp; "
           "echo gone >/dev/shm/shm; echo gone >/var/tmp/vartmp; cat ~/home /tmp/tmp")
    with open(box.path("file")) as file:
        assert file.read() == "kept\n"
    assert sorted(os.listdir(box.workspace)) == ["d", "file"]
    assert box.sh("cat file; ls -A ~ /tmp /dev/shm /var/tmp/ | grep gone; true") == "kept\n"
    assert not os.path.exists("/tmp/tmp") and not os.path.exists("/dev/shm/shm")


def test_private_places_are_limited_in_size_and_number(box):
    flags = ["--set", "sandbox.limits.memory=64M"]
    assert "No space left" in box.fails("head -c 30M /dev/zero >/tmp/file", flags=flags)
    assert "No space left" in box.fails("head -c 30M /dev/zero >/dev/shm/file", flags=flags)
    assert "No space left" in box.fails("head -c 30M /dev/zero >~/file", flags=flags)
    done = box.run("sh", "-c", "cd /tmp && seq 10000 | xargs touch", flags=flags)
    assert "No space left" in done.err


def test_shared_memory_is_not_executable(box):
    assert "Permission denied" in box.fails("cp /bin/true /dev/shm/ && /dev/shm/true")
    assert box.sh("cp /bin/true /tmp/ && /tmp/true && cp /bin/true . && ./true; echo $?") == "0\n"


def test_further_paths_are_shown_as_the_operator_says(box, account):
    shown = account.mkdir("shown", 0o755)
    written = account.mkdir("written")
    for path in (shown, written):
        account.write(os.path.join(path, "file"), "content\n", 0o644)
        os.chown(path, box.uid, box.uid)
    flags = ["--set", f'sandbox.read=["{shown}"]', "--set", f'sandbox.write=["{written}"]']
    assert box.sh(f"cat {shown}/file; echo more >{written}/new", flags=flags) == "content\n"
    assert "Read-only" in box.fails(f"touch {shown}/new", flags=flags)
    assert "Read-only" in box.fails(f"echo x >{shown}/file", flags=flags)
    assert os.path.exists(os.path.join(written, "new"))


def test_links_that_lead_out_lead_nowhere(box, account):
    account.write(os.path.join(account.folder, "canary"), "tweet", 0o644)
    os.symlink(os.path.join(account.folder, "canary"), box.path("link"))
    os.symlink("/", box.path("rootlink"))
    assert "No such file" in box.fails("cat link")
    assert "No such file" in box.fails(f"cat ..{account.folder}/canary")
    assert box.sh("ls -A rootlink/home") == "agent\n"


def test_nothing_can_be_mounted_or_unshared(box):
    for script in ("mount -t tmpfs none /tmp", "unshare -U true",
                   "unshare -r mount -t tmpfs none /tmp", "nsenter -t 1 -m true",
                   "chroot /usr true", "mount --bind / /tmp"):
        error = box.fails(script)
        assert re.search("not permitted|denied|must be superuser", error), (script, error)
    box.python("""
        import ctypes, errno
        libc = ctypes.CDLL(None, use_errno=True)
        for place in (b"/proc", b"/workspace", b"/usr"):
            assert libc.umount2(place, 2) == -1 and ctypes.get_errno() == errno.EPERM
        """)


def test_a_strict_profile_shows_less(box):
    agent = set(box.sh("ls /etc").split())
    strict = set(box.sh("ls /etc", flags=["--profile", "strict"]).split())
    assert strict < agent and "ld.so.cache" in strict
    done = box.run("ls", "-d", "/dev/pts", flags=["--profile", "strict"])
    assert done.returncode != 0 and "No such file" in done.err


def test_what_is_mounted_on_the_host_later_does_not_appear(box, account):
    if not account.is_root:
        pytest.skip("needs root")
    os.mkdir(box.path("sub"), 0o755)
    script = """
        mkfifo -m 666 ready go
        "$@" sh -c 'echo >ready; read x <go; ls sub; echo looked' &
        read x <ready
        mount -t tmpfs none sub
        touch sub/file
        echo >go
        wait"""
    done = subprocess.run(["unshare", "-m", "--propagation", "shared", "sh", "-ec", script, "sh",
                           *box.argv()], cwd=box.workspace, env=account.environ(), text=True,
                          capture_output=True, timeout=60)
    assert (done.stdout, done.stderr) == ("looked\n", "")


# network


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


CONNECT = """
    import socket
    s = socket.socket(socket.AF_INET)
    s.settimeout(5)
    print(s.connect_ex(("127.0.0.1", {port})))
    """


def test_without_a_network_there_is_only_ones_own_loopback(box, listener):
    names = re.findall(r"^\s*(\w+):", box.sh("cat /proc/net/dev"), re.M)
    assert names == ["lo"]
    port = listener.getsockname()[1]
    assert box.python(CONNECT.format(port=port)) == "111\n"  # ECONNREFUSED: nobody there
    assert box.python("""
        import socket, threading
        server = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(server.getsockname())
        server.accept()[0].sendall(b"hello")
        print(client.recv(5).decode(), socket.gethostbyname("localhost"),
              socket.gethostbyname(socket.gethostname()))
        """) == "hello 127.0.0.1 127.0.0.1\n"
    assert box.python("""
        import socket
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        print(s.connect_ex(("192.0.2.1", 53)))
        """) == "101\n"  # ENETUNREACH


def test_the_hosts_network_is_there_where_it_is_asked_for(box, listener):
    port = listener.getsockname()[1]
    assert box.python(CONNECT.format(port=port), flags=["--network", "host"]) == "0\n"


@pytest.mark.parametrize("mode", ["none", "host"])
def test_abstract_sockets_of_the_host_are_out_of_reach(box, mode):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(b"\0nairid-test-%d" % os.getpid())
        server.listen()
        error = int(box.python(f"""
            import socket
            s = socket.socket(socket.AF_UNIX)
            print(s.connect_ex({server.getsockname()!r}))
            """, flags=["--network", mode]))
    if mode == "none":
        assert error == 111  # ECONNREFUSED: not there
    else:  # the host's network namespace has them; Landlock keeps them away where it can
        assert error == (1 if landlock_abi() >= LANDLOCK_SCOPES else 0)


# bombs and survivors


def test_a_fork_bomb_is_bounded(box):
    out = box.python("""
        import os, signal
        made = 0
        try:
            while True:
                if os.fork() == 0:
                    signal.pause()
                made += 1
        except BlockingIOError:
            print(made)
        """, flags=["--set", "sandbox.limits.pids=50"])
    assert int(out) == 49  # and the one that made them
    reap_orphans()
    assert not descendants()


def test_what_a_command_leaves_dies_with_it(box):
    life = box.life_line()
    began = time.monotonic()
    out = box.sh("""exec 9>life
        (setsid sh -c 'trap "" TERM HUP INT; sleep 1000 & sleep 1000' &)
        setsid -f sleep 1000
        nohup sleep 1000 >/dev/null 2>&1 &
        sh -c 'kill -STOP $$' &
        echo done""")
    assert out == "done\n" and time.monotonic() - began < 20
    assert ends_within(life, 2)
    os.close(life)


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_command_time_to_clean_up(box, signo):
    process = box.popen("sh", "-c", "trap 'echo bye; exit 9' TERM; echo ready; "
                                    "while :; do sleep 0.02; done")
    wait_line(process)
    process.send_signal(signo)
    out, err = process.communicate(timeout=20)
    assert (out, process.returncode) == ("bye\n", 9), err


def test_a_second_signal_ends_everything_at_once(box):
    life = box.life_line()
    process = box.popen("sh", "-c", "exec 9>life; trap '' TERM INT; setsid -f sleep 1000; "
                                    "echo ready; while :; do sleep 1; done")
    wait_line(process)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGKILL
    assert time.monotonic() - began < 4.5  # not the whole grace
    assert ends_within(life, 2)
    os.close(life)


@pytest.mark.parametrize("victim", ["spawner", "daemon"])
def test_whoever_of_us_is_killed_the_task_ends(box, victim):
    life = box.life_line()
    process = box.popen("sh", "-c", "exec 9>life; trap '' TERM; "
                                    "setsid -f sh -c 'trap \"\" TERM; sleep 1000'; "
                                    "echo ready; while :; do sleep 1; done")
    wait_line(process)
    # the program behind setpriv is the same process
    daemon, spawner = process.pid, spawner_of(process).pid
    os.kill(spawner if victim == "spawner" else daemon, signal.SIGKILL)
    assert ends_within(life, 2)
    process.communicate(timeout=10)
    assert process.returncode == (75 if victim == "spawner" else -signal.SIGKILL)
    wait_until(lambda: not is_alive(spawner), 5, "the spawner to end")
    os.close(life)


def is_alive(pid):
    reap_orphans()
    try:
        return Process(pid).state not in "ZX"
    except OSError:
        return False


def test_the_spawner_is_closed_to_its_own_user(box, account):
    process = box.popen("sh", "-c", "echo ready; sleep 1000")
    wait_line(process)
    spawner = spawner_of(process).pid
    with open(f"/proc/{spawner}/status") as file:
        status = file.read()
    assert re.search(r"^NoNewPrivs:\s1$", status, re.M) and re.search(r"^Seccomp:\s2$", status, re.M)
    if not account.is_root:
        look = subprocess.run([*account.wrap, "cat", f"/proc/{spawner}/environ"],
                              capture_output=True)
        assert look.returncode != 0 and look.stdout == b""
    process.send_signal(signal.SIGQUIT)
    process.communicate(timeout=20)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_neither_process_1_nor_the_spawner_has_an_environment(box):
    process = box.popen("sh", "-c", "echo ready; sleep 1000")
    wait_line(process)
    found = {p.name: p for p in descendants(process.pid) if p.name.startswith("nairid-")}
    assert set(found) == {"nairid-spawner", "nairid-init"}
    for one in found.values():  # as root sees it, from whom nothing is hidden
        with open(f"/proc/{one.pid}/environ", "rb") as file:
            assert file.read().strip(b"\0") == b""
    process.send_signal(signal.SIGQUIT)
    process.communicate(timeout=20)


def test_many_run_side_by_side(box):
    began = [box.popen("sh", "-c", f"echo {n} >file{n}; cat file{n}") for n in range(12)]
    assert [process.communicate(timeout=60)[0] for process in began] == [
        f"{n}\n" for n in range(12)]


# work


def test_c_programs_are_built_and_run(box):
    with open(box.path("hello.c"), "w") as file:
        file.write('#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n')
    with open(box.path("Makefile"), "w") as file:
        file.write("hello: hello.c\n\tcc -O2 -o $@ $<\n")
    assert box.sh("make >/dev/null && ./hello") == "hello\n"


def test_python_works_with_threads_children_and_environments(box):
    assert box.python("""
        import concurrent.futures, ssl, sqlite3, subprocess, tempfile, multiprocessing
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(int, "1234")) == 10
        with multiprocessing.Pool(2) as pool:
            assert pool.map(abs, [-1, -2]) == [1, 2]
        assert ssl.create_default_context().get_ca_certs()
        print(subprocess.run(["echo", "hello"], capture_output=True, text=True).stdout.strip())
        """) == "hello\n"


def test_git_works(box):
    assert box.sh("""git init -q . && git config user.name a && git config user.email a@b
        echo x >f && git add f && git commit -qm first && git clone -q . /tmp/copy
        git -C /tmp/copy log --format=%s""") == "first\n"


def test_node_works(box):
    if box.run("sh", "-c", "command -v node").returncode != 0:
        return  # a machine without it has nothing to show
    assert box.run("node", "-e", """
        const { Worker, isMainThread } = require('worker_threads');
        require('child_process').execSync('true');
        console.log('hello', require('os').userInfo().username);
        """).out == "hello agent\n"
