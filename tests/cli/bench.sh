# What is measured differs; what is said, and that the parts make the whole, does not.
assay bench --json | json 'sorted(d)'
assay bench cross --threads 1 --repeats 3 --profile --json |
    json '[d["threads"], d["repeats"], d["pairs"], d["tokens"] > 2000, sorted(d["seconds"]),
           d["seconds"]["least"] <= d["seconds"]["median"] <= d["seconds"]["most"],
           abs(d["tokens_per_second"] * d["seconds"]["median"] / d["tokens"] - 1) < 1e-6]'
assay bench --repeats 2 --profile --json --precision int8 |
    json '[[p["operation"] for p in d["profile"]], abs(sum(p["share"] for p in d["profile"]) - 1) < 1e-6, "waiting" in d]'
assay bench --repeats 2 --profile --json --precision fp32 |
    json '[p["operation"] for p in d["profile"] if "gops" in p]'
assay bench --repeats 1 --profile | sed 's/[0-9][0-9.,]*/N/g; s/  */ /g' | sed '1d'
echo '-- pairs of others: counted once where they are equal'
printf '%s\n' '{"query":"q","passages":["one","two","one"]}' '' '{"query":"q","passages":["one"]}' >pairs.jsonl
assay bench --jsonl --json <pairs.jsonl | json '[d["pairs"], "profile" in d]'
echo '-- what cannot be measured'
code assay bench dense --repeats 1
code assay bench nowhere 2>&1 | cut -c1-40
code assay bench --jsonl </dev/null
for line in '[' '{"query":1,"passages":["a"]}' '{"query":"q"}' '{"query":"q","passages":[]}' '{"query":"q","passages":["a",1]}'; do
    printf '\n%s\n' "$line" | code assay bench --jsonl
done
code assay bench --repeats 0
