# SPDX-License-Identifier: Apache-2.0
"""shapes.py PORT FILE...: sends the requests of tests/golden/dialects to a server and looks
whether it answers as the others did: same status, same members in the same order, of the
same types; errors, and names of models that were asked for, word for word. Prints a line a
file, and exits 1 where an answer differs."""
import http.client
import json
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
EXACT = ("error", "object")


def shape(value, exact=False):
    if isinstance(value, dict):
        return [(key, shape(one, exact or key in EXACT)) for key, one in value.items()]
    if isinstance(value, list):
        return [shape(one, exact) for one in value]
    if exact or value is None or isinstance(value, bool):
        return value
    return "number" if isinstance(value, (int, float)) else "string"


def ask(path, body):
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def differs(dialect, exchange):
    status, answer = ask(f"/{dialect}{exchange['path']}", exchange["body"])
    wanted = (exchange["status"], shape(exchange["answer"]))
    found = (status, shape(answer))
    asked = exchange["body"].get("model")
    if found == wanted and (asked is None or answer["model"] == asked):
        return False
    print("to", exchange["path"], json.dumps(exchange["body"]), "\nexpected", exchange["status"],
          json.dumps(exchange["answer"]), "\nanswered", status, json.dumps(answer))
    return True


failed = 0
for name in sys.argv[2:]:
    golden = json.load(open(name, encoding="utf-8"))
    wrong = sum(differs(golden["dialect"], exchange) for exchange in golden["exchanges"])
    print(f"{golden['dialect']}: {len(golden['exchanges']) - wrong} answers alike, {wrong} not")
    failed += wrong
sys.exit(1 if failed else 0)
