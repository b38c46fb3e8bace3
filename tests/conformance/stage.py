"""What cases are played on: many at a time, each worker with a stage of its own.

A stage has `play(case)`, `end()` after a good case and `abort()` after a bad one.
"""

import concurrent.futures
import os
import ssl
import subprocess
import tempfile
import threading
import warnings

import pytest

import deadwire

WORKERS = 4  # a case mostly waits: for a backoff, for a child


class Pool:
    """Plays cases side by side; pool.result(case) waits for one and raises what it found."""

    def __init__(self, make_stage, cases):
        self.make_stage = make_stage
        self.own = threading.local()
        self.stages = []
        self.lock = threading.Lock()
        self.executor = concurrent.futures.ThreadPoolExecutor(WORKERS)
        self.lacking = {case.name: deadwire.lacking(case) for case in cases}
        self.futures = {case.name: self.executor.submit(self._play, case) for case in cases
                        if not self.lacking[case.name]}

    def _play(self, case):
        stage = getattr(self.own, "stage", None) or self.make_stage()
        self.own.stage = None
        try:
            stage.play(case)
        except BaseException:
            with self.lock:
                self.stages = [other for other in self.stages if other is not stage]
            stage.abort()
            raise
        self.own.stage = stage
        with self.lock:
            if stage not in self.stages:
                self.stages.append(stage)

    def result(self, case):
        if self.lacking[case.name]:
            pytest.skip(self.lacking[case.name])
        self.futures[case.name].result(300)

    def done(self):
        self.executor.shutdown(cancel_futures=True)
        for stage in self.stages:
            stage.end()


class Certificates:
    """Made anew each time: an authority ca.pem, and what servers show of themselves."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="nairid-certificates-")
        for name in ("ca", "other-ca"):
            self._openssl("req", "-x509", *self._key("ec"), "-keyout", f"{name}.key", "-out",
                          f"{name}.pem", "-days", "2", "-subj", f"/CN=Test {name}")
        self.serial = 0
        self._issue("good")
        self._issue("expired", dates=("20200101000000Z", "20200201000000Z"))
        self._issue("early", dates=("20900101000000Z", "20900201000000Z"))
        self._issue("wrong-name", subject="DNS:elsewhere.test")
        self._issue("stranger", authority="other-ca")
        self._issue("weak", key="rsa:1024")
        self._issue("named", subject="DNS:localhost,DNS:site.test")

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def context(self, name, version=None):
        """What a server shows that certificate with; version: "1.1" and no newer one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT@SECLEVEL=0")  # a client's choice is what is tested
        context.load_cert_chain(self.path(name + ".pem"), self.path(name + ".key"))
        if version:
            newest = "TLSv" + version.replace(".", "_")
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            with warnings.catch_warnings():  # of a version that is too old, which is the point
                warnings.simplefilter("ignore")
                context.maximum_version = getattr(ssl.TLSVersion, newest)
        return context

    def _openssl(self, *args):
        done = subprocess.run(["openssl", *args], capture_output=True, text=True,
                              cwd=self.folder.name)
        assert done.returncode == 0, done.stderr

    def _key(self, kind):
        if kind == "ec":
            return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        return ["-newkey", kind, "-nodes"]

    def _write(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)

    def _issue(self, name, authority="ca", subject="IP:127.0.0.1", dates=None, key="ec"):
        self.serial += 1
        self._openssl("req", *self._key(key), "-keyout", f"{name}.key", "-out", f"{name}.csr",
                      "-subj", f"/CN={name}")
        self._write("index.txt", "")
        self._write("serial", f"{self.serial:02X}\n")
        self._write("ca.cnf", f"[ca]\ndefault_ca=d\n[d]\nnew_certs_dir={self.folder.name}\n"
                    f"database={self.path('index.txt')}\nserial={self.path('serial')}\n"
                    "default_md=sha256\npolicy=p\nx509_extensions=e\n[p]\ncommonName=supplied\n"
                    f"[e]\nsubjectAltName={subject}\n")
        span = ["-startdate", dates[0], "-enddate", dates[1]] if dates else ["-days", "2"]
        self._openssl("ca", "-batch", "-config", "ca.cnf", "-in", f"{name}.csr", "-out",
                      f"{name}.pem", "-cert", f"{authority}.pem", "-keyfile", f"{authority}.key",
                      "-notext", *span)
