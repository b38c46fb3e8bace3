"""A name server for tests, and a mount namespace whose resolv.conf names it."""

import errno
import random
import socket
import struct
import threading

TYPE_A, TYPE_AAAA = 1, 28


class Dns:
    """Answers A questions from a table: {"a.test": ["127.0.0.1"], "b.test": [[first], [then]]}.

    A list of lists gives one answer after the other, the last one for ever: rebinding.
    """

    def __init__(self, names):
        self.names = {name: list(answers) for name, answers in names.items()}
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._bind()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _bind(self):
        """resolv.conf names no ports, so the address is what nobody else has."""
        while True:
            self.address = "127." + ".".join(str(random.randint(1, 254)) for _ in range(3))
            try:
                self.socket.bind((self.address, 53))
                return
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise

    def _serve(self):
        while True:
            question, client = self.socket.recvfrom(2048)
            if question == b"end":
                return
            self.socket.sendto(self._answer(question), client)

    def _addresses(self, name):
        answers = self.names.get(name)
        if answers and isinstance(answers[0], list):
            return answers.pop(0) if len(answers) > 1 else answers[0]
        return answers

    def _answer(self, question):
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode())
            at += 1 + question[at]
        name = ".".join(labels).lower()
        kind = struct.unpack("!H", question[at + 1:at + 3])[0]
        body = question[12:at + 5]
        if kind == TYPE_A:
            self.asked.append(name)
        found = self._addresses(name) if kind == TYPE_A else [] if name in self.names else None
        flags = 0x8180 if found is not None else 0x8183
        found = found or []
        head = question[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0)
        return head + body + b"".join(b"\xc0\x0c" + struct.pack("!HHIH", TYPE_A, 1, 0, 4) +
                                      socket.inet_aton(address) for address in found)

    def end(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"end", (self.address, 53))
        self.thread.join(10)
        self.socket.close()

    def wrap(self, path):
        """What to put before a command (as root) so that it and its children ask this server."""
        with open(path, "w") as file:
            file.write(f"nameserver {self.address}\n")
        return ["unshare", "-m", "sh", "-ec",
                f"mount --bind '{path}' /etc/resolv.conf; exec \"$@\"", "sh"]
