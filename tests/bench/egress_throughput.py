"""What a task's egress process costs a download: curl in the sandbox by the proxy, and without both,
one after the other in each round. Wants a release build:

    NAIRID_BUILD=build/release /usr/bin/python3 tests/bench/egress_throughput.py [--mib 512]
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

from hubkit import program  # noqa: E402

PIECE = bytes(1 << 20)


def serve(listener, mib):
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client:
            while b"\r\n\r\n" not in client.recv(65536):
                pass
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
                           % (mib << 20))
            for _ in range(mib):
                client.sendall(PIECE)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0))
    url = "http://127.0.0.1:%d/x" % listener.getsockname()[1]
    threading.Thread(target=serve, args=(listener, args.mib), daemon=True).start()
    curl = ["curl", "-sS", "-o", "/dev/null", "-w", "%{speed_download}", url]
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "nairid.yaml")
        work = os.path.join(folder, "work")
        os.mkdir(work)
        if os.getuid() == 0:
            os.chmod(folder, 0o755)
            os.chown(work, 61358, 61358)
        with open(config, "w") as file:
            json.dump({"sandbox": {"network": {"mode": "allowlist",
                                               "allow": [url.split("/")[2]]}}}, file)
        ways = {"direct": curl,
                "egress": [program("nairid"), "sandbox", "-c", config, "--workspace", work, "--",
                           *curl]}
        speeds = {way: [] for way in ways}
        for _ in range(args.rounds):
            for way, argv in ways.items():
                done = subprocess.run(argv, check=True, capture_output=True, text=True)
                speeds[way].append(float(done.stdout) / (1 << 20))
    direct, egress = (statistics.median(speeds[way]) for way in ("direct", "egress"))
    print(f"download of {args.mib} MiB over loopback, medians of {args.rounds}: direct "
          f"{direct:.0f} MiB/s, by the egress process {egress:.0f} MiB/s: {egress / direct:.2f}")


if __name__ == "__main__":
    main()
