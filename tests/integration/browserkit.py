"""A real headless Chromium for tests, spoken to over the DevTools protocol on two pipes.

    with Browser(tmp_path) as browser:
        browser.open("http://127.0.0.1:PORT/")
        browser.wait("document.title === 'x'")

Nothing but loopback is resolved. Whatever the page says on its console is collected.
"""

import base64
import fcntl
import json
import os
import queue
import shutil
import subprocess
import threading
import time

SWITCHES = ("--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--no-first-run",
            "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--no-default-browser-check",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")


def program():
    """The path of Chromium."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "Chromium is missing: packaging/deps full"
    return found


class Browser:
    """One Chromium with one tab."""

    def __init__(self, folder, width=1200, height=800):
        self.folder = os.fspath(folder)
        self.console = []
        self._replies = queue.Queue()
        self._number = 0
        theirs_in, ours_out = _high_pipe()
        ours_in, theirs_out = _high_pipe()
        self._out, self._in = ours_out, ours_in
        self._log = open(os.path.join(self.folder, "chromium.log"), "wb")
        self.proc = subprocess.Popen(
            ["/bin/bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "-", program(),
             *SWITCHES, f"--user-data-dir={self.folder}/profile",
             f"--window-size={width},{height}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            pass_fds=(theirs_in, theirs_out), start_new_session=True,
            env=dict(os.environ, HOME=self.folder))
        os.close(theirs_in)
        os.close(theirs_out)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._session = None
        targets = self._call("Target.getTargets")["targetInfos"]
        page = next(t for t in targets if t["type"] == "page")
        self._session = self._call("Target.attachToTarget", targetId=page["targetId"],
                                   flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.end()

    def end(self):
        try:
            self._send("Browser.close", None, {})
            self.proc.wait(20)
        except (OSError, subprocess.TimeoutExpired):
            self.proc.kill()
            self.proc.wait(10)
        os.close(self._out)
        self._reader.join(10)
        self._log.close()

    # the protocol

    def _send(self, method, session, params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        return self._number

    def _read(self):
        rest = b""
        with os.fdopen(self._in, "rb", buffering=0) as stream:
            while chunk := stream.read(1 << 16):
                *whole, rest = (rest + chunk).split(b"\0")
                for text in whole:
                    self._take(json.loads(text))
        self._replies.put(None)

    def _take(self, message):
        if "id" in message:
            self._replies.put(message)
        elif message["method"] == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(a.get("value", a.get("description")))
                                         for a in message["params"]["args"]))
        elif message["method"] == "Runtime.exceptionThrown":
            self.console.append(json.dumps(message["params"]["exceptionDetails"]))
        elif message["method"] == "Log.entryAdded":
            self.console.append(message["params"]["entry"]["text"])

    def _call(self, method, timeout_s=60, **params):
        number = self._send(method, self._session, params)
        deadline = time.monotonic() + timeout_s
        while True:
            reply = self._replies.get(timeout=max(0.01, deadline - time.monotonic()))
            assert reply is not None, "Chromium ended"
            if reply["id"] == number:
                assert "error" not in reply, f"{method}: {reply['error']}"
                return reply["result"]

    # what tests do

    def open(self, url):
        self._call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def reload(self):
        self.run("window.before = true")
        self._call("Page.reload")
        self.wait("!window.before && document.readyState === 'complete'")

    def run(self, script):
        """The value of a JavaScript expression; a promise's, if it is one."""
        result = self._call("Runtime.evaluate", expression=script, awaitPromise=True,
                            returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, condition, timeout_s=30):
        """Waits until the expression is true."""
        deadline = time.monotonic() + timeout_s
        while True:
            if self.run(f"(() => {{ try {{ return !!({condition}) }} catch {{ return false }} }})()"):
                return
            assert time.monotonic() < deadline, (
                f"waited {timeout_s} s for {condition}; the page says: "
                f"{self.run('document.body.innerText')!r}, the console {self.console}")
            time.sleep(0.05)  # poll

    def text(self, selector):
        return self.run(f"document.querySelector({json.dumps(selector)}).innerText")

    def type(self, selector, text):
        """As a person: into the element that has the focus."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self._call("Input.insertText", text=text)

    def click(self, selector):
        """A real click with the mouse in the middle of the element."""
        where = self.run(f"""(() => {{
            const e = document.querySelector({json.dumps(selector)});
            e.scrollIntoView({{ block: 'nearest' }});
            const r = e.getBoundingClientRect();
            return [r.x + r.width / 2, r.y + r.height / 2]; }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=where[0], y=where[1],
                       button="left", clickCount=1)

    def resize(self, width, height):
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                   deviceScaleFactor=1, mobile=False)

    def dark(self, on=True):
        self._call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if on else "light"}])

    def attach(self, selector, *paths):
        """Chooses files in a file input."""
        node = self._call("Runtime.evaluate",
                          expression=f"document.querySelector({json.dumps(selector)})")
        self._call("DOM.setFileInputFiles", files=[os.fspath(p) for p in paths],
                   objectId=node["result"]["objectId"])

    def screenshot(self, path):
        data = self._call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as out:
            out.write(base64.b64decode(data))


def _high_pipe():
    """A pipe whose ends aren't 3 or 4, where Chromium looks for its own."""
    low = os.pipe()
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in low]
    for fd in low:
        os.close(fd)
    return high
