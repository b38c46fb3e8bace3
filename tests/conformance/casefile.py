"""Reads case files: what README.md in this folder calls steps and details.

    # Why the case is there, as a sentence.
    word the rest of the step
      word the rest of a detail

A step begins in the first column, its details are indented by two spaces.
"""

import os
import re

FOLDER = os.path.dirname(os.path.abspath(__file__))


class CaseError(Exception):
    """The case file itself is wrong."""


class Line:
    """One step or detail. rest: what follows the first word, not yet expanded."""

    def __init__(self, number, text):
        self.number = number
        self.word, _, self.rest = text.partition(" ")
        self.details = []

    def __repr__(self):
        return f"line {self.number}: {self.word} {self.rest}".rstrip()


class Case:
    """One file: title, steps. name: its path below this folder, without the suffix."""

    def __init__(self, path):
        self.path = path
        self.name = os.path.splitext(os.path.relpath(path, FOLDER))[0]
        with open(path, encoding="utf-8") as file:
            self._read(file.read().split("\n"))

    def _read(self, lines):
        self.title = lines[0].removeprefix("#").strip()
        self.steps = []
        if not lines[0].startswith("# ") or not self.title.endswith("."):
            raise CaseError(f"{self.path}:1: a case begins with '# SENTENCE.'")
        for number, text in enumerate(lines, 1):
            if not text.strip() or text.lstrip().startswith("#"):
                continue
            line = Line(number, text.strip(" ") if text.startswith("  ") else text)
            if not text.startswith(" "):
                self.steps.append(line)
            elif self.steps and re.match(r"  \S", text):
                self.steps[-1].details.append(line)
            else:
                raise CaseError(f"{self.path}:{number}: indented by other than two spaces")
        if not self.steps:
            raise CaseError(f"{self.path}: no step")

    def __repr__(self):
        return self.name


def find(*kinds):
    """The cases of these folders, sorted: find("daemon/poll", "daemon/ack")."""
    found = []
    for kind in kinds:
        for parent, _, files in os.walk(os.path.join(FOLDER, kind)):
            found += [os.path.join(parent, name) for name in files if name.endswith(".case")]
    return [Case(path) for path in sorted(found)]


def expand(text, names):
    """${name} in a text; names: a function from the name to its value, None if there is none."""

    def value(match):
        found = names(match[1])
        if found is None:
            raise CaseError(f"nothing is called ${{{match[1]}}}")
        return str(found)

    return re.sub(r"\$\{([^}]*)\}", value, text)


def unescape(text):
    r"""Bytes of a text with \r \n \t \\ \xNN."""

    def value(match):
        what = match[1]
        if what[0] == "x":
            return chr(int(what[1:], 16))
        return {"r": "\r", "n": "\n", "t": "\t", "\\": "\\"}[what]

    # byte for byte: what is not ASCII goes out as UTF-8, \xNN as that one byte
    text = text.encode().decode("latin-1")
    return re.sub(r"\\(x[0-9a-fA-F]{2}|[rnt\\])", value, text).encode("latin-1")


def raw(detail, names):
    """The bytes that a detail `line`, `bytes`, `repeat N`, or `chunk` stands for; None for others."""
    rest = expand(detail.rest, names)
    if detail.word == "line":
        return unescape(rest) + b"\r\n"
    if detail.word == "bytes":
        return unescape(rest)
    if detail.word == "repeat":
        count, _, text = rest.partition(" ")
        return unescape(text) * int(count)
    if detail.word == "chunk":
        data = unescape(rest)
        return b"%x\r\n%s\r\n" % (len(data), data)
    return None


def member(value, path):
    """The member of parsed JSON that a dotted path names; None if there is none."""
    for key in path.split("."):
        if isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict):
            value = value.get(key)
        else:
            return None
    return value
