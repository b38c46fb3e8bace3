"""An MCP server for tests, with one tool: over standard input and output as a program, or as the
answers of a web server (webkit.Server.answers)."""

import json
import sys

TOOLS = [{"name": "add", "description": "Adds two numbers with great care.", "inputSchema": {
    "type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
    "required": ["a", "b"]}}]


def result_of(message, says):
    """What it answers; None: nothing."""
    method, params = message.get("method"), message.get("params", {})
    if method == "initialize":
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                "serverInfo": {"name": "adder", "version": "1"}}
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call":
        given = params["arguments"]
        return {"content": [{"type": "text", "text": says + str(given["a"] + given["b"])}]}
    return {} if "id" in message else None


def answer(message, says):
    """As JSON; b"": nothing."""
    result = result_of(message, says)
    if result is None:
        return b""
    return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()


def over_http(says):
    """For webkit.Server.answers: the streamable transport, without a stream."""

    def post(body):
        if not body:
            return 405, b""  # nothing is said unasked
        said = answer(json.loads(body), says)
        return (200 if said else 202), said

    return post


def main():
    for line in sys.stdin:
        said = answer(json.loads(line), sys.argv[1])
        if said:
            sys.stdout.write(said.decode() + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
