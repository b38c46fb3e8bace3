"""The hub's OpenAPI document, and a hub whose every answer is held against it."""

import json
import re

import jsonschema

from hubkit import Hub

METHODS = ("get", "post", "put", "patch", "delete")


class Operation:
    """One method of one path of the document."""

    def __init__(self, path, method, node, document):
        self.path = path
        self.method = method.upper()
        self.node = node
        self.document = document
        # slugs contain slashes
        pattern = re.escape(path).replace(r"\{agent\}", "(.+)")
        self.pattern = re.compile(re.sub(r"\\\{\w+\\\}", "([^/]+)", pattern) + r"(\?.*)?")

    def __repr__(self):
        return f"{self.method} {self.path}"

    @property
    def has_json_body(self):
        return "application/json" in self.node.get("requestBody", {}).get("content", {})

    @property
    def key(self):
        """organisationKey, agentKey, or None."""
        [security] = self.node["security"] or [{None: []}]
        return next(iter(security))

    @property
    def statuses(self):
        return list(self.node["responses"])

    def fill(self, values):
        """The path with what stands for its parameters."""
        return re.sub(r"\{(\w+)\}", lambda match: values[match[1]], self.path)

    def check(self, answer):
        """The answer is one that the document has."""
        key = str(answer.status) if answer.status < 500 else "5XX"
        assert key in self.node["responses"], f"{self}: {answer} isn't in the document"
        response = self.document.resolve(self.node["responses"][key])
        for name, node in response.get("headers", {}).items():
            text = answer.headers[name]
            assert text or key != "401", f"{self}: no header {name} in {answer}"
            if text:
                self.document.validate(text, self.document.resolve(node)["schema"],
                                       f"{self}: {name}")
        if "content" not in response:
            assert answer.raw == b"" and answer.headers["Content-Type"] is None, answer
            return
        [(kind, content)] = response["content"].items()
        assert answer.headers["Content-Type"].split(";")[0] == kind, f"{self}: {answer.headers}"
        value = answer.json if kind == "application/json" else answer.raw.decode()
        self.document.validate(value, content["schema"], f"{self}: {answer.status}")


class Document:
    """The document, and which of its answers have been seen."""

    def __init__(self, root):
        self.root = root
        self.resolver = jsonschema.RefResolver("", root)
        self.operations = [Operation(path, method, node, self)
                           for path, item in root["paths"].items() for method, node in item.items()]
        # what is more exact comes first
        self.operations.sort(key=lambda op: (op.path.count("{agent}"), -len(op.path)))
        self.seen = set()

    def resolve(self, node):
        return self.resolver.resolve(node["$ref"])[1] if "$ref" in node else node

    def validate(self, value, schema, what):
        validator = jsonschema.Draft202012Validator(schema, resolver=self.resolver)
        found = jsonschema.exceptions.best_match(validator.iter_errors(value))
        assert found is None, f"{what}: {found.message} at {list(found.absolute_path)}"

    def find(self, method, path):
        """The operation that the hub takes for this request; None if there is none."""
        for operation in self.operations:
            if operation.method == method and operation.pattern.fullmatch(path):
                return operation
        return None


class DescribedHub(Hub):
    """A hub that fails the test where it answers otherwise than its document says."""

    document = None

    def request(self, method, path, *args, **kwargs):
        answer = super().request(method, path, *args, **kwargs)
        operation = self.document and self.document.find(method, path)
        if operation:
            operation.check(answer)
            self.document.seen.add(
                (str(operation), str(answer.status) if answer.status < 500 else "5XX"))
        return answer


def load(path):
    with open(path, encoding="utf-8") as file:
        return Document(json.load(file))
