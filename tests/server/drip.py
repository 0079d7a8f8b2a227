# SPDX-License-Identifier: Apache-2.0
"""drip.py PORT: a client and a trace collector that never come to an end. Prints the
collector's port; begins a request on PORT when a line comes in, and from then on sends a
byte of its body, and one of the collector's answer, ten times a second."""
import socket
import sys
import threading
import time


def drip(connection, head):
    try:
        connection.sendall(head)
        while True:
            connection.sendall(b"x")
            time.sleep(0.1)
    except OSError:
        pass  # the server had enough


def collect(listener):
    while True:
        threading.Thread(target=drip, args=(listener.accept()[0], b"HTTP/1.1 200 OK\r\nX: "), daemon=True).start()


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
threading.Thread(target=collect, args=(listener,), daemon=True).start()
port = int(sys.stdin.readline())
client = socket.create_connection(("127.0.0.1", port))
threading.Thread(target=drip, args=(client, b"POST /rerank HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"),
                 daemon=True).start()
print("begun", flush=True)
sys.stdin.readline()
