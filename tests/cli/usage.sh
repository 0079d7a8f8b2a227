# Command lines that make no sense: what is wrong, what would be right, exit 2.
code assay
code assay serch 'a question'
code assay xyzzy
code assay --frobnicate
code assay search
code assay search q --colection default
code assay search q --top
code assay search q --top=0
code assay search q --top 5x
code assay search q --top -1
code assay search q --top 99999999999999999999
code assay search q --retriever dens
code assay search q --b 1.5
code assay search q --k1 nan
code assay search q --k1 0x10
code assay search q --json=yes
code assay search -q
code assay rerank 'a passage'
code assay rerank --query q --run file
code assay rerank --query q --queries file
code assay rerank --run file
code assay rerank --query q --jsonl 'a passage'
code assay eval
code assay eval folder --qrels file
code assay eval --run file
code assay pull
code assay pull one two
code assay index
code assay index x --passage-tokens half
code assay info cross --collection x
code assay check everything
code assay help serach
