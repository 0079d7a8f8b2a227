# SPDX-License-Identifier: Apache-2.0
"""restart.py: `assay serve` as systemd runs it: a socket that is handed over, readiness
that is told, and a restart while clients ask, of whose requests none may fail."""
import http.client
import json
import os
import signal
import socket
import sys
import threading
import time

listener = socket.create_server(("127.0.0.1", 0), backlog=128)
port = listener.getsockname()[1]
notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notices.bind("notify.sock")
notices.settimeout(60)
body = json.dumps({"query": "how tall is it", "texts": ["It is blue.", "It is 8 m tall."] * 20})


def start():
    pid = os.fork()
    if pid == 0:
        os.dup2(listener.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", NOTIFY_SOCKET="notify.sock")
        os.execvp("assay", ["assay", "serve", "--quiet", "--precision", "fp32"])
    return pid


def stop(pid):
    os.kill(pid, signal.SIGTERM)
    said = notices.recv(100).decode()
    return said, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


answers, failures, ended = [], [], False


def ask():
    while not ended:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("POST", "/rerank", body)
            answer = connection.getresponse()
            answers.append((answer.status, answer.read()))
            connection.close()
        except OSError as error:
            failures.append(error)


server = start()
print("the server says", notices.recv(100).decode())
threads = [threading.Thread(target=ask) for _ in range(4)]
for thread in threads:
    thread.start()
for _ in range(3):
    time.sleep(0.3)
    before = len(answers)
    print("the server says %s and ends with %d" % stop(server))
    server = start()
    print("the next one says", notices.recv(100).decode())
while len(answers) < before + 10 and not failures:
    time.sleep(0.01)
ended = True
for thread in threads:
    thread.join()
print("answers:", set(answers) == {(200, answers[0][1])}, "failed:", failures[:2])
print("the server says %s and ends with %d" % stop(server))
sys.exit(0)
