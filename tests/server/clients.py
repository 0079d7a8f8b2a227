# SPDX-License-Identifier: Apache-2.0
"""clients.py BASE_URL: rerank and embed through the clients of other services, as their
packages on PyPI have them, by base URL alone. Every client must order the passages as
/rerank of the server does, and score them alike. A line a client; "skipped" where the
package is not installed."""
import importlib
import json
import os
import sys
import urllib.request

BASE = sys.argv[1].rstrip("/")
QUERY = "how tall is it"
DOCUMENTS = ["It is blue.", "It is 8 m tall.", "The purser opens the lockers."]


def ask(path, body):
    request = urllib.request.Request(BASE + path, json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


EXPECTED = [(r["index"], r["score"]) for r in
            ask("/rerank", {"query": QUERY, "texts": DOCUMENTS})]


def cohere_v1():
    import cohere
    answer = cohere.Client("key", base_url=BASE).rerank(
        query=QUERY, documents=DOCUMENTS, model="rerank-english-v3.0", return_documents=True)
    assert answer.results[0].document.text == DOCUMENTS[answer.results[0].index]
    assert answer.meta.api_version.version == "1"
    return [(r.index, r.relevance_score) for r in answer.results]


def cohere_v2():
    import cohere
    answer = cohere.ClientV2("key", base_url=BASE).rerank(
        query=QUERY, documents=DOCUMENTS, model="rerank-v3.5")
    return [(r.index, r.relevance_score) for r in answer.results]


def cohere_error():
    import cohere
    try:
        cohere.ClientV2("key", base_url=BASE).rerank(query=QUERY, documents=[], model="x")
    except cohere.errors.BadRequestError as error:
        assert "documents" in error.body["message"], error.body
        return None
    raise AssertionError("no error")


def voyageai_rerank():
    import voyageai
    answer = voyageai.Client(api_key="key", base_url=BASE + "/v1").rerank(
        QUERY, DOCUMENTS, model="rerank-2")
    assert answer.results[0].document == DOCUMENTS[answer.results[0].index]
    assert answer.total_tokens > 0
    return [(r.index, r.relevance_score) for r in answer.results]


def openai_embeddings():
    import openai
    client = openai.OpenAI(api_key="key", base_url=BASE + "/v1")
    answer = client.embeddings.create(model="text-embedding-3-small", input=DOCUMENTS)
    plain = ask("/embed", {"inputs": DOCUMENTS})
    for one, vector in zip(answer.data, plain):
        assert max(abs(a - b) for a, b in zip(one.embedding, vector)) < 1e-6
    assert [m.id for m in client.models.list()]
    try:
        client.embeddings.create(model="x", input=[])
    except openai.BadRequestError as error:
        assert "input" in error.message
        return None
    raise AssertionError("no error")


def rerankers_of(provider, path):
    from rerankers.models.api_rankers import APIRanker
    ranker = APIRanker("rerank-v3.5", "key", provider, verbose=0, url=BASE + path)
    answer = ranker.rank(QUERY, DOCUMENTS)
    return [(r.doc_id, r.score) for r in answer.results]


def rerankers_cohere():
    return rerankers_of("cohere", "/v1/rerank")


def rerankers_jina():
    return rerankers_of("jina", "/v1/rerank")


def rerankers_voyage():
    return rerankers_of("voyage", "/v1/rerank")


def rerankers_mixedbread():
    return rerankers_of("mixedbread.ai", "/v1/reranking")


def rerankers_tei():
    return rerankers_of("text-embeddings-inference", "/rerank")


def langchain_documents():
    from langchain_core.documents import Document
    return [Document(page_content=text, metadata={"n": n}) for n, text in enumerate(DOCUMENTS)]


def langchain_cohere_rerank():
    import cohere
    from langchain_cohere import CohereRerank
    client = cohere.ClientV2("key", base_url=BASE)
    ranker = CohereRerank(client=client, model="rerank-v3.5", top_n=3, cohere_api_key="key")
    answer = ranker.compress_documents(langchain_documents(), QUERY)
    return [(d.metadata["n"], d.metadata["relevance_score"]) for d in answer]


def langchain_jina():
    os.environ["JINA_API_KEY"] = "key"
    from langchain_community.document_compressors import jina_rerank
    jina_rerank.JINA_API_URL = BASE + "/v1/rerank"
    answer = jina_rerank.JinaRerank(top_n=3).compress_documents(langchain_documents(), QUERY)
    return [(d.metadata["n"], d.metadata["relevance_score"]) for d in answer]


def langchain_infinity():
    from langchain_community.document_compressors.infinity_rerank import InfinityRerank
    from infinity_client import Client
    ranker = InfinityRerank(client=Client(base_url=BASE), model="cross", top_n=3)
    answer = ranker.compress_documents(langchain_documents(), QUERY)
    return [(d.metadata["n"], d.metadata["relevance_score"]) for d in answer]


def langchain_infinity_embeddings():
    from langchain_community.embeddings import InfinityEmbeddings
    vectors = InfinityEmbeddings(model="dense", infinity_api_url=BASE + "/v1").embed_documents(
        DOCUMENTS)
    plain = ask("/embed", {"inputs": DOCUMENTS})
    assert max(abs(a - b) for x, y in zip(vectors, plain) for a, b in zip(x, y)) < 1e-6
    return None


def langchain_tei_embeddings():
    """Its class for endpoints, whose client posts to whatever base URL it has."""
    from huggingface_hub import InferenceClient
    from langchain_huggingface import HuggingFaceEndpointEmbeddings
    embeddings = HuggingFaceEndpointEmbeddings(model="any/model", huggingfacehub_api_token="key")
    plain = ask("/embed", {"inputs": DOCUMENTS})
    for url in (BASE, BASE + "/tei"):
        embeddings.client = InferenceClient(model=url, token="key")
        vectors = embeddings.embed_documents(DOCUMENTS)
        assert max(abs(a - b) for x, y in zip(vectors, plain) for a, b in zip(x, y)) < 1e-6


def openai_behind_a_name():
    from openai import OpenAI
    for name in ("tei", "vllm", "llama", "infinity", "openai"):
        client = OpenAI(api_key="key", base_url=f"{BASE}/{name}/v1")
        assert client.embeddings.create(input=DOCUMENTS, model="dense").data[2].index == 2
        assert client.models.list().data


def llama_index_nodes():
    from llama_index.core.schema import NodeWithScore, TextNode
    return [NodeWithScore(node=TextNode(text=text, id_=str(n)), score=0.0)
            for n, text in enumerate(DOCUMENTS)]


def llama_index_cohere():
    from llama_index.postprocessor.cohere_rerank import CohereRerank
    ranker = CohereRerank(api_key="key", model="rerank-v3.5", top_n=3, base_url=BASE)
    answer = ranker.postprocess_nodes(llama_index_nodes(), query_str=QUERY)
    return [(int(n.node.node_id), n.score) for n in answer]


def llama_index_tei():
    from llama_index.postprocessor.tei_rerank import TextEmbeddingInference
    ranker = TextEmbeddingInference(base_url=BASE, top_n=3, model_name="cross")
    answer = ranker.postprocess_nodes(llama_index_nodes(), query_str=QUERY)
    return [(int(n.node.node_id), n.score) for n in answer]


def elasticsearch_inference():
    from elasticsearch import BadRequestError, Elasticsearch
    client = Elasticsearch(BASE + "/elastic", api_key="key")
    answer = client.inference.rerank(inference_id="x", query=QUERY, input=DOCUMENTS)
    try:
        client.inference.rerank(inference_id="x", query=QUERY, input=[])
    except BadRequestError as error:
        assert "cannot be an empty array" in str(error), error
        return [(r["index"], r["relevance_score"]) for r in answer["rerank"]]
    raise AssertionError("no error")


def weaviate_module():
    """What the module's Go client sends and reads; there is no client to install."""
    answer = ask("/rerank", {"documents": DOCUMENTS, "query": QUERY, "property": ""})
    scores = [(n, one["score"]) for n, one in enumerate(answer["scores"])]
    assert [one["document"] for one in answer["scores"]] == DOCUMENTS
    return sorted(scores, key=lambda pair: -pair[1])


CLIENTS = [cohere_v1, cohere_v2, cohere_error, voyageai_rerank, openai_embeddings,
           rerankers_cohere, rerankers_jina, rerankers_voyage, rerankers_mixedbread,
           rerankers_tei, langchain_cohere_rerank,
           langchain_jina, langchain_infinity, langchain_infinity_embeddings, langchain_tei_embeddings,
           openai_behind_a_name, llama_index_cohere,
           llama_index_tei, elasticsearch_inference, weaviate_module]


def main():
    failed = skipped = 0
    for client in CLIENTS:
        try:
            found = client()
            if found is not None:
                assert [i for i, _ in found] == [i for i, _ in EXPECTED], (found, EXPECTED)
                assert all(abs(a - b) < 1e-6 for (_, a), (_, b) in zip(found, EXPECTED)), found
            print(f"ok: {client.__name__}")
        except ImportError as error:
            print(f"skipped: {client.__name__}: {error}")
            skipped += 1
        except Exception as error:  # a client may fail in any way
            print(f"FAILED: {client.__name__}: {type(error).__name__}: {error}")
            failed += 1
    print(f"{len(CLIENTS) - failed - skipped} ok, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
