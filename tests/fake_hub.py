#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A model hub for tests: Hugging Face's layout over HTTP on 127.0.0.1, with the
faults of real networks. Prints its port, then serves until its standard input
closes. What a repository does wrong is in its name (see REPOSITORIES). Large
files are redirected to a second server, which stands for another host.

    GET /_log            what was asked for, a line a request; and forgets it
    GET /_move/<name>    the repository's branch moves on to another commit
"""
import hashlib
import http.server
import json
import random
import sys
import threading
import time
import urllib.parse

TOKEN = "Bearer hf_secret"
WEIGHTS = random.Random(1).randbytes(300_000)
GARBAGE = random.Random(2).randbytes(300_000)
FILES = {
    "README.md": b"# a model\n",
    "config.json": b'{"model_type": "bert"}\n',
    "tokenizer.json": b'{"model": {}}\n',
    "vocab.txt": b"",
    "modules.json": b"[]\n",
    "1_Pooling/config.json": b'{"pooling_mode_mean_tokens": true}\n',
    "onnx/config.json": b"{}",
    "onnx/model.onnx": b"onnx",
    "pytorch_model.bin": b"pickle",
    "model.fp16.safetensors": b"copy",
    "model.safetensors": WEIGHTS,
}
LARGE = "model.safetensors"
REPOSITORIES = {
    "org/plain", "single", "org/moving", "org/private", "org/gated", "org/no-safetensors",
    "org/hostile", "org/absolute", "org/no-json", "org/no-hashes", "org/missing-file",
    "org/cut", "org/down", "org/ignores-range", "org/changed", "org/bad-part",
    "org/busy", "org/come-back-later", "org/wrong-hash", "org/wrong-small-hash",
    "org/too-short", "org/too-long", "org/slow", "org/wrong-range",
}
state = {"log": [], "moved": set(), "asked": {}}
lock = threading.Lock()


def times_asked(key):
    with lock:
        state["asked"][key] = state["asked"].get(key, 0) + 1
        return state["asked"][key]


def commit_of(repository):
    text = repository + (" moved" if repository in state["moved"] else "")
    return hashlib.sha1(text.encode()).hexdigest()


def content_of(repository, name):
    if repository in state["moved"] and name == "config.json":
        return b'{"model_type": "bert", "moved": true}\n'
    return FILES[name]


def blob_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def siblings(repository):
    for name in FILES:
        if repository == "org/no-safetensors" and name.endswith(".safetensors"):
            continue
        if repository in state["moved"] and name == "modules.json":
            continue
        content = content_of(repository, name)
        entry = {"rfilename": name}
        if repository != "org/no-hashes":
            entry |= {"size": len(content), "blobId": blob_id(content)}
        if name == LARGE and repository != "org/no-hashes":
            size = len(content) + {"org/too-short": 10, "org/too-long": -10}.get(repository, 0)
            entry["blobId"] = "0" * 40
            entry["size"] = 130
            entry["lfs"] = {"size": size, "sha256": hashlib.sha256(content).hexdigest()}
        yield entry
    if repository == "org/hostile":
        yield {"rfilename": "../../evil.safetensors", "size": 1}
    if repository == "org/absolute":
        yield {"rfilename": "/tmp/evil.safetensors", "size": 1}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, code, body=b"", **headers):
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def note(self, place):
        token = {None: "none", TOKEN: "right"}.get(self.headers["Authorization"], "wrong")
        with lock:
            state["log"].append(f"{place} {self.path} token={token} "
                                f"range={self.headers.get('Range', 'none')} "
                                f"if-range={'yes' if self.headers['If-Range'] else 'no'}\n")


class Hub(Handler):
    def do_GET(self):
        path = urllib.parse.unquote(urllib.parse.urlparse(self.path).path)
        if path == "/_log":
            with lock:
                text, state["log"] = "".join(state["log"]), []
            return self.answer(200, text.encode())
        if path.startswith("/_move/"):
            state["moved"].add(path[7:])
            return self.answer(200)
        self.note("hub")
        if path.startswith("/api/models/"):
            repository, _, revision = path[12:].partition("/revision/")
            return self.api(repository, revision)
        repository, _, rest = path[1:].partition("/resolve/")
        revision, _, name = rest.partition("/")
        return self.resolve(repository, revision, name)

    def api(self, repository, revision):
        if repository == "org/no-json":
            return self.answer(200, b"<html>Welcome to the hotel</html>")
        if repository == "org/private" and self.headers["Authorization"] is None:
            return self.answer(401, b"Invalid username or password.",
                               X_Error_Code="RepoNotFound")
        if repository not in REPOSITORIES:
            return self.answer(404, b"{}", X_Error_Code="RepoNotFound")
        if revision not in ("main", "refs/pr/1", commit_of(repository)):
            return self.answer(404, b"{}", X_Error_Code="RevisionNotFound")
        if repository == "org/down":
            return self.answer(503, b"", Retry_After="1")
        if repository == "org/busy" and times_asked("busy api") == 1:
            return self.answer(503, b"<html>maintenance</html>")
        listing = {"id": repository, "sha": commit_of(repository),
                   "siblings": list(siblings(repository))}
        return self.answer(200, json.dumps(listing).encode())

    def resolve(self, repository, revision, name):
        if revision != commit_of(repository) or name not in FILES:
            return self.answer(404, b"", X_Error_Code="EntryNotFound")
        if repository == "org/missing-file" and name == "tokenizer.json":
            return self.answer(404, b"", X_Error_Code="EntryNotFound")
        if repository == "org/gated" and self.headers["Authorization"] != TOKEN:
            return self.answer(403, b"", X_Error_Code="GatedRepo")
        content = content_of(repository, name)
        if name != LARGE:
            if repository == "org/wrong-small-hash" and name == "config.json":
                content = content.replace(b"bert", b"BERT")
            return self.answer(200, content, ETag=f'"{blob_id(content)}"')
        if repository == "org/no-hashes":
            return self.answer(200, content)
        if repository == "org/come-back-later":
            return self.answer(429, b"", Retry_After="3600")
        if repository == "org/busy" and times_asked("busy file") <= 2:
            return self.answer(429, b"", Retry_After="1")
        return self.answer(302, b"see there", X_Repo_Commit=revision,
                           X_Linked_Size=str(len(content)),
                           X_Linked_ETag=f'"{hashlib.sha256(content).hexdigest()}"',
                           Location=f"http://localhost:{cdn.server_port}/{repository}?sig=abc")


class Cdn(Handler):
    def do_GET(self):
        self.note("cdn")
        repository = urllib.parse.urlparse(self.path).path[1:]
        asked = times_asked("cdn " + repository)
        body, etag, cut = WEIGHTS, '"first"', None
        if repository in ("org/cut", "org/ignores-range") and asked <= 2:
            cut = 100_000
        if repository in ("org/bad-part", "org/changed") and asked == 1:
            body, cut = GARBAGE, 100_000
        if repository == "org/changed" and asked > 1:
            etag = '"second"'
        if repository == "org/wrong-hash":
            body = GARBAGE
        start = 0
        wanted, condition = self.headers["Range"], self.headers["If-Range"]
        if wanted and repository != "org/ignores-range" and condition in (None, etag):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        told = start + 5 if repository == "org/wrong-range" else start
        if start:
            self.send_header("Content-Range", f"bytes {told}-{len(body) - 1}/{len(body)}")
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.send_body(body[start:], cut, repository)

    def send_body(self, body, cut, repository):
        if repository == "org/wrong-range" and times_asked("wrong-range") == 1:
            cut = 1000
        if cut is not None:
            self.wfile.write(body[:cut])
            self.wfile.flush()
            self.close_connection = True
            return
        step = 20_000 if repository == "org/slow" else len(body)
        for at in range(0, len(body), step):
            self.wfile.write(body[at:at + step])
            if step < len(body):
                time.sleep(0.05)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a client that goes away is part of the tests


hub = Server(("127.0.0.1", 0), Hub)
cdn = Server(("127.0.0.1", 0), Cdn)
for server in (hub, cdn):
    threading.Thread(target=server.serve_forever, daemon=True).start()
print(hub.server_port, flush=True)
sys.stdin.read()
