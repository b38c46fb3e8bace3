"""What a task tries on each rung, as a program for Python: its argument names what is there to reach
(see outside() of test_rungs.py), its output says what it was, as JSON.
"""

import textwrap

PROBE = textwrap.dedent("""
    import ctypes, errno, json, os, re, signal, socket, subprocess, sys

    target = json.loads(sys.argv[1])
    libc = ctypes.CDLL(None, use_errno=True)
    said = {}

    def call(number, *args):
        r = libc.syscall(number, *args)
        return "reached" if r >= 0 else errno.errorcode[ctypes.get_errno()]

    def attempt(fn):
        try:
            fn()
            return "reached"
        except OSError as e:
            return errno.errorcode[e.errno]

    status = open("/proc/self/status").read()
    said["status"] = dict(line.split(":\\t", 1) for line in status.splitlines())
    said["badness"] = open("/proc/self/oom_score_adj").read().strip()
    said["securebits"] = libc.prctl(27, 0, 0, 0, 0)
    said["descriptors"] = sorted(os.listdir("/proc/self/fd"))
    said["environ"] = sorted(os.environ)
    said["terminal"] = attempt(lambda: open("/dev/tty"))
    said["tty_nr"] = open("/proc/self/stat").read().rpartition(")")[2].split()[4]
    said["session"] = os.getsid(0) == os.getpid()
    said["keyctl"] = call(250, 0, -3, 0)
    said["add_key"] = call(248, b"user", b"a", b"b", 1, -3)
    said["unshare"] = call(272, 0x10000000)
    said["mount"] = call(165, b"none", b"/tmp", b"tmpfs", 0, None)
    said["chroot"] = attempt(lambda: os.chroot("/usr"))
    said["setuid"] = attempt(lambda: os.setuid(0))
    said["core"] = __import__("resource").getrlimit(4)

    # files of others, and of the machine
    for name in ("canary", "key", "other", "state"):
        said["read " + name] = attempt(lambda: open(target[name]).read())
        said["write " + name] = attempt(lambda: open(target[name], "a").write("x"))
    for path in ("/usr", "/etc", "/", "/var", "/root", "/run", "/dev"):
        said["make " + path] = attempt(lambda: os.mkdir(path + "/nairid-rung-probe"))
    said["make " + target["tmp"]] = attempt(lambda: open(target["tmp"], "w"))
    for path in ("/etc/shadow", "/etc/machine-id", "/root/.bashrc", "/proc/1/environ",
                 "/proc/1/mem", "/proc/kcore", "/sys/kernel/security/lsm", "/var/log/dpkg.log"):
        said["read " + path] = attempt(lambda: open(path, "rb").read(1))

    # processes of others: nothing of them but names and what ps shows
    own = {int(os.readlink("/proc/self"))}  # as whose /proc it is counts us
    said["secrets"], said["looked into"], said["listed"], said["signalled"] = [], [], [], []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) in own:
            continue
        for file in ("environ", "maps", "fd", "cwd", "root"):
            path = "/proc/%s/%s" % (name, file)
            try:
                if file == "fd":
                    names = os.listdir(path)
                    said["listed"].append(path)
                    text = [os.readlink(path + "/" + fd) for fd in names]
                else:
                    text = os.readlink(path) if file in ("cwd", "root") else open(path).read()
                if text:
                    said["looked into"].append(path)
                if "hunter2" in str(text):
                    said["secrets"].append(path)
            except OSError:
                pass
        for signo in (0, signal.SIGSTOP):
            if attempt(lambda: os.kill(int(name), signo)) == "reached":
                said["signalled"].append(name)
        if attempt(lambda: os.kill(int(name), signal.SIGTERM)) == "reached":
            said["signalled"].append(name)
    parent = os.getppid()
    said["ptrace"] = call(101, 0x4206, parent, 0, 0)
    said["prlimit"] = call(302, ctypes.c_long(parent), 7, None, b"\\x10" + b"\\0" * 15)
    said["priority"] = attempt(lambda: os.setpriority(os.PRIO_USER, 0, 5))

    # sockets
    def connect(family, address, kind=socket.SOCK_STREAM):
        with socket.socket(family, kind) as s:
            s.settimeout(5)
            s.connect(address)
    said["unix"] = attempt(lambda: connect(socket.AF_UNIX, target["unix"]))
    said["abstract"] = attempt(lambda: connect(socket.AF_UNIX, "\\0" + target["abstract"]))
    said["tcp"] = attempt(lambda: connect(socket.AF_INET, ("127.0.0.1", target["port"])))
    def datagram():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"x", ("127.0.0.1", target["udp"]))
    said["udp"] = attempt(datagram)
    said["outside"] = attempt(lambda: connect(socket.AF_INET, ("192.0.2.1", 53), socket.SOCK_DGRAM))
    try:
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        said["notify"] = attempt(lambda: a.sendto(b"x", target["notify"]))
    except OSError as e:
        said["notify"] = errno.errorcode[e.errno]
    said["shm"] = call(29, target["shm"], 0, 0)

    # what must work
    os.mkdir("a"); os.mkdir("b"); open("a/f", "w").write("x"); os.rename("a/f", "b/f")
    for folder in (os.environ["HOME"], os.environ["TMPDIR"]):
        open(os.path.join(folder, "file"), "w").write("x")
    said["echo"] = subprocess.run(["sh", "-c", "echo ok | cat"], capture_output=True).stdout.decode()
    said["pair"] = attempt(lambda: socket.socketpair())
    said["uid"] = os.getuid()
    said["parent"] = parent
    print(json.dumps(said))
""")
