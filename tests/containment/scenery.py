"""What the probes are after, laid out on this machine, and the ways to run them.

Files, a process, services, terminals and descriptors of a host, all open to everybody: a probe that
doesn't reach them was kept back by the sandbox, not by permissions. The control shows that: the
same program, as the same user, without a sandbox; and once more as root of throw-away user, mount,
pid, network, ipc, uts and cgroup namespaces, for what takes rights that only exist there. It never
runs as the machine's root.
"""

import fcntl
import json
import os
import pty
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import termios
import threading

from daemonkit import wait_until
from processes import descendants, reap_orphans

TASK_UID = 61358  # the task's when we are root; no account has it
LEAKED_FILE, LEAKED_DIRECTORY = 150, 151
NAMESPACES = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--net",
              "--ipc", "--uts", "--cgroup", "--kill-child"]
OWN_PROC = "--mount-proc"  # a container that hides parts of its own gives no other
SURVIVOR = "survivor-"
LIMITS = {"memory": "96M", "pids": 64, "files": 256, "disk": "16M"}
BOMBS = {"bomb_processes": 300, "bomb_files": 2000, "bomb_memory": 256, "bomb_disk": 64}


def kill_group(pid):
    """Ends a process and the group that it belongs to, or that has its number."""
    for find in (os.getpgid, lambda pid: pid):
        try:
            group = find(pid)
            if group != os.getpgid(0):
                os.killpg(group, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class Outcome:
    """What one run of the program said of each probe: name to (verdict, detail)."""

    def __init__(self, text, where):
        self.verdicts = {}
        lines = text.splitlines()
        assert "end" in lines, f"{where}: the probes did not come to an end:\n{text}"
        for line in lines[:lines.index("end")]:  # what nairid has to say of a task follows
            name, verdict, *detail = line.split(" ", 2)
            self.verdicts[name] = (verdict, detail[0] if detail else "")

    def __getitem__(self, name):
        return self.verdicts.get(name, ("absent", ""))


class Scenery:
    def __init__(self, account, program):
        self.account = account
        self.uid = TASK_UID if self.account.is_root else self.account.uid
        self.secret = "canary-" + secrets.token_hex(8)
        self.scene = {"secret": self.secret}
        self.extra = []  # files outside our folder
        self.victim_said = []
        self.wrap = []
        if os.getuid() == 0:
            self.wrap = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups",
                         "--"]
        self._lay_out_files(program)
        self._lay_out_descriptors()
        self._lay_out_terminals()
        self._start_host()
        self._find_addresses()

    # what there is

    def _open(self, path, text=None):
        """A file, or without text a folder, that everybody may read and write."""
        if text is None:
            os.makedirs(path, exist_ok=True)
        else:
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
        os.chmod(path, 0o777 if text is None else 0o666)
        if os.getuid() == 0:
            os.chown(path, self.uid, self.uid)
        return path

    def _lay_out_files(self, program):
        folder = self.folder = self._open(os.path.join(self.account.folder, "outside"))
        text = self.secret + "\n"
        for name, path in (("other_home", "home/notes"), ("ssh_key", "home/.ssh/id_ed25519"),
                           ("agent_key", "etc/agent.key"), ("journal", "state/journal.db"),
                           ("settings", "etc/nairid.yaml"), ("credential", "credentials/token"),
                           ("other_workspace", "jobs/other/workspace/file"),
                           ("movable", "home/movable"), ("cwd", "secret")):
            self._open(os.path.dirname(os.path.join(folder, path)))
            self.scene[name] = self._open(os.path.join(folder, path), text)
        self.scene.update(folder=folder, state=os.path.join(folder, "state"),
                          other_folder=os.path.join(folder, "home"))
        for name, place in (("host_tmp", "/tmp"), ("host_vartmp", "/var/tmp"),
                            ("host_shm", "/dev/shm"), ("host_run", "/run")):
            if os.access(place, os.W_OK):
                path = os.path.join(place, f"nairid-probe-{secrets.token_hex(6)}")
                self.extra.append(path)
                self.scene[name] = self._open(path, text)
        self.shown = self.account.shared()
        self.program = shutil.copy(program, os.path.join(self.shown, "probe"))
        self.scene["program"] = shutil.copy(program, os.path.join(folder, "program"))
        self.scene["shown"] = self._open(os.path.join(self.shown, "file"), "shown\n")
        self.scene["shown_victim"] = self._open(os.path.join(self.shown, "victim"), "shown\n")
        self.scene["shown_folder"] = self._open(os.path.join(self.shown, "folder"))
        for path in (self.program, self.scene["program"]):
            os.chmod(path, 0o755)

    def _lay_out_descriptors(self):
        file = os.memfd_create("leaked")
        os.write(file, self.secret.encode())
        folder = os.open(self.folder, os.O_RDONLY)
        os.dup2(file, LEAKED_FILE)
        os.dup2(folder, LEAKED_DIRECTORY)
        os.close(file)
        os.close(folder)
        self.scene.update(leaked_file=LEAKED_FILE, leaked_directory=LEAKED_DIRECTORY)

    def _lay_out_terminals(self):
        """One of somebody else, one that controls what we start."""
        self.others, slave = pty.openpty()
        self.scene["terminal"] = os.ttyname(slave)
        os.chmod(self.scene["terminal"], 0o666)
        self.others_slave = slave
        self.ours, self.ours_slave = pty.openpty()

    def _start_host(self):
        env = self.account.environ(TOKEN=self.secret)
        self.host = subprocess.Popen([*self.wrap, self.program, "--host", self.secret, self.folder],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                     env=env)
        for line in self.host.stdout:
            if line == "ready\n":
                break
            name, _, value = line.rstrip("\n").partition("=")
            self.scene[name] = value
        assert "victim" in self.scene, "the host of the probes did not start"
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def _listen(self):
        for line in self.host.stdout:
            self.victim_said.append(line.strip())

    def _find_addresses(self):
        """An address of this machine that isn't a loopback one; asking for it sends nothing."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            try:
                asker.connect(("192.0.2.1", 9))
                self.scene["own_address"] = asker.getsockname()[0]
            except OSError:
                pass  # a machine without a network
        self.scene["own_name"] = "localhost"

    def write_scene(self, name="scene", **more):
        """The file that the program is given."""
        path = os.path.join(self.shown, name)
        with open(path, "w", encoding="ascii") as file:
            for key, value in {**self.scene, **more}.items():
                file.write(f"{key}={value}\n")
        os.chmod(path, 0o644)
        return path

    def workspace(self, name):
        return self._open(os.path.join(self.account.folder, name))

    # running things

    def environ(self):
        return self.account.environ(TOKEN=self.secret,
                                    http_proxy=f"http://user:{self.secret}@127.0.0.1:1")

    def _control_terminal(self):
        os.setsid()
        fcntl.ioctl(self.ours_slave, termios.TIOCSCTTY, 0)

    def run(self, argv, cwd, timeout_s=120):
        """Runs a command with all that could leak into it. Its output goes to files, which have an
        end even if survivors hold them open."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            done = subprocess.run(argv, cwd=cwd, env=self.environ(), stdin=subprocess.DEVNULL,
                                  stdout=out, stderr=err, timeout=timeout_s,
                                  pass_fds=(LEAKED_FILE, LEAKED_DIRECTORY, self.ours_slave),
                                  preexec_fn=self._control_terminal)
            for file in (out, err):
                file.seek(0)
            done.stdout, done.stderr = (f.read().decode(errors="replace") for f in (out, err))
        return done

    def probe(self, wrap, scene, names, workspace, fresh=False):
        done = self.run([*wrap, self.program, *(["--fresh"] if fresh else []), scene, *names],
                        workspace)
        return Outcome(done.stdout, f"control, {done.stderr}")

    def control(self, names, scene):
        """The better of two: plainly, and as root of namespaces of its own where there are any."""
        plain = self.probe(self.wrap, scene, names, self.workspace("control"))
        verdicts = dict(plain.verdicts)
        namespaces = self.namespaces()
        if not namespaces:
            return verdicts
        fenced = self.probe([*self.wrap, *namespaces], scene, names,
                            self.workspace("control-root"), fresh=True)
        for name, verdict in fenced.verdicts.items():
            if verdict[0] == "reached":
                verdicts.setdefault(name, verdict)
                if verdicts[name][0] != "reached":
                    verdicts[name] = verdict
        return verdicts

    def namespaces(self):
        """What makes one root of all namespaces that may be had, or None."""
        for command in ([*NAMESPACES, OWN_PROC], NAMESPACES):
            if self.run([*self.wrap, *command, "true"], self.folder).returncode == 0:
                return command
        return None

    def control_survivors(self, scene):
        workspace = self.workspace("control-survivors")
        self.probe(self.wrap, scene, ["survive-"], workspace)
        found = self.survivors(workspace, 0)
        for name in (n for n in os.listdir(workspace) if n.startswith(SURVIVOR)):
            with open(os.path.join(workspace, name), "rb") as file:
                # as a group, which one that is never the same process for long can't leave
                kill_group(int(file.read()))
                self._end_survivors()
                assert self._wait_for_lock(file, 20), f"{name} of the control lives on"
        return found

    def survivors(self, workspace, patience_s):
        """Who still holds a lock in the workspace, as verdicts; ends them."""
        found = {}
        for name in sorted(os.listdir(workspace)):
            if not name.startswith(SURVIVOR):
                continue
            probe = "survive-" + name[len(SURVIVOR):]
            with open(os.path.join(workspace, name), "rb") as file:
                held = not self._wait_for_lock(file, patience_s)
            found[probe] = ("reached", "it lives on") if held else ("blocked", "it is dead")
        self._end_survivors()
        return found

    @staticmethod
    def _is_free(file):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False

    def _wait_for_lock(self, file, patience_s):
        try:
            return wait_until(lambda: self._is_free(file), patience_s)
        except AssertionError:
            return False

    def _end_survivors(self):
        def look():
            left = [p for p in descendants(but=[self.host.pid]) if p.name == "probe"]
            for process in left:
                kill_group(process.pid)
            reap_orphans()
            return not left

        wait_until(look, 20, "the survivors of the control to end")

    def sandbox_argv(self, profile, network, more=(), wrap=()):
        """`nairid sandbox` with a workspace, without the command."""
        return [*self.account.wrap, *wrap, self.account.program("nairid"), "sandbox", "--profile",
                profile, "--network", network, "--set", f"sandbox.read={json.dumps([self.shown])}",
                *more]

    def done(self):
        self.host.stdin.close()
        self.host.wait(20)
        self._reader.join(20)
        for fd in (self.others, self.others_slave, self.ours, self.ours_slave, LEAKED_FILE,
                   LEAKED_DIRECTORY):
            os.close(fd)
        for path in self.extra:
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
        self.account.done()
