// SPDX-License-Identifier: Apache-2.0
// report.js: draws what `assay report --json` says, in the page and in a file of its own.
"use strict";

const Report = (() => {
  const SVG = "http://www.w3.org/2000/svg";

  function make(name, text, className) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  function draw(parent, name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  const percent = share => share === null ? "–" : (100 * share).toFixed(1) + " %";
  const number = (value, digits) => value === null ? "–" : value.toFixed(digits);

  function interval(of, digits) {
    if (!of.count) return "–";
    const mean = number(of.mean, digits);
    return of.low === null ? mean : `${mean} (${number(of.low, digits)} to ${number(of.high, digits)})`;
  }

  function tile(value, label) {
    const made = make("div", undefined, "tile");
    made.append(make("b", value), make("span", label));
    return made;
  }

  function tiles(r) {
    const made = make("div", undefined, "tiles");
    const add = (value, label) => made.append(tile(value, label));
    add(r.searches.toLocaleString("en"), "searches");
    add(r.clicked.toLocaleString("en"), "with a click");
    add(interval(r.lift, 2), "places that clicked documents moved up");
    add(interval(r.lift_weighted, 2), "the same, clicks weighed by propensity");
    add(`${interval(r.mrr_before, 3)} → ${interval(r.mrr_after, 3)}`, "click MRR before → after");
    add(percent(r.top_changed), `answers whose top ${r.top} changed`);
    add(interval(r.correlation, 2), "rank correlation (tau)");
    add(percent(r.reformulated), "asked again in other words");
    add(`${number(r.rerank_ms_median, 1)} / ${number(r.rerank_ms_95, 1)} ms`, "reranking, median / 95 %");
    add(percent(r.truncated), "passages cut for the reranker");
    if (r.up + r.down) add(`${r.up} / ${r.down}`, "said right / wrong");
    if (r.dwells) add(percent(r.satisfied), "stayed 30 s and more");
    return made;
  }

  function chart(title, width, height) {
    const figure = make("figure");
    const svg = draw(figure, "svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title});
    figure.prepend(make("figcaption", title));
    return [figure, svg];
  }

  // Bars: [{label, value, mark}], mark a second value on the same scale.
  function bars(title, data) {
    const width = 480, height = 180, foot = 18, most = Math.max(...data.map(d => Math.max(d.value, d.mark || 0)));
    const [figure, svg] = chart(title, width, height);
    const step = width / data.length;
    data.forEach((d, i) => {
      const high = most > 0 ? (height - foot - 14) * d.value / most : 0;
      draw(svg, "rect", {x: i * step + 1, y: height - foot - high, width: step - 2, height: high, class: d.kind || "bar"});
      if (d.mark !== undefined) {
        const y = height - foot - (height - foot - 14) * d.mark / most;
        draw(svg, "line", {x1: i * step + 1, x2: (i + 1) * step - 1, y1: y, y2: y, class: "mark"});
      }
      draw(svg, "text", {x: (i + 0.5) * step, y: height - 5, "text-anchor": "middle"}, d.label);
      if (d.text) draw(svg, "text", {x: (i + 0.5) * step, y: height - foot - high - 3, "text-anchor": "middle"}, d.text);
    });
    return figure;
  }

  // Lines over days: [{name, kind, values}], null where there is none.
  function lines(title, days, series, top) {
    const width = 480, height = 180, foot = 18, left = 4;
    const [figure, svg] = chart(title, width, height);
    const most = top || Math.max(1e-9, ...series.flatMap(s => s.values.filter(v => v !== null)));
    const x = i => left + (width - 2 * left) * (days.length > 1 ? i / (days.length - 1) : 0.5);
    const y = v => 14 + (height - foot - 14) * (1 - v / most);
    for (const s of series) {
      const points = s.values.map((v, i) => v === null ? null : `${x(i)} ${y(v)}`).filter(Boolean);
      draw(svg, "path", {d: "M" + points.join(" L"), class: s.kind, fill: "none"});
      for (const p of points) {
        const [cx, cy] = p.split(" ");
        draw(svg, "circle", {cx, cy, r: 2.5, class: s.kind});
      }
    }
    draw(svg, "text", {x: left, y: height - 4}, days[0]);
    if (days.length > 1) draw(svg, "text", {x: width - left, y: height - 4, "text-anchor": "end"}, days[days.length - 1]);
    draw(svg, "text", {x: left, y: 10}, most.toPrecision(2));
    const key = make("p", undefined, "key");
    for (const s of series) key.append(make("span", s.name, s.kind));
    figure.append(key);
    return figure;
  }

  function moves(r) {
    const middle = (r.moves.length - 1) / 2;
    return bars("Clicks by places that reranking moved the document up", r.moves.map((value, i) => ({
      value, label: i - middle, kind: i < middle ? "down" : i > middle ? "up" : "bar", text: value || "",
    })));
  }

  function ranks(r) {
    const data = r.click_counts.map((clicks, i) => ({
      label: i + 1, value: r.shown_counts[i] ? clicks / r.shown_counts[i] : 0,
      mark: r.click_counts[0] && r.shown_counts[0]
        ? r.propensities[i] * r.click_counts[0] / r.shown_counts[0] : 0,
    }));
    return bars("Click rate by rank; line: what the propensity alone would give"
                + (r.estimated ? " (fitted)" : " (1/rank assumed)"), data);
  }

  function table(heads, rows) {
    const made = make("table"), head = make("tr");
    for (const name of heads) head.append(make("th", name));
    made.append(head);
    for (const row of rows) {
      const tr = make("tr");
      for (const cell of row) tr.append(make("td", cell));
      made.append(tr);
    }
    return made;
  }

  function verdict(t) {
    if (t.better !== "none") return `users prefer ${t[t.better]} (p = ${t.p_value.toPrecision(2)})`;
    return t.p_value === null ? "nothing to judge by yet" : `no difference shown (p = ${t.p_value.toPrecision(2)})`;
  }

  function trials(r) {
    return table(["Pipelines", "How", "First", "Second", "Verdict"], r.trials.map(t => [
      `${t.first} against ${t.second}`, t.trial,
      t.trial === "split" ? interval(t.mrr_first, 3) : `won ${t.wins_first}`,
      t.trial === "split" ? interval(t.mrr_second, 3) : `won ${t.wins_second}, ${t.ties} ties`,
      verdict(t),
    ]));
  }

  function show(root, r) {
    root.replaceChildren(tiles(r));
    if (!r.read) return;
    const charts = make("div", undefined, "charts"), days = r.days.map(d => d.date);
    if (r.clicked) {
      charts.append(lines("Click MRR by day", days, [
        {name: "before reranking", kind: "before", values: r.days.map(d => d.mrr_before)},
        {name: "after", kind: "after", values: r.days.map(d => d.mrr_after)}], 1));
      charts.append(moves(r), ranks(r));
    }
    charts.append(lines("Searches by day", days, [
      {name: "searches", kind: "after", values: r.days.map(d => d.searches)},
      {name: "with a click", kind: "before", values: r.days.map(d => d.clicked)}]));
    charts.append(lines("Reranking, milliseconds by day", days, [
      {name: "mean", kind: "after", values: r.days.map(d => d.rerank_ms)}]));
    root.append(charts);
    const add = (title, part) => root.append(make("h2", title), part);
    if (r.trials.length) add("Comparisons", trials(r));
    if (r.unseen.length)
      add(`Clicked, but never retrieved for the question (${r.unseen_clicks} clicks)`,
          table(["Document", "Clicks"], r.unseen.map(u => [u.document, u.clicks])));
    if (r.hurt.length)
      add("Questions whose clicks reranking had moved down",
          table(["Question", "Searches", "Clicks", "Places"],
                r.hurt.map(q => [q.text || q.id, q.searches, q.clicks, number(q.lift, 1)])));
  }

  return {show};
})();
