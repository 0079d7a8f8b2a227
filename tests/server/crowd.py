# SPDX-License-Identifier: Apache-2.0
"""crowd.py PORT: far more connections than the server takes (it is to be started with
--connections 32), each broken off within its header; whether it answers afterwards."""
import socket
import sys
import threading
import time
import urllib.request

PORT = int(sys.argv[1])


def burst():
    for _ in range(300):
        client = socket.socket()
        client.settimeout(1)
        try:
            client.connect(("127.0.0.1", PORT))
            client.sendall(b"POST /rerank HTTP/1.1\r\nHost")
        except OSError:
            pass
        client.close()


def answers():
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=2).status == 200
    except OSError:
        return False


threads = [threading.Thread(target=burst, daemon=True) for _ in range(8)]
for thread in threads:
    thread.start()
end = time.time() + 20
for thread in threads:
    thread.join(max(0, end - time.time()))
for _ in range(40):
    if answers():
        print("ok: the server answers after a crowd")
        sys.exit(0)
    time.sleep(0.5)
print("FAILED: the server does not answer after a crowd")
sys.exit(1)
