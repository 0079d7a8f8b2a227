#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""llama_server.py LLAMA_SERVER MODEL.gguf: tests/golden/dialects/llama.json, what llama.cpp's
server answers to rerank requests, good and bad. MODEL.gguf: bench/peers/llama_server_model.py
of any reranker; its scores are not looked at, nor are numbers of tokens.

vllm.json and elastic.json beside it were written by hand from the sources that they name:
neither server can be run on a machine of ours."""
import json
import pathlib
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

PORT = 18181
TEXTS = ["It is blue.", "It is 8 m tall."]
REQUESTS = [
    ("/v1/rerank", {"model": "m", "query": "how tall is it", "documents": TEXTS}),
    ("/rerank", {"query": "how tall is it", "documents": TEXTS, "top_n": 1}),
    ("/reranking", {"query": "how tall is it", "documents": TEXTS, "top_n": 0}),
    ("/v1/reranking", {"query": "how tall is it", "documents": TEXTS, "top_n": 9}),
    ("/rerank", {"query": "how tall is it", "texts": TEXTS}),
    ("/rerank", {"query": "how tall is it", "texts": TEXTS, "return_text": True, "top_n": 1}),
    ("/rerank", {"documents": ["a"]}),
    ("/rerank", {"query": 1, "documents": ["a"]}),
    ("/rerank", {"query": "a"}),
    ("/rerank", {"query": "a", "documents": []}),
    ("/rerank", {"query": "a", "documents": "a"}),
    ("/rerank", {"query": "a", "documents": ["a", 1]}),
]


def ask(path, body):
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def wait_for(server):
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=5)
            return
        except OSError:
            time.sleep(0.1)
        if server.poll() is not None:
            break
    raise SystemExit("llama-server did not start")


def main():
    program, model = sys.argv[1:3]
    printed = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    version = re.search(r"version: (.*)", printed.stdout + printed.stderr).group(1)
    server = subprocess.Popen([program, "-m", model, "--reranking", "--alias", "served", "--port", str(PORT),
                               "--no-warmup", "-c", "1024", "-t", "2"], stderr=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL)
    try:
        wait_for(server)
        exchanges = []
        for path, body in REQUESTS:
            status, answer = ask(path, body)
            exchanges.append({"path": path, "body": body, "status": status, "answer": answer})
    finally:
        server.terminate()
        server.wait()
    golden = {"source": f"llama.cpp, llama-server {version}", "dialect": "llama", "exchanges": exchanges}
    path = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/dialects/llama.json"
    path.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


main()
