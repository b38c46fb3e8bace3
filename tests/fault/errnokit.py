"""Call sites of a program that can fail, and how to make one of them fail; see errno_shim.c.

    shim = Shim(folder, "nairid")
    shim.list()                       # run the program once with shim.environ()
    for site in shim.sites(symbols):
        shim.order(site, errno.EIO, nth=1)   # run it again: this call fails
"""

import errno
import os
import re
import struct
import subprocess
import time

MAGIC = 0x6f727265
DEPTH_MAX, MODULES_MAX, NAME_BYTES, ROLE_BYTES, SITES_MAX = 6, 96, 64, 24, 16384
ORDER_BYTES = 4096
HEAD = struct.Struct("=6I")
HELD_AT = 5  # in HEAD
SITE = struct.Struct(f"=QQ4I32s{ROLE_BYTES}s{DEPTH_MAX * 2}Q")
SIZE = ORDER_BYTES + HEAD.size + MODULES_MAX * NAME_BYTES + SITES_MAX * SITE.size

REGULAR, FOLDER, PIPE, SOCKET, DEVICE, OTHER, NONBLOCK, CREATES = (1 << i for i in range(8))

LEAK_S = 10  # for what was closed to be gone

# <netdb.h>; what a resolver says instead of an errno
EAI_AGAIN, EAI_MEMORY = -3, -10


class Scenario:
    """What a program is made to do. Its objects are one play each, its class holds what several
    plays need."""

    @classmethod
    def make(cls, account, name):
        """Before the first play."""

    @classmethod
    def unmake(cls):
        """After the last one."""

    @classmethod
    def kept(cls):
        """Processes that live from make() to unmake()."""
        return ()

    SPARE = {}  # kind of descriptor -> how many more of them are no leak
    OWN = ()  # roles whose calls fail in this scenario, too, where another one has the same site
    fds, more_fds = None, {}
    shim = None  # of this play; None: nothing is to fail

    def has_failed(self):
        """Whether the call that was to fail has."""
        return bool(self.shim and self.shim.fired())

    def hold(self, is_held):
        """While it is, calls neither fail nor count: for what only comes before."""
        if self.shim:
            self.shim.hold(is_held)

    def is_running(self):
        raise NotImplementedError

    def count_fds(self):
        """{kind: number}; {} where there is none to be seen (any more)."""
        raise NotImplementedError

    def leaked(self, usual):
        """What it has more of than a play without a fault leaves, a while later: a busy machine
        needs it to close what it is done with."""
        deadline = time.monotonic() + LEAK_S
        while True:
            self.fds = self.count_fds()
            if not usual or not self.fds or not self.is_running():
                return {}
            more = {kind: (usual.get(kind, 0), n) for kind, n in self.fds.items()
                    if n > usual.get(kind, 0) + self.SPARE.get(kind, 0)}
            if not more or time.monotonic() > deadline:
                return more
            time.sleep(0.01)  # poll


def fds_of(pid):
    """{what descriptors of a process lead to, without numbers: how many of them}; {} where it is
    gone, or isn't ours to look at."""
    found = {}
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return found
    for fd in names:
        try:
            to = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue  # it has just been closed
        if not to.startswith("anon_inode"):
            to = re.sub(r"\d+", "N", os.path.basename(to.partition("[")[0]))
        found[to] = found.get(to, 0) + 1
    return found


def text_of(data):
    return data.split(b"\0")[0].decode()


class Symbols:
    """Source lines of addresses in a program."""

    def __init__(self, program, source):
        self.program = program
        self.source = source.rstrip("/") + "/"
        self.known = {}

    def load(self, offsets):
        """Looks many up at once."""
        wanted = sorted(set(offsets) - set(self.known))
        text = "".join(f"{offset - 1:#x}\n" for offset in wanted)  # the call, not what follows it
        done = subprocess.run(["addr2line", "-a", "-i", "-f", "-e", self.program], input=text,
                              capture_output=True, text=True, check=True)
        lines = done.stdout.splitlines()
        i = 0
        for offset in wanted:
            i += 1  # its address
            frames = []
            while i + 1 < len(lines) and not lines[i].startswith("0x"):
                function, place = lines[i], lines[i + 1].split(" (discr")[0]
                path, _, line = place.rpartition(":")
                frames.append((function, self._within(path), line))
                i += 2
            self.known[offset] = frames

    def _within(self, path):
        """Relative to the source, wherever that lay for the compiler whose work a cache kept."""
        path = os.path.normpath(path).replace(self.source, "")
        at = path.rfind("/daemon/")
        return path[at + 1:] if at >= 0 else path

    def frames(self, offset):
        """(function, file, line), innermost first: more than one where calls were inlined."""
        return self.known[offset]


class Site:
    """One function, called from one place of one kind of process."""

    def __init__(self, function, argument, role, chain, frames):
        self.function = function
        self.argument = argument
        self.role = role
        self.chain = chain    # (module, offset), innermost first: what the order names
        self.frames = frames  # (function, file, line) of the program's part of it
        self.count = 0
        self.kinds = 0

    @property
    def name(self):
        """What fails, without what a large file or a fortified caller adds to it."""
        name = self.function
        if name.startswith("__"):
            name = name[2:].removesuffix("_chk").removesuffix("_2")
        return name.removesuffix("64")

    @property
    def library(self):
        return None if self.chain[0][0] == "program" else self.chain[0][0]

    @property
    def place(self):
        """Where in the program, as in store/journal.c:run:388<journal_commit."""
        if not self.frames:
            return "?"
        function, path, line = self.frames[0]
        above = "".join(f"<{frame[0]}:{frame[2]}" for frame in self.frames[1:])
        return f"{path.removeprefix('daemon/')}:{function}:{line}{above}"

    def __str__(self):
        through = f" in {self.library.split('.so')[0]}+{self.chain[0][1]:x}" if self.library else ""
        return f"{self.role} {self.name}{through} {self.place}"


# Sources whose functions are tools of others: who calls those is what tells sites apart.
HELPERS = ("daemon/util/",)
LOOP = "daemon/loop/loop.c"


def is_helper(frame):
    return frame[1].startswith(HELPERS)


class Shim:
    def __init__(self, folder, program, library, uid=0):
        self.path = os.path.join(folder, f"errno-{program}")
        self.program = program
        self.library = library
        with open(self.path, "wb") as file:
            file.truncate(SIZE)
        os.chmod(self.path, 0o600)
        os.chown(self.path, uid, -1)

    def environ(self):
        return {"LD_PRELOAD": self.library, "ERRNO_SHIM": self.path,
                "ERRNO_SHIM_PROGRAM": self.program}

    def _write(self, order):
        with open(self.path, "r+b") as file:
            file.write(order.encode().ljust(ORDER_BYTES, b"\0"))
            file.write(bytes(HEAD.size))

    def list(self):
        with open(self.path, "r+b") as file:
            file.truncate(0)
            file.truncate(SIZE)

    def order(self, site, error, nth=1):
        lines = [f"{site.function} {site.argument} {site.role} {error} {nth} {len(site.chain)}"]
        lines += [f"{module} {offset}" for module, offset in site.chain]
        self._write("\n".join(lines) + "\n")

    def hold(self, is_held):
        with open(self.path, "r+b") as file:
            file.seek(ORDER_BYTES + HELD_AT * 4)
            file.write(struct.pack("=I", is_held))

    def fired(self):
        """The process that met the call that was ordered to fail, or 0."""
        with open(self.path, "rb") as file:
            file.seek(ORDER_BYTES)
            return HEAD.unpack(file.read(HEAD.size))[3]

    def sites(self, symbols):
        """What was listed. A call of a library's own thread has no place in the program."""
        with open(self.path, "rb") as file:
            data = file.read()
        magic, module_count, _, _, lost, _ = HEAD.unpack_from(data, ORDER_BYTES)
        assert magic == MAGIC, "the program ran without the shim"
        assert lost == 0, "there are more call sites than errno_shim.c has room for"
        at = ORDER_BYTES + HEAD.size
        modules = [text_of(data[at + i * NAME_BYTES:at + (i + 1) * NAME_BYTES])
                   for i in range(module_count)]
        at += MODULES_MAX * NAME_BYTES
        raw = [SITE.unpack_from(data, at + i * SITE.size) for i in range(SITES_MAX)]
        raw = [row for row in raw if row[0]]
        chains = []
        for row in raw:
            pairs = row[8:8 + 2 * row[2]]
            chains.append([(modules[m] if m < len(modules) else "?", offset)
                           for m, offset in zip(pairs[::2], pairs[1::2])])
        symbols.load(offset for chain in chains for module, offset in chain if module == "program")
        sites = {}
        for row, chain in zip(raw, chains):
            site = self._site(row, cut(chain, symbols), symbols)
            key = (site.function, site.argument, site.role, tuple(site.chain))
            known = sites.setdefault(key, site)
            known.count += row[3]
            known.kinds |= row[4]
        return sorted(sites.values(), key=str)

    @staticmethod
    def _site(row, chain, symbols):
        frames = [frame for module, offset in chain if module == "program"
                  for frame in symbols.frames(offset)]
        return Site(text_of(row[6]), row[1], text_of(row[7]), chain, frames)


def cut(chain, symbols):
    """The part of a chain that says which call it is: up to the first place in the program that is
    no tool of others."""
    for i, (module, offset) in enumerate(chain):
        if module == "program" and not all(is_helper(f) for f in symbols.frames(offset)):
            return chain[:i + 1]
    return chain

