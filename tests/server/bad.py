# SPDX-License-Identifier: Apache-2.0
"""bad.py PORT KEY: sends every dialect what is no request: no JSON, wrong types, huge numbers,
nesting, invalid UTF-8, nothing to rank, too much of it, a model that is not there, no key,
another method, another path. Each is to be refused with a 4xx, in the form that errors of
the dialect have. Prints a line a dialect; exits 1 where one was not. The server wants a key
and has two models of each kind."""
import http.client
import json
import sys

PORT, KEY = int(sys.argv[1]), sys.argv[2]
DOCUMENTS = ["It is blue.", "It is 8 m tall."]
connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)


def members(value, *names):
    return isinstance(value, dict) and list(value) == list(names)


def error_of(*names):
    return lambda e: members(e, "error") and members(e["error"], *names)


def text_of(name):
    return lambda e: members(e, name) and isinstance(e[name], str) and e[name] != ""


def vllm(error):
    return error == {"error": "Unauthorized"} or error_of("message", "type", "param", "code")(error)


def infinity(error):
    return error_of("message", "type", "param", "code")(error) or (
        members(error, "detail") and list(error["detail"][0])[:3] == ["type", "loc", "msg"])


def elastic(error):
    return members(error, "error", "status") and set(error["error"]) == {"root_cause", "type", "reason"}


def tei(error):
    """Text where it is about reading the body, nothing without a key."""
    return isinstance(error, str) or members(error, "error", "error_type")


# name, path, list of documents, count, whether a model is named, the form
DIALECTS = [
    ("tei", "/tei/rerank", "texts", None, False, tei),
    ("cohere", "/cohere/v2/rerank", "documents", "top_n", True, text_of("message")),
    ("jina", "/jina/v1/rerank", "documents", "top_n", True, text_of("detail")),
    ("voyage", "/voyage/v1/rerank", "documents", "top_k", True, text_of("detail")),
    ("vllm", "/vllm/rerank", "documents", "top_n", True, vllm),
    ("llama", "/llama/v1/rerank", "documents", "top_n", True, error_of("code", "message", "type")),
    ("infinity", "/infinity/rerank", "documents", "top_n", True, infinity),
    ("mixedbread", "/mixedbread/v1/reranking", "input", "top_k", True, text_of("detail")),
    ("elastic", "/elastic/_inference/rerank/cross", "input", None, False, elastic),
    ("weaviate", "/weaviate/rerank", "documents", None, False, text_of("error")),
    ("openai", "/openai/v1/embeddings", "input", "dimensions", True,
     error_of("message", "type", "param", "code")),
    ("own", "/v1/search", None, "top", False, error_of("code", "message", "field")),
]


def ask(method, path, body, key=KEY):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = "Bearer " + key
    connection.request(method, path, data if method != "GET" else None, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    is_json = text and answer.getheader("Content-Type").startswith("application/json")
    return answer.status, json.loads(text) if is_json else text


def faults(path, many, count, named):
    """What is sent, by name: method, path, body, key."""
    good = {"query": "how tall is it", **({many: DOCUMENTS} if many else {})}
    bodies = {
        "no JSON": b'{"query": "a", ', "an empty body": b"", "a list": [good],
        "nesting": b'{"query": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        "invalid UTF-8": json.dumps(good).encode().replace(b"tall", b"t\xff\xfe"),
        "a number for the question": {**good, "query": 7},
    }
    if path.endswith("embeddings"):
        bodies["a number for the question"] = {"input": 7}
    if many:
        bodies["nothing to rank"] = {**good, many: []}
        bodies["an object for the list"] = {**good, many: {"a": 1}}
        bodies["numbers in the list"] = {**good, many: [1, 2]}
        bodies["100,000 documents"] = {**good, many: ["a"] * 100000}
        del good[many]
        bodies["no list"] = dict(good)
    if count:
        with_list = {**good, **({many: DOCUMENTS} if many else {})}
        for name, value in (("a huge number", 1e308), ("a larger one", 10**30), ("a negative one", -1),
                            ("a text for a number", "many")):
            bodies[name] = {**with_list, count: value}
    if named:
        bodies["no such model"] = {"query": "a", many: DOCUMENTS, "model": "nobody's"}
    for name, body in bodies.items():
        yield name, "POST", path, body, KEY
    yield "too many bytes", "POST", path, b'{"query": "' + b"a" * 4100000 + b'"}', KEY
    yield "no key", "POST", path, bodies["no JSON"], None
    yield "a wrong key", "POST", path, bodies["no JSON"], "ak-wrong"
    yield "another method", "PUT", path, b"{}", KEY
    yield "another path", "GET", path.rsplit("/", 1)[0] + "/nowhere/x", b"", KEY


def main():
    wrong = 0
    for name, path, many, count, named, form in DIALECTS:
        tried = 0
        for fault, method, where, body, key in faults(path, many, count, named):
            status, error = ask(method, where, body, key)
            tried += 1
            if not (400 <= status < 500 and form(error)):
                print(f"FAILED: {name}, {fault}: {status} {str(error)[:300]}")
                wrong += 1
        print(f"{name}: {tried} faults")
    return 1 if wrong else 0


sys.exit(main())
