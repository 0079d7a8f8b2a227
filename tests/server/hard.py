# SPDX-License-Identifier: Apache-2.0
"""hard.py PORT PID: treats a server badly and looks whether it holds: many clients at
once, some of which leave, bodies that make no sense, more than the queue takes (the
server is to be started with --queue 4 --batch-tokens 128), and at the end SIGTERM
while it works. Prints a line for each thing that held, and exits 1 if one did not."""
import http.client
import json
import os
import random
import re
import signal
import socket
import sys
import threading
import time

PORT, PID = int(sys.argv[1]), int(sys.argv[2])
QUERY = "how tall is it"
TEXTS = ["It is blue.", "It is 8 m tall.", "The purser opens the lockers at nine."]
PATHS = ["/rerank", "/predict", "/embed", "/v1/embeddings", "/v1/rerank", "/v2/rerank",
         "/v1/reranking", "/score", "/reranking", "/_inference/rerank/x", "/v1/search",
         "/v1/collections/x/search", "/weaviate/rerank", "/infinity/rerank", "/voyage/v1/rerank"]
failed = False


def check(name, held, why=""):
    global failed
    print(f"ok: {name}" if held else f"FAILED: {name}: {why}", flush=True)
    failed = failed or not held


def ask(method, path, body=None, headers=None, timeout=120):
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=timeout)
    try:
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        connection.request(method, path, data, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


def patient(body):
    """Asks again as long as the server says 429."""
    while True:
        status, text, headers = ask("POST", "/rerank", body)
        if status != 429:
            return status, text
        assert int(headers["Retry-After"]) >= 1
        time.sleep(0.01 + random.random() / 20)


def metric(name):
    text = ask("GET", "/metrics")[1].decode()
    return sum(float(v) for v in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.M))


def together(count, work):
    threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def many_clients():
    expected = {n: json.loads(patient({"query": QUERY, "texts": TEXTS * n})[1])
                for n in (1, 2, 30)}
    wrong = []

    def work(number):
        for turn in range(6):
            n = (1, 2, 30)[(number + turn) % 3]
            status, text = patient({"query": QUERY, "texts": TEXTS * n})
            if status != 200 or json.loads(text) != expected[n]:
                wrong.append((status, text[:200]))
    together(12, work)
    check("many clients at once get what each gets alone", not wrong, wrong[:1])


def leave_at_work(whole):
    """Sends a request and leaves when the server works on it; whether it dropped it."""
    before = metric("assay_left_total")
    client = socket.create_connection(("127.0.0.1", PORT))
    client.sendall(whole)
    end = time.time() + 60
    while metric("assay_batches_running") == 0 and time.time() < end:
        pass
    client.close()
    while metric("assay_queue_jobs") + metric("assay_batches_running") > 0 and time.time() < end:
        time.sleep(0.01)
    return metric("assay_left_total") > before


def clients_that_leave():
    long_text = " ".join(TEXTS * 20)
    body = json.dumps({"query": QUERY, "texts": [f"{i} {long_text}" for i in range(400)]})
    whole = (f"POST /rerank HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
             f"Content-Length: {len(body)}\r\n\r\n{body}").encode()
    for number in range(30):
        client = socket.create_connection(("127.0.0.1", PORT))
        client.sendall(whole[:random.randrange(len(whole))] if number % 3 else whole)
        if number % 2:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    check("the work of clients that left is dropped", any(leave_at_work(whole) for _ in range(5)))
    check("the server is there afterwards", ask("GET", "/health")[0] == 200)


def nonsense(random_source):
    """A body that is nearly JSON, or JSON of the wrong shape."""
    values = ["a", "", 0, -1, 1.5, 1e308, None, True, [], {}, ["a"], [["a", "b"]], [None],
              {"text": "a"}, "\ud83d\ude00", "\x00", [1, 2], 10**15]
    names = ["query", "texts", "documents", "input", "inputs", "top_n", "top_k", "model",
             "return_documents", "raw_scores", "truncate", "dimensions", "encoding_format",
             "text_1", "text_2", "rank_fields", "task_settings", "prompt_name", "normalize",
             "collection", "top", "max_tokens_per_doc", "truncation", "return_text"]
    body = {random_source.choice(names): random_source.choice(values)
            for _ in range(random_source.randrange(8))}
    if random_source.random() < 0.5:
        body["query"] = "a"
    text = json.dumps(body).encode()
    kind = random_source.randrange(6)
    if kind == 0:
        return text[:random_source.randrange(len(text) + 1)]
    if kind == 1:
        at = random_source.randrange(len(text))
        return text[:at] + bytes([random_source.randrange(256)]) + text[at + 1:]
    return text


def bad_bodies():
    source = random.Random(7)
    wrong = []
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    for _ in range(3000):
        path, body = source.choice(PATHS), nonsense(source)
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (200, 400, 404, 413, 415, 422, 424, 429):
            wrong.append((path, body, answer.status))
    connection.close()
    check("3000 bodies that make no sense are no 5xx", not wrong, wrong[:1])


def raw(data):
    """What comes back for bytes that are hardly HTTP."""
    client = socket.create_connection(("127.0.0.1", PORT), timeout=60)
    try:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return client.recv(65536)
    except OSError:
        return b""
    finally:
        client.close()


def bad_requests():
    answers = [raw(data) for data in (
        b"", b"\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00", b"POST /rerank HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 100000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
        b"POST /rerank HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /rerank HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /rerank HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 50)]
    check("bytes that are hardly HTTP are no 200", not any(b" 200 " in a for a in answers[:-1]),
          answers)
    check("pipelined requests are answered", b" 200 " in answers[-1], answers[-1])
    status, text, _ = ask("POST", "/rerank", b'{"query": "' + b"a" * 1500000 + b'"}')
    check("a body above the limit is refused", status == 413, status)


def overload():
    body = {"query": QUERY, "texts": [f"{t} {i}" for i in range(100) for t in TEXTS]}
    answers, slowest = [], []

    def work(_):
        begun = time.time()
        status, text, headers = ask("POST", "/rerank", body)
        answers.append((status, len(text)))
        if status == 429:
            slowest.append(time.time() - begun)
            assert int(headers["Retry-After"]) >= 1
    together(24, work)
    statuses = {status for status, _ in answers}
    check("more than the queue takes is refused, the rest is answered",
          len(answers) == 24 and statuses == {200, 429}, statuses)
    texts = [f"{t} {i}" for i in range(300) for t in TEXTS]
    status = ask("POST", "/rerank", {"query": QUERY, "texts": texts},
                 {"X-Assay-Deadline-Ms": "1"})[0]
    check("a deadline is kept", status in (504, 429), status)


def ending():
    body = {"query": QUERY, "texts": [f"{t} {i}" for i in range(200) for t in TEXTS]}
    answers = []
    thread = threading.Thread(target=lambda: answers.append(ask("POST", "/rerank", body)))
    thread.start()
    while metric("assay_batches_running") == 0 and not answers:
        time.sleep(0.002)
    os.kill(PID, signal.SIGTERM)
    thread.join()
    check("what is under way is answered after SIGTERM", answers[0][0] == 200, answers[0][:2])
    time.sleep(0.1)
    try:
        ask("GET", "/health", timeout=5)
        check("no new connections after SIGTERM", False)
    except OSError:
        check("no new connections after SIGTERM", True)


many_clients()
clients_that_leave()
bad_bodies()
bad_requests()
overload()
ending()
sys.exit(1 if failed else 0)
