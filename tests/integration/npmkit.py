"""What npm gives, for tests: installed into the build directory, once."""

import fcntl
import os
import re
import shutil
import subprocess

import pytest

SUPPORT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support")
UNREACHABLE = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|"
                         r"ENETUNREACH|ERR_SOCKET_TIMEOUT|FETCH_ERROR|network|"
                         r"SELF_SIGNED_CERT|UNABLE_TO_(GET_ISSUER|VERIFY)")


def fetch(source, folder, reason):
    """Installs what tests/support/SOURCE names into the folder; skips where npm isn't reached."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed here")
    env = dict(os.environ)
    env.setdefault("NODE_EXTRA_CA_CERTS", "/etc/ssl/certs/ca-certificates.crt")  # a site's own CA
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(SUPPORT, source, name), folder)
    try:
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts",
                               "--fetch-retries=2", "--fetch-timeout=60000"],
                              cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=240, env=env)
    except subprocess.TimeoutExpired:
        pytest.skip(reason)
    if done.returncode != 0 and UNREACHABLE.search(done.stderr):
        pytest.skip(reason)
    assert done.returncode == 0, done.stderr


def install(source, reason):
    """The folder below the build directory with what tests/support/SOURCE names."""
    folder = os.path.join(os.environ["NAIRID_BUILD"], f"npm-{source}")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(SUPPORT, source, "package-lock.json"), "rb") as file:
        wanted = file.read()
    with open(os.path.join(folder, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        done = os.path.join(folder, "done")
        if not os.path.exists(done) or open(done, "rb").read() != wanted:
            fetch(source, folder, reason)
            with open(done, "wb") as file:
                file.write(wanted)
    return folder
