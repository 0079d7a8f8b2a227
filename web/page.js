// SPDX-License-Identifier: Apache-2.0
// page.js: asks the server, shows the order before and after reranking, and draws what moved.
"use strict";

const $ = id => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const session = Array.from(crypto.getRandomValues(new Uint8Array(12)), b => b.toString(16)).join("");
let mode = "search";
let hits = [];
let ranked = "search"; // the mode that hits are of
let answered = null; // the id of the search shown, where it was recorded

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function say(text, bad = false) {
  $("note").textContent = text;
  $("note").classList.toggle("bad", bad);
}

async function ask(path, body) {
  const headers = {};
  if (body) headers["Content-Type"] = "application/json";
  if ($("key").value) headers["Authorization"] = "Bearer " + $("key").value;
  const answer = await fetch(path, {method: body ? "POST" : "GET", headers,
                                    body: body && JSON.stringify(body)});
  if (answer.status === 401) {
    $("key-label").hidden = false;
    throw new Error("This server asks for an API key.");
  }
  if (answer.status === 403) $("key-label").hidden = false; // another key may
  const text = await answer.text();
  let read = null;
  try { read = JSON.parse(text); } catch { /* plain text */ }
  if (!answer.ok) {
    const error = read && read.error;
    throw new Error((error && (error.message || error)) || text || answer.statusText);
  }
  return read;
}

// ---- Asking

async function search(query) {
  const body = {query, collection: $("collection").value, top: Number($("top").value) || 10, session};
  if ($("pipeline").value) body.pipeline = $("pipeline").value;
  if ($("explain").checked) body.explain = true;
  const answer = await ask("v1/search", body);
  answered = answer.recorded ? answer.search : null;
  const time = answer.latency_ms;
  const notes = [`${answer.candidates} candidates in ${time.first.toFixed(0)} ms`];
  if (time.rerank)
    notes.push(`reranked in ${time.rerank.toFixed(0)} ms` + (time.stages.length > 1
      ? ` (${time.stages.map(ms => ms.toFixed(0)).join(" + ")})` : ""));
  if (answer.cached) notes.push(`${answer.cached} of ${answer.scored} scores from the cache`);
  for (const reason of [answer.degraded, answer.rerank_skipped])
    if (reason) notes.push("not reranked: " + reason);
  say(notes.join(" · "));
  const other = $("versus").value ? await rivals(body) : null;
  return answer.hits.map(hit => ({
    name: hit.title || hit.document, text: hit.text, document: hit.document, after: hit.rank,
    before: other ? other.get(hit.document) : hit.rank_first,
    spans: hit.explanation ? spans(hit) : null,
    scores: [hit.heading, hit.rank_bm25 && `bm25 #${hit.rank_bm25}`,
             hit.rank_dense && `dense #${hit.rank_dense} (${hit.score_dense.toFixed(3)})`,
             hit.probability !== null && `probability ${hit.probability.toFixed(3)}`,
             hit.truncated && "its end was not seen"].filter(Boolean).join(" · "),
  }));
}

// Where the other pipeline puts each document.
async function rivals(body) {
  const answer = await ask("v1/search", {...body, pipeline: $("versus").value, explain: false, top: 100,
                                         record: false});
  return new Map(answer.hits.map(hit => [hit.document, hit.rank]));
}

// What late interaction found in the passage, as places in the string; the server counts bytes.
function spans(hit) {
  const bytes = new TextEncoder().encode(hit.text), decoder = new TextDecoder();
  const at = byte => decoder.decode(bytes.subarray(0, byte)).length;
  return hit.explanation.matches.filter(m => m.end > m.begin && m.query_end > m.query_begin)
    .map(m => [at(m.begin), at(m.end)]).sort((a, b) => a[0] - b[0]);
}

async function rank(query) {
  const texts = $("passages").value.split("\n").map(line => line.trim()).filter(Boolean);
  if (!texts.length) throw new Error("There are no passages to rank.");
  const begun = performance.now();
  const answer = await ask("tei/rerank", {query, texts});
  answered = null;
  say(`${texts.length} passages in ${(performance.now() - begun).toFixed(0)} ms`);
  return answer.map((one, place) => ({
    name: texts[one.index], text: texts[one.index], before: one.index + 1, after: place + 1,
    scores: `probability ${one.score.toFixed(3)}`,
  }));
}

// ---- Showing

function words(text) {
  return new Set((text.toLowerCase().match(/[\p{L}\p{N}]{3,}/gu) || []));
}

// The passage, marked where late interaction found the question, or the question's words are.
function passage(text, asked, found) {
  const shown = element("p");
  if (found) {
    let end = 0;
    for (const [from, to] of found) {
      if (from < end) continue;
      shown.append(text.slice(end, from), element("mark", text.slice(from, to)));
      end = to;
    }
    shown.append(text.slice(end));
    return shown;
  }
  for (const part of text.split(/([\p{L}\p{N}]+)/u))
    shown.append(asked.has(part.toLowerCase()) ? element("mark", part) : part);
  return shown;
}

// Tells the server what became of a hit, where it records that.
async function tell(type, hit, seconds) {
  if (!answered) return;
  const event = {search: answered, type, document: hit.document};
  if (seconds !== undefined) event.seconds = seconds;
  try { await ask("v1/events", event); } catch (error) { say(error.message, true); }
}

function votes(hit) {
  const made = element("span", undefined, "votes");
  for (const [type, sign, label] of [["up", "✓", "right"], ["down", "✗", "wrong"]]) {
    const button = element("button", sign);
    button.type = "button";
    button.setAttribute("aria-label", `this is ${label}`);
    button.addEventListener("click", event => {
      event.stopPropagation();
      tell(type, hit);
      for (const other of made.children) other.setAttribute("aria-pressed", String(other === button));
    });
    made.append(button);
  }
  return made;
}

function move(hit) {
  if (!hit.before) return ["up", "new"];
  const by = hit.before - hit.after;
  return by > 0 ? ["up", `▲ ${by}`] : by < 0 ? ["down", `▼ ${-by}`] : ["", "="];
}

function item(hit, place, detailed, asked) {
  const li = element("li");
  const line = element("span", undefined, "line");
  const [way, text] = move(hit);
  line.append(`${place}. `, element("b", hit.name));
  li.dataset.hit = hits.indexOf(hit);
  li.append(line);
  if (detailed) {
    li.tabIndex = 0;
    li.setAttribute("aria-expanded", "false");
    const scores = element("span", undefined, "line scores");
    scores.append(element("span", text, "move " + way), " " + hit.scores);
    const full = passage(hit.text, asked, hit.spans);
    full.hidden = true;
    if (answered) scores.append(votes(hit));
    li.append(scores, full);
  }
  return li;
}

function light(index, on) {
  for (const marked of document.querySelectorAll(`[data-hit="${index}"]`))
    marked.classList.toggle("lit", on);
}

function draw() {
  const lines = $("lines"), box = lines.getBoundingClientRect();
  lines.replaceChildren();
  for (const left of $("before").children) {
    const right = $("after").querySelector(`[data-hit="${left.dataset.hit}"]`);
    if (!right) continue;
    const middle = one => {
      const r = one.querySelector(".line").getBoundingClientRect();
      return r.top + r.height / 2 - box.top;
    };
    const a = middle(left), b = middle(right), w = box.width;
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", `M0 ${a} C${w / 2} ${a} ${w / 2} ${b} ${w} ${b}`);
    path.setAttribute("class", move(hits[left.dataset.hit])[0]);
    path.dataset.hit = left.dataset.hit;
    lines.append(path);
  }
}

function show(query) {
  const asked = words(query);
  const by = key => hits.filter(hit => hit[key]).sort((a, b) => a[key] - b[key]);
  const two = ranked === "search" && $("versus").value;
  $("left").textContent = two || "Before";
  $("right").textContent = two ? $("pipeline").value || "as served" : "After";
  $("before").replaceChildren(...by("before").map(hit => item(hit, hit.before, false, asked)));
  $("after").replaceChildren(...by("after").map(hit => item(hit, hit.after, true, asked)));
  $("result").hidden = ranked !== mode || hits.length === 0;
  if (!hits.length) say("Nothing was found.");
  draw();
}

function toggle(li) {
  const text = li.querySelector("p");
  if (!text) return;
  text.hidden = !text.hidden;
  const hit = hits[li.dataset.hit];
  if (!text.hidden) {
    hit.opened = performance.now();
    tell("click", hit);
  } else if (hit.opened) {
    tell("dwell", hit, (performance.now() - hit.opened) / 1000);
  }
  li.setAttribute("aria-expanded", String(!text.hidden));
  draw();
}

// ---- Events

async function submit(event) {
  event.preventDefault();
  const query = $("query").value.trim();
  if (!query) return;
  say("…");
  try {
    const asked = mode;
    hits = asked === "search" ? await search(query) : await rank(query);
    ranked = asked;
    show(query);
  } catch (error) {
    say(error.message, true);
  }
}

async function report() {
  try {
    say("…");
    Report.show($("report"), await ask("v1/report?days=" + $("days").value));
    say("");
  } catch (error) {
    $("report").replaceChildren();
    say(error.message, true);
  }
}

function choose(wanted) {
  mode = wanted;
  $("result").hidden = wanted !== ranked || hits.length === 0;
  $("form").hidden = wanted === "report";
  if (wanted === "report") report();
  else say("");
  for (const name of ["search", "paste", "report"]) {
    $("tab-" + name).setAttribute("aria-selected", String(name === wanted));
    for (const part of document.querySelectorAll(".of-" + name)) part.hidden = name !== wanted;
  }
  draw(); // the window may have another width since
}

async function begin() {
  choose("search");
  try {
    const {collections, pipelines, recorded} = await ask("v1/collections");
    $("collection").replaceChildren(...collections.map(c => new Option(c.name)));
    const fill = (list, names) => list.replaceChildren(list.options[0], ...names.map(name => new Option(name)));
    fill($("pipeline"), pipelines.slice(1));
    fill($("versus"), pipelines);
    $("tab-report").hidden = !recorded;
    if (!collections.length) choose("paste");
  } catch (error) {
    say(error.message, true);
  }
}

$("form").addEventListener("submit", submit);
$("tab-search").addEventListener("click", () => choose("search"));
$("tab-paste").addEventListener("click", () => choose("paste"));
$("tab-report").addEventListener("click", () => choose("report"));
$("days").addEventListener("change", report);
$("key").addEventListener("change", begin);
window.addEventListener("resize", draw);
for (const list of ["before", "after"]) {
  for (const [type, on] of [["mouseover", true], ["mouseout", false], ["focusin", true],
                            ["focusout", false]])
    $(list).addEventListener(type, event => {
      const li = event.target.closest("li");
      if (li) light(li.dataset.hit, on);
    });
}
$("after").addEventListener("click", event => {
  const li = event.target.closest("li");
  if (li && !getSelection().toString()) toggle(li);
});
document.addEventListener("keydown", event => {
  const here = document.activeElement;
  if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(here.tagName)) {
    event.preventDefault();
    $("query").focus();
  } else if (here.closest("#after")) {
    const next = event.key === "ArrowDown" ? here.nextElementSibling
               : event.key === "ArrowUp" ? here.previousElementSibling : null;
    if (next) { event.preventDefault(); next.focus(); }
    if (event.key === "Enter") toggle(here);
  }
});
begin();
