# SPDX-License-Identifier: Apache-2.0
"""own.py PORT PID: assay's own interface from outside: documents put, looked at, searched and
deleted; searches by pipelines by name, filtered, explained; events told and the report
read. The server is to be started with --write --record 1 and the pipeline "words".
Prints a line for each thing that held, and exits 1 if one did not."""
import http.client
import json
import os
import sys
import time

PORT, PID = int(sys.argv[1]), int(sys.argv[2])
failed = False
connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)


def check(name, held, why=""):
    global failed
    print(f"ok: {name}" if held else f"FAILED: {name}: {why}", flush=True)
    failed = failed or not held


def ask(method, path, body=None, headers=None):
    data = json.dumps(body).encode() if body is not None else None
    connection.request(method, path, data, headers or {})
    answer = connection.getresponse()
    text = answer.read()
    return answer.status, json.loads(text) if text else None


def documents():
    status, answer = ask("GET", "/v1/collections")
    check("there is no collection at first", status == 200 and answer["collections"] == [], answer)
    status, answer = ask("POST", "/v1/collections/notes/documents", {"documents": [
        {"id": "a", "title": "Lockers", "text": "The purser opens the lockers at nine.", "year": 2020},
        {"_id": "dir/b c", "text": "It is 8 m tall.", "metadata": {"year": 2024}},
        {"text": "no id"}, "nothing", {"id": "e", "text": "It is blue."}]})
    check("documents are put, bad ones alone refused",
          status == 200 and (answer["added"], answer["failed"]) == (3, 2) and
          [p["document"] for p in answer["problems"]] == [2, 3], answer)
    status, answer = ask("POST", "/v1/collections/notes/documents",
                         {"documents": [{"id": "a", "title": "Lockers", "year": 2020,
                                         "text": "The purser opens the lockers at nine."},
                                        {"id": "e", "text": "It is red."}]})
    check("put again, they are unchanged or changed",
          (answer["unchanged"], answer["changed"]) == (1, 1), answer)
    check("the collection is there", [c["name"] for c in ask("GET", "/v1/collections")[1]["collections"]]
          == ["notes"])
    status, answer = ask("GET", "/v1/collections/notes")
    check("a collection is described", (answer["documents"], answer["model"]) == (3, "dense"), answer)
    status, answer = ask("GET", "/v1/collections/notes/documents?limit=2")
    check("documents are listed", [d["id"] for d in answer["documents"]] == ["a", "dir/b c"]
          and answer["after"] == "dir/b c", answer)
    status, answer = ask("GET", "/v1/collections/notes/documents?after=dir/b%20c&limit=2")
    check("page by page", [d["id"] for d in answer["documents"]] == ["e"] and answer["after"] is None,
          answer)
    status, answer = ask("GET", "/v1/collections/notes/documents/dir/b%20c")
    check("one document has its text", answer["text"] == "It is 8 m tall." and
          answer["metadata"] == {"metadata": {"year": 2024}}, answer)


def searches():
    status, answer = ask("POST", "/v1/search", {"query": "how tall is it", "collection": "notes"})
    check("what was put is found", status == 200 and len(answer["hits"]) == 3 and
          answer["pipeline"] == "default", answer)
    check("a hit tells its stages", len(answer["hits"][0]["stages"]) == 1, answer["hits"][0])
    status, answer = ask("POST", "/v1/collections/notes/search",
                         {"query": "the purser", "pipeline": "words", "filter": "year < 2022"})
    check("a pipeline by name, and a filter", [h["document"] for h in answer["hits"]] == ["a"] and
          answer["pipeline"] == "words" and not answer["hits"][0]["reranked"], answer)
    status, answer = ask("POST", "/v1/collections/notes/search",
                         {"query": "the purser", "pipeline": "words", "filter": {"year": {"$lt": 2022}}})
    check("a filter that is an object", [h["document"] for h in answer["hits"]] == ["a"], answer)
    status, answer = ask("POST", "/v1/collections/notes/search",
                         {"query": "the purser", "explain": True, "top": 1})
    check("an explanation", len(answer["hits"]) == 1 and
          len(answer["hits"][0]["explanation"]["matches"]) > 2, answer)
    sure = {"query": "the purser", "min_probability": 1, "record": False}
    status, answer = ask("POST", "/v1/collections/notes/search", sure)
    check("nothing is probable enough", (status, answer["hits"]) == (200, []) and
          answer["probability"]["withheld"] == 3 and answer["probability"]["abstained"] and
          0 < answer["probability"]["best"] < answer["probability"]["least"], answer)
    status, answer = ask("POST", "/v1/collections/notes/search", {**sure, "min_probability": 0})
    check("everything is", len(answer["hits"]) == 3 and not answer["probability"]["abstained"], answer)
    status, answer = ask("POST", "/v1/collections/notes/search", {"query": "the purser", "record": False})
    check("and the next search asks for none", len(answer["hits"]) == 3 and "probability" not in answer, answer)
    for body, status, field in (
            ({"query": "a", "min_probability": 2}, 422, "min_probability"),
            ({"query": "a", "min_probability": "1"}, 422, "min_probability"),
            ({"query": "a", "min_probability": 0.5, "pipeline": "words"}, 422, "min_probability"),
            ({"query": "a", "pipeline": "none"}, 404, "pipeline"), ({"query": "a", "pipeline": 1}, 422, "pipeline"),
            ({"query": "a", "session": "x" * 2000}, 422, "session"), ({"query": "a", "explain": 1}, 422, "explain"),
            ({"query": "a", "filter": "year <"}, 422, "filter"),
            ({"query": "a", "filter": {"year": {"$lt": []}}}, 422, "filter"),
            ({"query": "a", "filter": ["year"]}, 422, "filter")):
        got = ask("POST", "/v1/collections/notes/search", body)
        check(f"{field} is checked: {status}", got[0] == status and got[1]["error"]["field"] == field, got)


def found(query, **more):
    """By a pipeline that makes something of the small differences of a random model."""
    body = {"query": query, "collection": "notes", "pipeline": "bold", **more}
    return ask("POST", "/v1/search", body)[1]


def events():
    first = found("locker opening", session="s")
    shown = [h["document"] for h in first["hits"]]
    check("a search says that it is recorded", first["recorded"] and first["search"], first)
    second = found("opening of the locker", session="s")
    time.sleep(0.05)  # the record is written behind the answer
    status, answer = ask("POST", "/v1/events", {"search": first["search"], "type": "click",
                                                "document": shown[1]})
    check("a click is told", (status, answer) == (200, {"recorded": 1, "unknown": 0, "ignored": 0}), answer)
    status, answer = ask("POST", "/v1/events", [
        {"action_name": "item_click", "query_id": second["search"], "timestamp": "2026-11-25T12:00:00.123Z",
         "event_attributes": {"object": {"object_id": "gone"}, "position": {"ordinal": 3}}},
        {"action_name": "login"}, {"action_name": "click", "query_id": "elsewhere",
                                   "event_attributes": {"position": {"ordinal": 1}}}])
    check("events of UBI are understood", answer == {"recorded": 1, "unknown": 1, "ignored": 1}, answer)
    status, answer = ask("POST", "/v1/events", {"events": [
        {"search": second["search"], "type": "dwell", "position": 1, "seconds": 45},
        {"search": second["search"], "type": "up", "position": 1}]})
    check("by position, too", answer["recorded"] == 2, answer)
    status, answer = ask("GET", "/v1/report?days=1&top=3")
    check("the report sums up", status == 200 and answer["clicked"] == 2 and answer["unseen_clicks"] == 1
          and answer["top"] == 3 and answer["up"] == 1 and answer["reformulated"] > 0, answer)
    status, reranked = ask("POST", "/tei/rerank", {"query": "how tall is it", "texts": ["It is blue.", "8 m"]},
                           {"X-Request-Id": "mine"})
    time.sleep(0.05)
    status, answer = ask("POST", "/v1/events", {"search": "mine", "type": "click", "document": "1"})
    check("documents that came with a request are known by their places", answer["recorded"] == 1, answer)
    for body in ({"search": 1, "type": "click", "document": "a"}, {"search": "x", "type": "jump", "document": "a"},
                 {"search": "x", "type": "click"}, {"type": "click", "document": "a"}, {"events": 1},
                 [1], {"search": "x", "type": "click", "position": -1}, {"events": [{}] * 1001}, {},
                 {"search": first["search"], "type": "click", "position": 900},
                 {"search": first["search"], "type": "dwell", "position": 1, "seconds": -1},
                 {"action_name": "click", "query_id": "x", "timestamp": "yesterday",
                  "event_attributes": {"object": {"object_id": "a"}}}):
        status, answer = ask("POST", "/v1/events", body)
        check("an event that makes no sense is refused", status == 422 and "error" in answer, (body, status, answer))
    third = found("locker opening", record=False)
    check("a search that is not to be recorded is not", not third["recorded"], third)
    batch = {"events": [{"action_name": "login"}, {"search": second["search"], "type": "up", "position": 1},
                        {"search": second["search"], "type": "up", "position": 900}]}
    status, answer = ask("POST", "/v1/events", batch)
    check("of several events all are taken, or none", status == 422 and "event 2" in answer["error"]["message"]
          and ask("GET", "/v1/report")[1]["up"] == 1, answer)
    check("a report's parameters are checked", ask("GET", "/v1/report?days=x")[0] == 422)


def descriptors():
    return len(os.listdir(f"/proc/{PID}/fd"))


def many_times():
    """What is dropped, or refused, leaves nothing behind."""
    before = 0
    for i in range(6):
        ask("POST", "/v1/collections/brief/documents", {"documents": [{"id": "a", "text": "short"}]})
        found = ask("POST", "/v1/collections/brief/search", {"query": "short", "record": False})
        refused = ask("POST", "/v1/collections/brief/documents",
                      {"documents": [{"id": "a", "text": "short"}], "model": "none"})
        ask("DELETE", "/v1/collections/brief")
        if i == 0:
            before = descriptors()
    check("a collection is made, searched and dropped", (found[0], refused[0]) == (200, 422), (found, refused))
    for _ in range(100):  # the last search is let go of a moment after its answer
        if descriptors() <= before:
            break
        time.sleep(0.05)
    check("and leaves no file open", descriptors() <= before, (before, descriptors()))


def not_allowed():
    status, answer = ask("POST", "/v1/collections/notes/documents", {"documents": [{"id": "x", "text": "y"}]},
                         {"Sec-Fetch-Site": "cross-site"})
    check("a page of another site may not write", status == 403, (status, answer))
    for path, body, field in (
            ("documents/delete", {"ids": ["a\0b"]}, "ids"), ("search", {"query": "a", "filter": "year > 1\0"}, "filter"),
            ("documents", {"documents": [{"id": "x", "text": "y"}], "model": "/etc"}, "model"),
            ("documents", {"documents": [{"id": "x", "text": "y"}], "model": "../x"}, "model")):
        status, answer = ask("POST", f"/v1/collections/notes/{path}", body)
        check(f"{field}: {json.dumps(body)[:40]}", (status, answer["error"]["field"]) == (422, field), (status, answer))


def deletions():
    check("a document is deleted", ask("DELETE", "/v1/collections/notes/documents/dir/b%20c")
          == (200, {"deleted": 1}))
    check("once", ask("DELETE", "/v1/collections/notes/documents/dir/b%20c")[0] == 404)
    check("and is not found any more",
          "dir/b c" not in [h["document"] for h in found("how tall is it")["hits"]])
    check("several at a time", ask("POST", "/v1/collections/notes/documents/delete", {"ids": ["a", "x"]})
          == (200, {"deleted": 1}))
    check("a collection is dropped", ask("DELETE", "/v1/collections/notes") == (200, {"deleted": 1}))
    check("and gone", ask("POST", "/v1/search", {"query": "a", "collection": "notes"})[0] == 404)
    status, answer = ask("POST", "/v1/collections/notes/documents",
                         {"documents": [{"id": "n", "text": "new"}], "model": "none"})
    check("and may be made anew, otherwise", status == 200 and answer["added"] == 1, answer)
    check("and searched", [h["document"] for h in found("new")["hits"]] == ["n"])
    for method, path, body, status in (
            ("POST", "/v1/collections/.x/documents", {"documents": [{"id": "a", "text": "b"}]}, 422),
            ("POST", "/v1/collections/notes/documents", {"documents": []}, 400),
            ("POST", "/v1/collections/notes/documents", {"documents": [{"id": "a", "text": "b"}], "model": "dense"}, 422),
            ("POST", "/v1/collections/notes/documents", {"documents": [{"id": "a", "text": "b"}], "model": "x"}, 422),
            ("POST", "/v1/collections/notes/nothing", {}, 404), ("GET", "/v1/collections/nope", None, 404),
            ("GET", "/v1/collections/notes/documents?limit=0", None, 422),
            ("POST", "/v1/collections/notes/documents/delete", {"ids": [1]}, 422),
            ("DELETE", "/v1/collections/nope", None, 404), ("PUT", "/v1/collections/notes", None, 405),
            ("GET", "/v1/collections/" + "n" * 200, None, 404)):
        got = ask(method, path, body)
        check(f"{method} {path[:45]} {status}", got[0] == status and "message" in got[1]["error"], got)


documents()
searches()
events()
not_allowed()
many_times()
deletions()
sys.exit(1 if failed else 0)
