# SPDX-License-Identifier: Apache-2.0
"""collector.py: takes OTLP spans over HTTP on a port of its own, which it prints, and says
at the end of its input what came: a line for each span, children indented."""
import http.server
import json
import sys
import threading

spans = []


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/traces" and self.headers["Content-Type"] == "application/json"
        for resource in body["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                spans.extend(scope["spans"])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def value(of):
    return next(iter(of.values()))


def show(span, depth):
    attributes = {a["key"]: value(a["value"]) for a in span["attributes"]}
    assert len(span["traceId"]) == 32 and len(span["spanId"]) == 16
    assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
    shown = [f"{k}={v}" for k, v in attributes.items()
             if k in ("http.response.status_code", "openinference.span.kind", "reranker.model_name",
                      "reranker.top_k", "assay.dialect") or k.endswith("document.id")]
    print("  " * depth + span["name"], *shown)
    for child in spans:
        if child.get("parentSpanId") == span["spanId"]:
            assert child["traceId"] == span["traceId"]
            show(child, depth + 1)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
ids = {span["spanId"] for span in spans}
for span in spans:
    if span.get("parentSpanId") not in ids:
        print("trace", span["traceId"] if span.get("parentSpanId") else "of its own")
        show(span, 0)
text = json.dumps(spans)
print("no text" if "purser" not in text and "blue" not in text else "TEXT")
