# SPDX-License-Identifier: Apache-2.0
"""shapes.py PORT FILE...: sends the requests of tests/golden/dialects to a server and looks
whether it answers as the others did: same status, same members in the same order, of the
same types; errors, and names of models that were asked for, word for word, but for what reads
"x" in the file; a plain text begins like theirs; the headers that are named. Prints a line a
file, and exits 1 where an answer differs."""
import http.client
import json
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
EXACT = ("error", "error_type", "object", "detail")


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def fits(wanted, found, exact=False):
    if isinstance(wanted, dict):
        return isinstance(found, dict) and list(wanted) == list(found) and all(
            fits(one, found[key], exact or key in EXACT) for key, one in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and len(wanted) == len(found) and all(
            fits(*pair, exact) for pair in zip(wanted, found))
    if isinstance(wanted, str) and (wanted == "x" or not exact):
        return isinstance(found, str)
    return is_number(found) if is_number(wanted) and not exact else wanted == found


def ask(path, body):
    data = body if isinstance(body, str) else json.dumps(body)
    connection.request("POST", path, data, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read().decode()
    is_json = (answer.getheader("Content-Type") or "").startswith("application/json") and text
    return answer, json.loads(text) if is_json else text


def differs(dialect, exchange):
    answer, found = ask(f"/{dialect}{exchange['path']}", exchange["body"])
    wanted = exchange["answer"]
    begins = isinstance(wanted, str) and wanted != "" and isinstance(found, str) and found.startswith(wanted)
    names = [name for name, _ in answer.getheaders() if name in exchange.get("headers", ())]
    asked = isinstance(exchange["body"], dict) and isinstance(wanted, dict) and exchange["body"].get("model")
    if (answer.status == exchange["status"] and (begins or fits(wanted, found, wanted == ""))
            and names == exchange.get("headers", [])
            and (not asked or asked != wanted.get("model") or asked == found["model"])):
        return False
    print("to", exchange["path"], json.dumps(exchange["body"]), "\nexpected", exchange["status"],
          json.dumps(wanted), *exchange.get("headers", ()), "\nanswered", answer.status, json.dumps(found), *names)
    return True


failed = 0
for name in sys.argv[2:]:
    golden = json.load(open(name, encoding="utf-8"))
    wrong = sum(differs(golden["dialect"], exchange) for exchange in golden["exchanges"])
    print(f"{golden['dialect']}: {len(golden['exchanges']) - wrong} answers alike, {wrong} not")
    failed += wrong
sys.exit(1 if failed else 0)
