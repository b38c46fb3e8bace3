"""Running nairid's verbs in tests: with an environment made from nothing, on pipes or a terminal."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

from hubkit import REPORTS, program


def environment(home, **extra):
    """What a verb may see: nothing of whoever runs the tests. A value of None leaves it out."""
    env = {"HOME": os.fspath(home), "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
        if name in os.environ:
            env[name] = os.environ[name]
    env.update(extra)
    return {name: value for name, value in env.items() if value is not None}


def check_reports(text):
    """No sanitizer may have complained."""
    for report in REPORTS:
        assert report not in text, text


def nairid(*args, env, stdin="", timeout=60, **kwargs):
    """Runs a verb to its end; stdout and stderr as text."""
    done = subprocess.run([program("nairid"), *map(os.fspath, args)], env=env, input=stdin,
                          capture_output=True, text=True, timeout=timeout, **kwargs)
    check_reports(done.stderr)
    return done


class Terminal:
    """A verb whose stderr (and, unless a pipe is wanted, stdin and stdout) is a terminal."""

    def __init__(self, *args, env, columns=80, stdout_pipe=False):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.proc = subprocess.Popen(
            [program("nairid"), *map(os.fspath, args)], env=env, stdin=slave,
            stdout=subprocess.PIPE if stdout_pipe else slave, stderr=slave,
            start_new_session=True)
        os.close(slave)
        self.seen = b""

    def _read(self, timeout_s):
        """Some more of what it wrote; False at the end."""
        if not select.select([self.master], [], [], timeout_s)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: nobody has the other side open any more
            return False
        self.seen += data
        return bool(data)

    def expect(self, text, timeout_s=20):
        """Waits until text was written."""
        deadline = time.monotonic() + timeout_s
        while text.encode() not in self.seen:
            assert time.monotonic() < deadline, f"waited for {text!r}, saw {self.seen!r}"
            assert self._read(0.1), f"ended before {text!r}, saw {self.seen!r}"

    def interrupt(self, signo=signal.SIGINT):
        self.proc.send_signal(signo)

    def end(self, timeout_s=20):
        """Waits for the end; returns the exit code. All that was written is in text."""
        deadline = time.monotonic() + timeout_s
        while self._read(0.1):
            assert time.monotonic() < deadline, f"doesn't end; saw {self.seen!r}"
        code = self.proc.wait(timeout_s)
        os.close(self.master)
        check_reports(self.text)
        return code

    @property
    def text(self):
        return self.seen.decode(errors="replace")


def screen(text, columns=1000):
    """What stays on a terminal after text: the lines, with carriage return and erase obeyed."""
    lines = [""]
    column = 0
    i = 0
    while i < len(text):
        c = text[i]
        if text.startswith("\x1b[K", i):
            lines[-1] = lines[-1][:column]
            i += 3
            continue
        assert c != "\x1b", f"an escape sequence: {text[i:i + 20]!r}"
        if c == "\r":
            column = 0
        elif c == "\n":
            lines.append("")
            column = 0
        else:
            lines[-1] = lines[-1][:column] + c + lines[-1][column + 1:]
            column += 1
            assert column <= columns, lines
        i += 1
    return [line.rstrip() for line in lines]
