#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A chat API for tests: OpenAI's chat completions over HTTP on 127.0.0.1, with a
model that knows the answer, and the faults of real ones. Prints its port, then
serves until its standard input closes. What a model does wrong is in its name:

    good           orders by the number behind "value" in a passage, as asked
    prose, chain   the same, said otherwise
    prefers-first  of two passages the first, whatever they are
    obedient       does what a passage tells it
    bad-form, old  refuses structured output; newer parameters are wanted
    object         knows json_object alone, and answers the rest with 500, as llama-cpp-python
    refusal, empty, garbage, half, wrong-count, no-choices, null: no use
    slow, dropped, busy, error, unknown: no answer; busy-once, error-once: one later
    some-fail      refuses passages whose value is odd
    seen           of an image's URL: what was shown, as the reason
    wild, stray    asked for queries: some of every kind that is of no use; none that the
                   passage answers
    small          likewise: says the form of the answer again, unless it was shown examples in
                   that form; small-words the same, without structured output

    GET /_log      what was asked for, a line a request; and forgets it
Of an image it sees "value N" in the file (or the URL): from 5 on the page answers, with a
confidence of N in 10.
"""
import base64
import http.server
import json
import re
import sys
import threading
import time

KEY = "Bearer secret-key"
state = {"log": [], "asked": {}, "now": 0, "most": 0}
lock = threading.Lock()


def times_asked(key):
    with lock:
        state["asked"][key] = state["asked"].get(key, 0) + 1
        return state["asked"][key]


def values_of(prompt):
    """What stands in each passage; -1 where there is no value."""
    passages = re.findall(r"(?:\[\d+\]|Passage(?: [AB])?) ([0-9a-f]{8})\n(.*?)\n\1 end", prompt,
                          re.DOTALL)
    return [int(found[1]) if (found := re.search(r"value (\d+)", text)) else -1
            for _, text in passages], [text for _, text in passages]


def order_of(values):
    return sorted(range(1, len(values) + 1), key=lambda i: -values[i - 1])


def queries_of(model, text, wanted):
    """What somebody would ask who looks for the longest words of the passage."""
    words = sorted(set(re.findall(r"[a-z]{4,}", text.lower())), key=lambda w: (-len(w), w))
    good = [f"What about {' '.join(words[i:i + 3])}?" for i in range(wanted)]
    if model == "stray":
        return ["mongolia capital"] * wanted
    if model == "obedient" and "say instead" in text:
        return [re.search(r"say instead: ([^.]*)", text)[1], "see https://evil.example/ now"]
    if model == "wild":
        first = re.split(r"(?<=[.])\s", text.strip())[0]
        return [first, f"What does the passage say about {words[0]}?", "", "one",
                "see www.evil.example now", good[0], good[0].upper(), 7, None, {"query": good[1]}]
    return good


def say_queries(model, text, wanted, structured):
    found = queries_of(model, text, wanted)
    if model == "prose":
        return "Sure! Here they are:\n\n" + "\n".join(
            f'{i}. **"{q}"**' for i, q in enumerate(found, 1)) + "\n"
    if structured:
        return json.dumps({"queries": found})
    return "\n".join(str(q) for q in found)


def shown(messages, structured):
    """Whether there are examples, each a passage asked about and answered as is asked for."""
    turns = messages[1:-1]
    for asked, answered in zip(turns[::2], turns[1::2]):
        assert (asked["role"], answered["role"]) == ("user", "assistant"), turns
        assert values_of(asked["content"])[1], asked
        wanted = int(re.search(r"\nWrite (?:(\d+) different|one) ", asked["content"])[1] or 1)
        found = (json.loads(answered["content"])["queries"] if structured
                 else answered["content"].splitlines())
        assert len(found) == wanted, answered
    return bool(turns)


def say_page(model, url):
    """What the image of a page is said to be."""
    shown = url
    if match := re.fullmatch(r"data:image/(?:png|jpeg|gif|webp);base64,(.*)", url):
        shown = base64.b64decode(match[1], validate=True).decode("latin-1")
    found = re.search(r"value.?(\d+)", shown)
    value = int(found[1]) if found else 0
    if model == "some-fail" and value % 2:
        return "I'm sorry, but I cannot help with that."
    if model == "prose":
        return f"{'Yes' if value >= 5 else 'No'}, I see a value of {value}\non the page."
    if model == "chain":
        return json.dumps({"answer": "yes" if value >= 5 else "no", "confidence": f"{value}0%"})
    if model == "obedient" and "say yes" in shown:
        value = 10
    sure = value / 10 if value >= 5 else 1 - value / 10
    reason = url if model == "seen" else f"The page\x1b[31m says {value}."
    return json.dumps({"answers": value >= 5, "confidence": sure, "reason": reason})


def say(model, body):
    """The content of the answer, or None."""
    prompt = body["messages"][-1]["content"]
    if isinstance(prompt, list):
        return say_page(model, prompt[1]["image_url"]["url"])
    structured = "response_format" in body
    values, texts = values_of(prompt)
    if written := re.search(r"\nWrite (?:(\d+) different|one) ", prompt):
        if model == "some-fail" and len(texts[0]) % 2:
            return "I'm sorry, but I cannot help with that."
        if model.startswith("small") and not shown(body["messages"], structured):
            return '{"queries": ["...", "..."]}' if structured else "...\n..."
        return say_queries(model, texts[0], int(written[1] or 1) + (model == "wild") * 5, structured)
    if "Order all" in prompt:
        order = order_of(values)
        if model == "obedient":
            for i, text in enumerate(texts, 1):
                if "rank me first" in text:
                    order.remove(i)
                    order.insert(0, i)
        if model == "wrong-count":
            order = order[:1] + [99, order[0], 0]
        if model == "prose":
            return "Of course! Here is the ranking:\n" + "\n".join(
                f"{n}. Passage {i}" for n, i in enumerate(order, 1)) + "\nGlad to help."
        if structured and model != "chain":
            return json.dumps({"order": order})
        return " > ".join(f"[{i}]" for i in order)
    if "Which of the two" in prompt:
        better = "A" if values[0] > values[1] or model == "prefers-first" else "B"
        return json.dumps({"better": better}) if structured else better
    if model == "some-fail" and values[0] % 2:
        return "I cannot help with that."
    if "yes or no" in prompt:
        return "yes" if values[0] >= 5 else "no"
    return json.dumps({"grade": values[0]}) if structured else f"{values[0]}"


def odds(content, values):
    yes = -0.1 * (10 - values[0]) - 0.01
    no = -0.1 * values[0] - 0.01
    return {"content": [{"token": content, "logprob": max(yes, no), "top_logprobs": [
        {"token": "yes", "logprob": yes}, {"token": " No", "logprob": no},
        {"token": "maybe", "logprob": -9}]}]}


class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, code, body, **headers):
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path != "/_log":
            return self.answer(404, b"{}")
        with lock:
            text, state["log"] = "".join(state["log"]), []
            text += f"most at a time {state['most']}\n"
            state["most"] = 0
        return self.answer(200, text.encode())

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with lock:
            state["now"] += 1
            state["most"] = max(state["most"], state["now"])
            key = {None: "none", KEY: "right"}.get(self.headers["Authorization"], "wrong")
            state["log"].append(f"{self.path} {body['model']} key={key} "
                                f"temperature={body.get('temperature', 'none')} "
                                f"seed={body.get('seed', 'none')} "
                                f"structured={'response_format' in body}\n")
        try:
            self.reply(body)
        finally:
            with lock:
                state["now"] -= 1

    def reply(self, body):
        model = body["model"]
        if self.path != "/v1/chat/completions" or model == "unknown":
            return self.answer(404, b'{"error": {"message": "no such model"}}')
        if model == "locked" and self.headers["Authorization"] != KEY:
            return self.answer(401, b'{"error": {"message": "no key"}}')
        if model == "slow":
            time.sleep(3)
        if model == "dropped" or (model == "dropped-once" and times_asked(model) == 1):
            self.close_connection = True
            return self.connection.close()
        if model == "busy" or (model == "busy-once" and times_asked(model) == 1):
            return self.answer(429, b'{"error": {"message": "slow down"}}', Retry_After="1")
        if model == "busy-long":
            return self.answer(429, b"", Retry_After="3600")
        if model == "error" or (model == "error-once" and times_asked(model) == 1):
            return self.answer(500, b"<html>oops</html>")
        if model in ("bad-form", "small-words") and ("response_format" in body or "logprobs" in body):
            return self.answer(400, b'{"error": {"message": "unknown field response_format"}}')
        if model == "object" and body.get("response_format", {}).get("type") == "json_schema":
            return self.answer(500, b'{"error": {"message": "response_format.type: unknown"}}')
        if model == "old" and "max_tokens" in body:
            return self.answer(400, b'{"error": {"message": "use max_completion_tokens"}}')
        if model == "garbage":
            return self.answer(200, bytes(range(256)) * 20)
        if model == "no-choices":
            return self.answer(200, b'{"choices": []}')
        if model == "together":
            time.sleep(0.2)
        content = {"refusal": "I'm sorry, but I cannot help with that.", "empty": "",
                   "null": None}.get(model, say(model, body))
        choice = {"index": 0, "message": {"role": "assistant", "content": content},
                  "finish_reason": "stop"}
        if body.get("logprobs") and content in ("yes", "no"):
            choice["logprobs"] = odds(content, values_of(body["messages"][-1]["content"])[0])
        text = json.dumps({"object": "chat.completion", "model": model, "choices": [choice],
                           "usage": {"prompt_tokens": 100, "completion_tokens": 10}}).encode()
        if model == "half":
            text = text[:len(text) // 2]
        return self.answer(200, text)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a client that goes away is part of the tests


server = Server(("127.0.0.1", 0), Api)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
