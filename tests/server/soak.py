#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""soak.py BUILD [REQUESTS]: many requests (120000: memory is warm before half of them are), of which one in eight is broken off
somewhere, from eight clients at once, against a small model and a collection, answers
recorded. Prints the server's
resident memory and descriptors on the way; fails when memory still grows by more than
2 MiB from the first half to the end, when a descriptor stays, or an answer is wrong.
Not part of the suite: it takes minutes."""
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD, TOTAL = pathlib.Path(sys.argv[1]).resolve(), int((sys.argv[2:] or [120000])[0])
CLIENTS, PORT = 8, 20000 + os.getpid() % 20000
TEXTS = ["It is blue.", "It is 8 m tall.", "The purser opens the lockers at nine."]
wrong = []


def request(random_source):
    path, body = random_source.choice([
        ("/rerank", {"query": "how tall is it", "texts": TEXTS * random_source.randrange(1, 9)}),
        ("/v1/embeddings", {"input": TEXTS}), ("/v2/rerank", {"query": "q", "documents": []}),
        ("/v1/collections/soak/documents", {"documents": [{"id": str(source_id), "text": t}
                                            for source_id, t in enumerate(TEXTS)], "model": "none"}),
        ("/v1/collections/soak/search", {"query": "the purser", "session": "s"}),
        ("/v1/events", {"search": "x", "type": "click", "position": 1}),
        ("/nowhere", {}), ("/rerank", {"query": 1})])
    data = json.dumps(body).encode()
    return (f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n").encode() + data


def read_answer(client):
    text = b""
    while b"\r\n\r\n" not in text:
        got = client.recv(65536)
        if not got:
            return None
        text += got
    head, body = text.split(b"\r\n\r\n", 1)
    length = int(head.lower().split(b"content-length:")[1].split()[0])
    while len(body) < length:
        got = client.recv(65536)
        if not got:
            return None
        body += got
    return int(head.split()[1])


def work(number):
    source = random.Random(number)
    client = None
    for _ in range(TOTAL // CLIENTS):
        client = client or socket.create_connection(("127.0.0.1", PORT), timeout=120)
        data = request(source)
        if source.random() < 1 / 8:
            client.sendall(data[:source.randrange(len(data) + 1)])
            client.close()
            client = None
            continue
        client.sendall(data)
        status = read_answer(client)
        if status not in (200, 400, 404, 422):
            wrong.append(status)


def warm_up():
    """What is opened when it is first needed is no leak."""
    source = random.Random(-1)
    with socket.create_connection(("127.0.0.1", PORT), timeout=120) as client:
        for _ in range(100):
            client.sendall(request(source))
            read_answer(client)
    time.sleep(2)


def look(pid):
    status = open(f"/proc/{pid}/status", encoding="utf-8").read()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return (int(fields["VmRSS"].split()[0]) / 1024, len(os.listdir(f"/proc/{pid}/fd")),
            int(fields["Threads"]))


def main():
    with tempfile.TemporaryDirectory() as home:
        return soak(home)


def soak(home):
    models = ROOT / "tests/golden/models"
    server = subprocess.Popen(
        [BUILD / "assay", "serve", "--quiet", "--write", "--record", "1", "--port", str(PORT), "--model",
         f"cross={models}/cross-f32", "--model", f"dense={models}/dense-mean"],
        stderr=subprocess.PIPE, text=True, env=dict(os.environ, ASSAY_HOME=home))
    server.stderr.readline()
    warm_up()
    before = look(server.pid)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(CLIENTS)]
    begun, looks = time.time(), []
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.5)
        looks.append(look(server.pid))
    after = look(server.pid)
    for _ in range(20): # those that left are noticed within seconds
        if after[1] > before[1]:
            time.sleep(0.5)
            after = look(server.pid)
    server.terminate()
    code = server.wait()
    half = looks[len(looks) // 2] if looks else before
    print(f"{TOTAL} requests in {time.time() - begun:.0f} s, {len(wrong)} wrong answers; "
          f"the server ended with {code}")
    for name, one in (("at first", before), ("half way", half), ("at the end", after)):
        print(f"{name:<10} {one[0]:6.1f} MiB resident, {one[1]} descriptors, {one[2]} threads")
    fine = not wrong and code == 0 and after[0] - half[0] < 2 and after[1] <= before[1]
    print("no leak" if fine else "FAILED")
    return 0 if fine else 1


sys.exit(main())
