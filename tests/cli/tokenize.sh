# Lines and arguments as tokens; any bytes in, valid JSON out.
printf '%s\n' "a text" | assay tokenize --model "$ASSAY_MODELS/dense" --json |
    json '[list(d), len(d["tokens"]), d["tokens"][0]["offsets"][0], d["tokens"][0]["truncated"]]'
assay tokenize 'Sick pay, über' --json | json 'd["tokens"][0]["offsets"][-1]'
assay tokenize 'leave' --special --json | json 'd["tokens"][0]["texts"]'
assay tokenize 'leave' --pair 'notice' --json | json 'd["tokens"][0]["types"]'
assay tokenize 'leave and notice and leave' --max-tokens 2 --json |
    json '[len(d["tokens"][0]["ids"]), d["tokens"][0]["truncated"]]'
assay tokenize 'leave' --special | head -1
echo '-- lines: three texts, one of them empty, the last without a newline'
printf 'one\r\n\nthree' | assay tokenize --json | json '[len(t["ids"]) > 0 for t in d["tokens"]]'
echo '-- bytes that are no UTF-8, and NUL'
printf 'a\xff\xe2\x82b\n\0nul\n' | assay tokenize --json | json 'len(d["tokens"])'
echo '-- nothing'
assay tokenize --json </dev/null
echo '-- a megabyte in one line'
head -c 1000000 /dev/zero | tr '\0' x | assay tokenize --json | json '[t["offsets"][-1][1] for t in d["tokens"]]'
echo '-- a folder with only a tokenizer'
mkdir only && cp "$ASSAY_MODELS/dense/tokenizer.json" only
assay tokenize --model only 'leave' --json | json 'len(d["tokens"])'
echo '-- Unigram, as XLM-RoBERTa models have it'
assay tokenize --model "$GOLDEN/unigram/xlmr" 'The  name is ﬁne <mask>' --special
assay tokenize --model "$GOLDEN/unigram/xlmr" 'name' --pair 'first' --json |
    json '[d["tokens"][0]["texts"], d["tokens"][0]["types"]]'
head -c 1000000 /dev/zero | tr '\0' x | assay tokenize --model "$GOLDEN/unigram/xlmr" --json |
    json '[t["offsets"][-1][1] for t in d["tokens"]]'
echo '-- what is missing'
code assay tokenize --model nowhere x 2>&1 | cut -c1-30
mkdir empty
code assay tokenize --model empty x
mkdir spm && : >spm/sentencepiece.bpe.model
code assay tokenize --model spm x
