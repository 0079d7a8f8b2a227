# SPDX-License-Identifier: Apache-2.0
"""page.py PORT CHROMIUM [FOLDER]: the page in a real browser, driven through the DevTools
protocol: a search, a hit opened, a vote, passages pasted, two pipelines side by side, the
report; in the light, in the dark, and as wide as a phone. Nothing may be written to the
console, nothing asked of another host. Prints a line for each thing that held; exits 1 if
one did not. Screenshots go to FOLDER. The server is to be started with --record 1, the
pipeline "words", and a collection "notes"."""
import base64
import http.client
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

PORT, CHROMIUM = sys.argv[1:3]
FOLDER = sys.argv[3] if len(sys.argv) > 3 else None
failed = False


def check(name, held, why=""):
    global failed
    print(f"ok: {name}" if held else f"FAILED: {name}: {why}", flush=True)
    failed = failed or not held


class Tab:
    """A WebSocket (RFC 6455) to one page; no library for that need be there."""

    def __init__(self, port):
        pages = []
        for _ in range(600):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                connection.request("GET", "/json/list")
                pages = [p for p in json.load(connection.getresponse()) if p["type"] == "page"]
                if pages:
                    break
            except OSError:
                pass
            time.sleep(0.1)
        path = pages[0]["webSocketDebuggerUrl"].split(str(port), 1)[1]
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.sendall((f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                             "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                             "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").encode())
        while not self.take_line().strip() == b"":
            pass
        self.number, self.events = 0, []

    def take(self, size):
        data = b""
        while len(data) < size:
            data += self.socket.recv(size - len(data))
        return data

    def take_line(self):
        line = b""
        while not line.endswith(b"\r\n"):
            line += self.take(1)
        return line

    def message(self):
        text = b""
        while True:
            head = self.take(2)
            size = head[1] & 127
            if size == 126:
                size = struct.unpack(">H", self.take(2))[0]
            elif size == 127:
                size = struct.unpack(">Q", self.take(8))[0]
            text += self.take(size)
            if head[0] & 128:
                return json.loads(text)

    def call(self, method, **parameters):
        self.number += 1
        text = json.dumps({"id": self.number, "method": method, "params": parameters}).encode()
        size = len(text)
        head = bytes([0x81]) + (bytes([128 | size]) if size < 126 else bytes([128 | 126]) + struct.pack(">H", size))
        self.socket.sendall(head + bytes(4) + text)  # a mask of zeros
        while True:
            answer = self.message()
            if answer.get("id") == self.number:
                return answer.get("result", answer)
            self.events.append(answer)

    def run(self, script):
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        return answer.get("result", {}).get("value", answer)

    def until(self, script, seconds=60):
        end = time.time() + seconds
        while time.time() < end:
            if self.run(script) is True:
                return True
            time.sleep(0.1)
        return False

    def picture(self, name):
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        if FOLDER:
            with open(os.path.join(FOLDER, name + ".png"), "wb") as file:
                file.write(data)
        return len(data)


ASK = """(query => { document.getElementById("query").value = query;
    document.getElementById("result").hidden = true;
    document.getElementById("form").requestSubmit(); })"""
BEGINS = """(() => { const top = document.getElementById("lines").getBoundingClientRect().top;
    const paths = [...document.querySelectorAll("#lines path")];
    const lines = [...document.querySelectorAll("#before li .line")].map(l => l.getBoundingClientRect());
    return paths.length === lines.length && paths.every((path, i) => Math.abs(top +
        Number(path.getAttribute("d").slice(1).split(" ")[1]) - lines[i].top - lines[i].height / 2) < 1); })()"""
SHOWN = 'document.getElementById("result").hidden === false'


def search(tab):
    tab.run(ASK + '("who opens the lockers")')
    check("a search shows hits before and after", tab.until(SHOWN) and
          tab.run('document.querySelectorAll("#before li").length === document.querySelectorAll("#after li").length'))
    check("with a line each", tab.run('document.querySelectorAll("#lines path").length'
                                      ' === document.querySelectorAll("#after li").length'))
    tab.run('document.querySelector("#after li").click()')
    check("a hit opens, its words marked", tab.run('!document.querySelector("#after li p").hidden'
                                                   ' && document.querySelectorAll("#after li mark").length > 0'))
    tab.run('document.querySelector("#after .votes button").click()')
    check("a vote is taken", tab.until('document.querySelector("#after .votes button").getAttribute("aria-pressed") === "true"'))
    check("a picture of it", tab.picture("search") > 10000)


def compare(tab):
    tab.run('document.getElementById("versus").value = "words"')
    tab.run('document.getElementById("explain").checked = true')
    tab.run(ASK + '("the purser")')
    check("two pipelines side by side, explained", tab.until(SHOWN) and
          tab.run('document.getElementById("left").textContent') == "words" and
          tab.run('document.getElementById("right").textContent') == "as served")
    check("a picture of it", tab.picture("compare") > 10000)


def paste(tab):
    tab.run('document.getElementById("tab-paste").click()')
    tab.run('document.getElementById("passages").value = "It is blue.\\nIt is 8 m tall.\\n<b>no</b>"')
    tab.run(ASK + '("how tall is it")')
    check("pasted passages are ranked, as text",
          tab.until(SHOWN + ' && document.querySelectorAll("#after li").length === 3') and
          tab.run('[...document.querySelectorAll("#after li b")].some(b => b.textContent === "<b>no</b>")'))
    tab.run('document.getElementById("tab-search").click()')
    elsewhere = tab.run('document.getElementById("result").hidden')
    tab.run('document.getElementById("tab-paste").click()')
    check("and are no answer to a search", elsewhere is True and tab.run(SHOWN))


def report(tab):
    tab.run('document.getElementById("tab-report").click()')
    check("the report has its charts", tab.until('document.querySelectorAll("#report svg").length > 3'),
          tab.run('document.getElementById("note").textContent'))
    check("a picture of it", tab.picture("report") > 10000)


def looks(tab):
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    check("dark where it is wanted", tab.run('getComputedStyle(document.body).backgroundColor') == "rgb(21, 24, 28)")
    tab.picture("report-dark")
    tab.call("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=2, mobile=True)
    for name in ("report", "paste", "search"):
        tab.run(f'document.getElementById("tab-{name}").click()')
        time.sleep(0.3)
        check(f"{name} is no wider than a phone", tab.run('document.documentElement.scrollWidth <= 360'),
              tab.run('document.documentElement.scrollWidth'))
        if name == "paste":
            check("its lines begin at the hits", tab.run(BEGINS))
        tab.picture(name + "-phone")


def quiet(tab):
    requests = [e["params"]["request"]["url"] for e in tab.events if e.get("method") == "Network.requestWillBeSent"]
    check("nothing is asked of other hosts", requests and
          all(url.startswith(f"http://127.0.0.1:{PORT}/") for url in requests), requests)
    said = [e["params"] for e in tab.events if e.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded",
                                                                   "Runtime.consoleAPICalled")
            and "favicon" not in json.dumps(e)]
    check("nothing is written to the console", not said, said[:2])


def main():
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        browser = subprocess.Popen(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             f"--remote-debugging-port={port}", f"--user-data-dir={profile}", "--window-size=1200,900", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            tab = Tab(port)
            for domain in ("Page", "Network", "Runtime", "Log"):
                tab.call(domain + ".enable")
            tab.call("Page.navigate", url=f"http://127.0.0.1:{PORT}/")
            check("the page loads", tab.until('document.querySelectorAll("#collection option").length > 0'))
            for part in (search, compare, paste, report, looks, quiet):
                part(tab)
        finally:
            browser.terminate()
            browser.wait()


main()
sys.exit(1 if failed else 0)
