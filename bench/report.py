# SPDX-License-Identifier: Apache-2.0
"""What bench/rerank measured, as the tables and the plot of docs/performance.md."""
import os
import pathlib
import platform
import re
import statistics

import agreement

MARK = "<!-- bench/rerank, {}: {} -->"
TITLES = {"nq50": "50 passages of nq_qed for one question", "scifact50": "50 abstracts of scifact",
          "equal128": "50 pairs of exactly 128 tokens", "nq100": "100 passages of nq_qed",
          "nq20": "20 passages of nq_qed"}
RANKED = 0.01  # of tau that a peer may lose against assay and still rank as well


def about(options, config):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        text = file.read()
    def field(name):
        found = re.search(rf"^{name}\s*: (.*)$", text, re.M)
        return found.group(1) if found else ""
    flags = field("flags").split()
    kinds = [f for f in ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8") if f in flags]
    return {"cpu": field("model name") or platform.machine(),
            "family": f"family {field('cpu family')}, model {field('model')}", "kinds": kinds,
            "cores": len(os.sched_getaffinity(0)), "threads": options.threads, "rounds": options.rounds,
            "config": {k: config[k] for k in ("hidden_size", "intermediate_size", "num_hidden_layers",
                                              "model_type")}}


def row(*cells):
    return "| " + " | ".join(str(c) for c in cells) + " |"


def table(header, rows):
    return "\n".join([row(*header), row(*["---"] * len(header))] + [row(*r) for r in rows])


def ratios(numerator, denominator):
    values = sorted(a / b for a, b in zip(numerator, denominator))
    return statistics.median(values), values[0], values[-1]


def ratio_text(numerator, denominator):
    middle, low, high = ratios(numerator, denominator)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def limit_of(results, precision):
    """Operations a second of plain products; 0 where the CPU has no such."""
    values = [limit.get(precision, 0) for limit in results.get("limits", [])]
    return max(values, default=0)


def way_text(entry, threads):
    if entry.get("own"):
        return f"{threads} threads"
    settings = ", ".join(f"{k}={v}" for k, v in entry["environment"].items())
    kind = f"1 x {threads} threads" if entry["way"] == "threads" else f"{threads} x 1 thread"
    return f"{kind}, batches of {entry['batch']}" + (f", {settings}" if settings else "")


def median(entry):
    return statistics.median(entry["wall"])


def tau_of(results, key):
    found = results.get("agreement", {}).get(key, {})
    values = [v["tau"] for v in found.values()]
    return min(values) if values else None


def complete(results, workload):
    """Engines with a time in every round, fastest first."""
    engines = results["rounds"][workload]["engines"]
    most = max(len(e["wall"]) for e in engines.values())
    return sorted(((k, dict(e, own=k.startswith("assay"))) for k, e in engines.items() if len(e["wall"]) == most),
                  key=lambda item: median(item[1]))


def workload_table(results, workload):
    config, lengths = results["about"]["config"], sum(results["rounds"][workload]["tokens"], [])
    needed, tokens = agreement.operations(lengths, config), sum(lengths)
    engines = complete(results, workload)
    best = min((e for e in engines if e[1]["own"]), key=lambda item: median(item[1]))
    rows = []
    for key, entry in engines:
        seconds, precision = median(entry), key.rsplit(" ", 1)[1].split("-")[0]
        limit = limit_of(results, precision)
        rows.append((f"**{key}**" if entry["own"] else key, way_text(entry, results["about"]["threads"]),
                     f"{1e3 * seconds:.0f} ({1e3 * min(entry['wall']):.0f} to {1e3 * max(entry['wall']):.0f})",
                     "1" if key == best[0] else ratio_text(entry["wall"], best[1]["wall"]),
                     f"{tokens / seconds:,.0f}", f"{1e-9 * needed / seconds:.0f}",
                     f"{100 * needed / seconds / limit:.0f} %" if limit else ""))
    return "\n".join([f"### {TITLES[workload]}", "", f"{len(lengths)} pairs, {tokens:,} tokens.", "", table(
        ("engine", "run as", "median ms (range)", f"times {best[0]}'s", "tokens/s", "GOP/s", "of the limit"),
        rows)])


def summary(results):
    """assay's fastest beside the fastest peer that ranks as well; the same in fp32."""
    rows = []
    for workload in results["rounds"]:
        engines = complete(results, workload)
        own = [e for e in engines if e[1]["own"]]
        peers = [e for e in engines if not e[1]["own"]]
        tau = tau_of(results, own[0][0])
        ranked = [e for e in peers if tau is not None and (tau_of(results, e[0]) or 0) >= tau - RANKED]
        cells = [TITLES[workload]]
        for mine, theirs in ((own[:1], peers), (own[:1], ranked),
                             ([e for e in own if e[0].endswith("fp32")], [e for e in peers if e[0].endswith("fp32")])):
            cells.append(f"{theirs[0][0]}: {ratio_text(theirs[0][1]['wall'], mine[0][1]['wall'])}"
                         if mine and theirs else "")
        rows.append(cells)
    return table(("workload", "fastest peer of any precision, its time over assay's fastest",
                  f"the same, of peers that rank as well (tau within {RANKED} of assay's)",
                  "fastest fp32 peer, over assay fp32"), rows)


def engines_table(results):
    rows, ranks = [], results.get("agreement", {})
    for key in results.get("first", {}):
        start, rank = results.get("start", {}).get(key), ranks.get(key, {})
        cells = [key]
        cells += [f"{statistics.median(start['seconds']):.2f}", f"{start['bytes'] / 2**20:.0f}"] if start else ["", ""]
        for name in ("nq_qed", "scifact"):
            entry = next((v for k, v in rank.items() if k.startswith(name)), None)
            cells += [f"{entry['tau']:.4f}", f"{entry['top10']:.3f}",
                      f"{entry['ndcg_difference']:+.4f}"] if entry else ["", "", ""]
        rows.append(cells)
    return table(("engine", "cold start, s", "memory, MiB", "tau nq_qed", "top 10", "nDCG@10", "tau scifact",
                  "top 10", "nDCG@10"), rows)


def own_agreement(results):
    rows = []
    for key, sets in results.get("agreement", {}).items():
        for name, entry in sets.items():
            if key.startswith("assay") and key != entry["beside"]:
                rows.append((key, name.rsplit("-", 1)[0], entry["questions"], entry["beside"], f"{entry['tau']:.4f}",
                             f"{entry['top10']:.3f}", f"{entry['ndcg']:.4f}", f"{entry['ndcg_difference']:+.4f}",
                             f"{entry['largest_error']:.2g}"))
    return table(("engine", "collection", "questions", "beside", "tau", "top 10 in common", "nDCG@10", "difference",
                  "largest difference of logits"), rows)


def scaling_table(results):
    found = results["scaling"]
    counts = [c for c in next(iter(found.values())) if c != "tokens"]
    rows = [[name] + [f"{1e3 * min(entry[c]):,.{0 if min(entry[c]) > 0.01 else 1}f}" for c in counts] for name, entry in found.items()]
    lines = [table(["ms for so many passages"] + counts, rows), ""]
    for precision in ("fp32", "int8", "bf16"):
        one, many = (found.get(f"assay {precision}, {way}") for way in ("one thread", "threads"))
        if one and many:
            gains = [min(one[c]) / min(many[c]) for c in counts]
            lines.append(f"- assay {precision}: {results['about']['threads']} threads are "
                         f"{gains[counts.index('50')]:.2f} times as fast as one with 50 passages, "
                         f"{gains[-1]:.2f} with {counts[-1]}.")
    return "\n".join(lines)


def page(results):
    """The measured part of docs/performance.md."""
    if "about" not in results:
        return "nothing measured yet"
    where = results["about"]
    limits = ", ".join(f"{p} {1e-9 * limit_of(results, p):.0f} GOP/s" for p in ("fp32", "bf16", "int8")
                       if limit_of(results, p))
    parts = [f"CPU: {where['cpu']} ({where['family']}; {', '.join(where['kinds'])}), {where['cores']} cores, "
             f"{where['threads']} threads. Limit, plain products of assay's own kernels on all threads: {limits}."]
    versions = []
    if results.get("rounds"):
        first = next(iter(results["rounds"].values()))
        versions = sorted({e["version"] for e in first["engines"].values()})
        lengths, config = sum(first["tokens"], []), where["config"]
        more = agreement.all_operations(lengths, config) / agreement.operations(lengths, config)
        parts += ["Versions: " + "; ".join(versions) + ".",
                  f"{where['rounds']} rounds. An engine that computes the last layer for all tokens does "
                  f"{more:.2f} times the operations counted here.", summary(results)]
        parts += [workload_table(results, w) for w in results["rounds"]]
    if results.get("start") or results.get("agreement"):
        parts += ["### Cold start, memory, rankings", engines_table(results)]
    if results.get("agreement"):
        parts += [own_agreement(results)]
    if results.get("scaling"):
        parts += ["### Cost against passages", scaling_table(results)]
    if results.get("dropped"):
        parts += ["Left out: " + "; ".join(f"{k} ({v})" for k, v in results["dropped"].items()) + "."]
    return "\n\n".join(parts)


def write(path, results, text):
    """Puts the page between its marks in `path`, and the plot beside it."""
    old = path.read_text(encoding="utf-8")
    begin, end = (MARK.format(results["about"]["config"]["model_type"], word) for word in ("begin", "end"))
    if begin not in old or end not in old:
        raise SystemExit(f"{path}: has no lines {begin} and {end}")
    before, rest = old.split(begin)
    after = rest.split(end)[1]
    if plot(results, path.with_name("performance.svg")):
        text += "\n\n![Time of every engine, and time against passages](performance.svg)"
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def plot(results, path):
    try:
        import matplotlib
    except ImportError:
        return path.exists()
    if not results.get("rounds") or not results.get("scaling"):
        return False
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "assay", "font.size": 8})
    from matplotlib import pyplot
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    engines = complete(results, "nq50")[::-1]
    left.barh([k for k, _ in engines], [1e3 * median(e) for _, e in engines],
              color=["#c0392b" if e["own"] else "#7f8c8d" for _, e in engines])
    left.set_xlabel("ms for " + TITLES["nq50"])
    for name, entry in results["scaling"].items():
        counts = [c for c in entry if c != "tokens"]
        right.loglog([int(c) for c in counts], [1e3 * min(entry[c]) for c in counts],
                     "o-" if name.startswith("assay") else "s--", markersize=3, linewidth=1, label=name)
    right.set_xlabel("passages")
    right.set_ylabel("ms")
    right.grid(True, which="major", linewidth=0.3)
    right.legend(fontsize=7)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    return True
