#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""rerank_server.py llama|infinity|weaviate PORT SOURCE: tests/golden/dialects/NAME.json, what a
server of that kind, with any reranker, answers to rerank requests, good and bad, on PORT of this
machine; its scores are not looked at, nor are numbers of tokens. SOURCE says which version it is.

  llama-server -m MODEL.gguf --reranking --alias served -c 1024      (bench/peers/llama_server_model.py)
  infinity_emb v2 --model-id FOLDER --served-model-name served
  uvicorn app:app            in weaviate/reranker-transformers, its model in models/model

The others beside them were written by hand from the sources that they name: these servers cannot
be run on a machine of ours."""
import json
import pathlib
import sys
import urllib.error
import urllib.request

TEXTS = ["It is blue.", "It is 8 m tall."]
GOOD = {"query": "how tall is it", "documents": TEXTS}
REQUESTS = {
    "llama": [
        ("/v1/rerank", {"model": "m", **GOOD}),
        ("/rerank", {**GOOD, "top_n": 1}),
        ("/reranking", {**GOOD, "top_n": 0}),
        ("/v1/reranking", {**GOOD, "top_n": 9}),
        ("/rerank", {"query": "how tall is it", "texts": TEXTS}),
        ("/rerank", {"query": "how tall is it", "texts": TEXTS, "return_text": True, "top_n": 1}),
        ("/rerank", {"documents": ["a"]}),
        ("/rerank", {"query": 1, "documents": ["a"]}),
        ("/rerank", {"query": "a"}),
        ("/rerank", {"query": "a", "documents": []}),
        ("/rerank", {"query": "a", "documents": "a"}),
        ("/rerank", {"query": "a", "documents": ["a", 1]}),
    ],
    "infinity": [
        ("/rerank", GOOD),
        ("/rerank", {**GOOD, "return_documents": True, "top_n": 1}),
        ("/rerank", {**GOOD, "raw_scores": True, "top_n": 9}),
        ("/rerank", {"documents": TEXTS}),
        ("/rerank", {"query": "a"}),
        ("/rerank", {"query": 1, "documents": TEXTS}),
        ("/rerank", {"query": "a", "documents": []}),
        ("/rerank", {"query": "a", "documents": "a"}),
        ("/rerank", {"query": "a", "documents": ["a", 1]}),
        ("/rerank", {**GOOD, "top_n": 0}),
        ("/rerank", {**GOOD, "return_documents": "maybe"}),
        ("/rerank", {**GOOD, "model": "nobody's"}),
    ],
    "weaviate": [
        ("/rerank", GOOD),
        ("/rerank", {**GOOD, "property": ""}),
        ("/rerank", {**GOOD, "property": "It is green."}),
        ("/rerank", {"query": "how tall is it", "property": "It is 8 m tall."}),
        ("/rerank", {"query": "how tall is it", "property": "It is 8 m tall.", "documents": None}),
    ],
}


def ask(port, path, body):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def main():
    dialect, port, source = sys.argv[1:4]
    exchanges = []
    for path, body in REQUESTS[dialect]:
        status, answer = ask(port, path, body)
        exchanges.append({"path": path, "body": body, "status": status, "answer": answer})
    golden = {"source": source, "dialect": dialect, "exchanges": exchanges}
    path = pathlib.Path(__file__).resolve().parents[2] / f"tests/golden/dialects/{dialect}.json"
    path.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


main()
