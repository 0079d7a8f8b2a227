# SPDX-License-Identifier: Apache-2.0
"""reload.py PORT PID: asks from four clients while the server reads its configuration again,
ten times; no answer may be anything but what it was before."""
import http.client
import json
import os
import signal
import sys
import threading
import time

PORT, PID = int(sys.argv[1]), int(sys.argv[2])
REQUESTS = [("/llama/rerank", {"query": "how tall is it", "documents": ["It is blue.", "8 m"]}),
            ("/v1/embeddings", {"input": "It is blue."}),
            ("/v1/search", {"query": "purser", "collection": "notes", "record": False}),
            ("/v1/search", {"query": "lockers", "collection": "notes", "pipeline": "words"})]
seen, failures, ended = [set() for _ in REQUESTS], [], False


def plain(path, text):
    answer = json.loads(text)
    return json.dumps(answer["hits"] if path == "/v1/search" else answer)


def work(number):
    path, body = REQUESTS[number]
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    while not ended:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status == 200:
            seen[number].add(plain(path, text))
        else:
            failures.append((path, answer.status, text))


os.kill(PID, signal.SIGHUP)
time.sleep(1)
threads = [threading.Thread(target=work, args=(i,)) for i in range(len(REQUESTS))]
for thread in threads:
    thread.start()
for _ in range(10):
    os.kill(PID, signal.SIGHUP)
    time.sleep(0.2)
ended = True
for thread in threads:
    thread.join()
print("different answers:", [len(one) for one in seen], "failed:", failures[:1])
sys.exit(1 if failures else 0)
