# SPDX-License-Identifier: Apache-2.0
"""ask.py SOCKET FILE: sends the requests in FILE to a server on a Unix socket, one
after another on one connection, and prints each with its answer. What differs from
run to run (ids, times) reads ID, TIME, in headers as in bodies.

FILE has paragraphs parted by empty lines: "METHOD PATH [Header: value]..." (headers
parted by " | "), then the body, if there is one. Lines that begin with # are shown."""
import http.client
import re
import socket
import sys

SHOWN = ("content-type", "content-security-policy", "allow", "retry-after", "www-authenticate", "x-compute-type",
         "x-compute-characters", "x-compute-tokens")


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


def plain(text):
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID", text)
    text = re.sub(r'"created":\d+', '"created":TIME', text)
    text = re.sub(r'"search":"[^"]*"', '"search":ID', text)
    text = re.sub(r"Retry-After: \d{3,}", "Retry-After: LATER", text)
    return re.sub(r'"latency_ms":\{[^}]*\}', '"latency_ms":TIME', text)


def paragraphs(path):
    for part in open(path, encoding="utf-8").read().split("\n\n"):
        lines = [line for line in part.split("\n") if line]
        while lines and lines[0].startswith("#"):
            print(lines.pop(0))
        if lines:
            yield lines[0], "\n".join(lines[1:])


def main():
    connection = Connection(sys.argv[1])
    for head, body in paragraphs(sys.argv[2]):
        words = head.split(" | ")
        method, path = words[0].split(" ", 1)
        headers = dict(word.split(": ", 1) for word in words[1:])
        data = body.encode("utf-8").replace(b"\\xFF", b"\xff") if body else None
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8")
        print(f"> {head}")
        if body:
            print(body)
        print(f"< {answer.status}", *(plain(f"{k}: {v}") for k, v in answer.getheaders()
                                      if k.lower() in SHOWN), sep=" | ")
        print(plain(text))


main()
