# SPDX-License-Identifier: Apache-2.0
"""prometheus.py PORT OWN KEY DASHBOARD: asks the server on PORT some things, and the
Prometheus on OWN, which scrapes it once a second, what it saw: the server is up, every
query of the dashboard is answered, the rules of the alerts are evaluated and none fires.
Prints a line for each thing that held, the panels that have nothing to show, and exits 1 if
something did not hold."""
import json
import sys
import time
import urllib.parse
import urllib.request

PORT, OWN, KEY, DASHBOARD = sys.argv[1:5]
failed = False


def check(name, held, why=""):
    global failed
    print(f"ok: {name}" if held else f"FAILED: {name}: {why}", flush=True)
    failed = failed or not held


def ask(path, body):
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", json.dumps(body).encode(),
                                     {"Content-Type": "application/json", "X-Api-Key": KEY})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def seen(path, **parameters):
    url = f"http://127.0.0.1:{OWN}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]


def value(query):
    try:
        return sum(float(one["value"][1]) for one in seen("query", query=query)["result"])
    except OSError:
        return 0.0  # it starts


def until(query, wanted, seconds=60):
    end = time.time() + seconds
    while value(query) < wanted and time.time() < end:
        time.sleep(0.2)
    return value(query) >= wanted


def empty_panels():
    for panel in json.load(open(DASHBOARD, encoding="utf-8"))["panels"]:
        expressions = [t["expr"].replace("$__rate_interval", "30s").replace("$instance", ".*")
                       for t in panel["targets"]]
        if not any(seen("query", query=expression)["result"] for expression in expressions):
            yield panel["title"]


check("it is scraped, with its key", until('up{job="assay"}', 1))
for turn in range(4):  # rates want more than one look
    ask("/rerank", {"query": "how tall is it", "texts": ["It is blue.", "It is 8 m tall."]})
    found = ask("/v1/search", {"query": "who opens the lockers", "collection": "notes"})
    ask("/v1/events", {"search": found["search"], "type": "click", "position": 1})
    time.sleep(1)
check("what was asked is counted",
      until('assay_requests_total{dialect="tei",status="200"}', 4) and
      until("count_over_time(assay_documents_total[1m])", 3))
print("nothing to show:", ", ".join(empty_panels()) or "none")
rules = [rule for group in seen("rules")["groups"] for rule in group["rules"]]
check("the rules of the alerts are evaluated",
      rules and all(rule["health"] in ("ok", "unknown") for rule in rules), rules)
check("no alert fires", not seen("alerts")["alerts"], seen("alerts"))
target = seen("targets")["activeTargets"][0]
check("no scrape failed", target["lastError"] == "", target)
sys.exit(1 if failed else 0)
