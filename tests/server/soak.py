#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""soak.py BUILD [REQUESTS]: many requests (24000) from eight clients at once, against small
models and a collection, documents put and answers recorded meanwhile. One in four is of a
client that does not behave: breaks off in the middle of its request, is killed when it has
sent it (its system then resets the connection) or when it has read some of the answer, or
sends and reads a few bytes at a time.

Fails when an answer is wrong or missing, when a thread or a descriptor stays, when the
server does not end, or when memory grows: the least that was resident in the last quarter
of the time may be GROWTH above the least of the second. (The least, as putting documents
takes 2 MiB for a moment; and some growth, as a connection that is not known to be gone yet
holds 32 KiB, and SQLite's caches of pages, 2 MiB each at most, fill until the end. A leak
of 512 bytes a request is more.) Not part of the suite: it takes a minute."""
import json
import os
import pathlib
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD, TOTAL = pathlib.Path(sys.argv[1]).resolve(), int((sys.argv[2:] or [24000])[0])
GROWTH = 4 # MiB
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


def read_answer(client, most=65536):
    text = b""
    while b"\r\n\r\n" not in text:
        got = client.recv(most)
        if not got:
            return None
        text += got
    head, body = text.split(b"\r\n\r\n", 1)
    length = int(head.lower().split(b"content-length:")[1].split()[0])
    while len(body) < length:
        got = client.recv(most)
        if not got:
            return None
        body += got
    return int(head.split()[1])


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def break_off(client, data, source):
    client.sendall(data[:source.randrange(len(data) + 1)])


def be_killed(client, data, source):
    client.sendall(data)
    time.sleep(source.choice([0, 0.001, 0.01]))
    reset(client)


def read_some(client, data, source):
    client.sendall(data)
    client.recv(source.randrange(1, 100))
    reset(client)


def be_slow(client, data, source):
    step = len(data) // source.randrange(2, 9) + 1
    for first in range(0, len(data), step):
        client.sendall(data[first:first + step])
        time.sleep(0.005)
    judge(read_answer(client, 64))


def judge(status):
    if status not in (200, 400, 404, 422):
        wrong.append(status)


def ask(number):
    source, client = random.Random(number), None
    for _ in range(TOTAL // CLIENTS):
        client = client or socket.create_connection(("127.0.0.1", PORT), timeout=60)
        data = request(source)
        if source.random() < 1 / 4:
            source.choice([break_off, be_killed, read_some, be_slow])(client, data, source)
            client.close()
            client = None
            continue
        client.sendall(data)
        judge(read_answer(client))


def work(number):
    try:
        ask(number)
    except OSError as error: # no answer in time, or no connection
        wrong.append(error)


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
    code = server.wait(60)
    quarter = len(looks) // 4 or 1
    second, last = min(looks[quarter:2 * quarter] or looks), min(looks[-quarter:])
    print(f"{TOTAL} requests in {time.time() - begun:.0f} s, {len(wrong)} wrong answers "
          f"{wrong[:3] or ''}; the server ended with {code}")
    for name, one in (("at first", before), ("least of the second quarter", second),
                      ("least of the last", last), ("at the end", after)):
        print(f"{name:<28} {one[0]:6.1f} MiB resident, {one[1]} descriptors, {one[2]} threads")
    fine = (not wrong and code == 0 and last[0] - second[0] < GROWTH and
            after[1] <= before[1] and after[2] <= before[2])
    print("no leak" if fine else "FAILED")
    return 0 if fine else 1


sys.exit(main())
