"""Traffic that the integration tests don't make, for fuzz/record, which plays this: clients of every
kind that speak TLS through a task's proxy, and a conversation's files that have become too old.
"""

import os
import subprocess

import pytest

# pylint: disable=unused-import
from conftest import account, make_daemon, make_hub, me, pytest_generate_tests  # noqa: F401
from hubkit import wait_until
from test_egress import Server, as_each, box, certificate, server, serving, tls_server  # noqa: F401

NODE = """
const { request } = require('http'), tls = require('tls');
const proxy = new URL(process.env.https_proxy);
request({ host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: 'site.test:PORT' })
    .on('connect', (answer, socket) => {
        const secure = tls.connect({ socket, servername: 'site.test', rejectUnauthorized: false },
            () => secure.end('GET / HTTP/1.1\\r\\nHost: site.test\\r\\nConnection: close\\r\\n\\r\\n'));
        secure.on('data', data => process.stdout.write(data));
    }).end();
"""
PYTHON = """
import ssl, urllib.request
context = ssl._create_unverified_context()
print(urllib.request.urlopen('https://site.test:PORT/', context=context).read().decode())
"""
CLIENTS = {
    "openssl": ["sh", "-c", "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | openssl s_client -ign_eof -quiet "
                "-servername site.test -connect site.test:PORT -proxy \"${https_proxy#http://}\""],
    "openssl-1.2": ["sh", "-c", "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | openssl s_client -ign_eof "
                    "-quiet -tls1_2 -alpn h2,http/1.1 -servername site.test -connect "
                    "site.test:PORT -proxy \"${https_proxy#http://}\""],
    "curl": ["curl", "-sSk", "https://site.test:PORT/"],
    "curl-1.2": ["curl", "-sSk", "--tls-max", "1.2", "--http1.1", "https://site.test:PORT/"],
    "python": ["/usr/bin/python3", "-c", PYTHON],
    "git": ["git", "-c", "http.sslVerify=false", "ls-remote", "https://site.test:PORT/x"],
    "node": ["node", "-e", NODE],
}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_speaks_tls(box, tls_server, client):  # noqa: F811
    if box.run("sh", "-c", f"command -v {CLIENTS[client][0]}").code != 0:
        return  # a machine without it has nothing to show
    command = [word.replace("PORT", str(tls_server.port)) for word in CLIENTS[client]]
    with serving({"site.test": ["127.0.0.1"]}) as dns:
        box.use_dns(dns)
        done = box.run(*command, allow=[f"site.test:{tls_server.port} loopback"])
    assert tls_server.seen, (done.out, done.err)


TREE = """
git init -q . && printf '#!/bin/sh\\n' >.git/hooks/post-checkout && git config user.name n && git config user.email e@x.test
mkdir -p a/b/c 'with space' && echo x >a/b/c/file && ln -s a/b/c/file link && ln -s /etc/passwd out
printf 'use nix\\n' >.envrc && printf '* filter=x\\n' >.gitattributes && mkfifo pipe && git add . && git commit -qm first && mkdir -p ~/.cache/deep && touch ~/.profile
chmod 0 a/b
"""


def test_the_files_of_an_old_conversation_go(make_daemon):
    daemon = make_daemon(runner={"argv": ["sh"]})
    daemon.answer("echo empty")
    job, message = daemon.hub.start(TREE)
    daemon.reply(job, message)
    daemon.end()
    root = os.path.join(daemon.state, "jobs")
    for name in os.listdir(root):
        folder = os.path.join(root, name)
        for entry in [folder] + [os.path.join(folder, inner) for inner in os.listdir(folder)]:
            subprocess.run(["touch", "-h", "-d", "2020-01-01", entry], check=True)
    daemon.boot()
    wait_until(lambda: not os.listdir(root), 90, "the old files to go")
