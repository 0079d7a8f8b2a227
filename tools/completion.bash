# SPDX-License-Identifier: Apache-2.0
# Completion of assay for bash. Made by `assay help --completion`; do not edit.
_assay() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    local verb=${COMP_WORDS[1]} words=
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="index search rerank embed tokenize eval synth mine train pipeline info check pull quantize bench serve report doctor help --help --version"
        COMPREPLY=($(compgen -W "$words" -- "$word"))
        return
    fi
    case $verb:$before in
    index:--late-codes) words="as-is i8 b4 b2 b1 f16" ;;
    index:--word-index) words="auto yes no" ;;
    index:--index) words="as-is auto flat hnsw ivf" ;;
    index:--codes) words="as-is f32 f16 i8 b1" ;;
    search:--retriever) words="auto bm25 dense hybrid late" ;;
    search:--fusion) words="zscore rrf minmax" ;;
    search:--precision) words="auto fp32 int8 bf16" ;;
    search:--llm-mode) words="listwise pointwise yesno pairwise" ;;
    rerank:--rerank) words="cross llm" ;;
    rerank:--precision) words="auto fp32 int8 bf16" ;;
    rerank:--llm-mode) words="listwise pointwise yesno pairwise" ;;
    embed:--precision) words="auto fp32 int8 bf16" ;;
    embed:--role) words="none query passage" ;;
    eval:--split) words="test dev train" ;;
    eval:--retriever) words="auto bm25 dense hybrid late" ;;
    eval:--fusion) words="zscore rrf minmax" ;;
    eval:--precision) words="auto fp32 int8 bf16" ;;
    eval:--llm-mode) words="listwise pointwise yesno pairwise" ;;
    synth:--from) words="llm sentences" ;;
    synth:--retriever) words="auto bm25 dense hybrid" ;;
    mine:--split) words="train dev test" ;;
    mine:--retriever) words="auto bm25 dense hybrid" ;;
    train:--loss) words="listwise binary pairwise margin graded margin-mse distil" ;;
    train:--schedule) words="linear cosine constant" ;;
    train:--precision) words="fp32 bf16" ;;
    pipeline:--split) words="train dev test" ;;
    info:--precision) words="auto fp32 int8 bf16" ;;
    bench:--precision) words="auto fp32 int8 bf16" ;;
    serve:--compare-by) words="interleave split" ;;
    serve:--precision) words="auto fp32 int8 bf16" ;;
    esac
    if [ -n "$words" ]; then
        COMPREPLY=($(compgen -W "$words" -- "$word"))
        return
    fi
    [[ $word == -* ]] || return
    case $verb in
    index) words="--collection --model --passage-tokens --overlap --id-field --title-field --text-field --late --split --late-codes --late-pool --prune --word-index --rebuild --index --codes --tune --tune-queries --threads --home --store --json --help" ;;
    search) words="--collection --top --filter --no-cache --explain --pipeline --retriever --fusion --retrieve --rerank --rerank-top --rerank-long --precision --weight-bm25 --weight-dense --weight-first --weight-rerank --k1 --b --ef --nprobe --exact --deadline-ms --min-probability --threads --llm-url --llm-model --llm-mode --home --store --json --help" ;;
    rerank) words="--query --rerank --model --top --jsonl --text-field --id-field --precision --max-tokens --threads --run --collection --queries --output --llm-url --llm-model --llm-mode --home --store --json --help" ;;
    embed) words="--model --precision --role --max-tokens --threads --home --store --json --help" ;;
    tokenize) words="--model --special --pair --max-tokens --home --store --json --help" ;;
    eval) words="--collection --model --split --limit --seed --measure --filter --per-query --cache --batch --output --qrels --run --pipeline --retriever --fusion --retrieve --rerank --rerank-top --rerank-long --precision --weight-bm25 --weight-dense --weight-first --weight-rerank --k1 --b --ef --nprobe --exact --deadline-ms --min-probability --threads --llm-url --llm-model --llm-mode --home --store --json --help" ;;
    synth) words="--out --from --kinds --examples --passages --each --within --retriever --llm-url --llm-model --parallel --price-input --price-output --seed --threads --home --store --json --help" ;;
    mine) words="--output --split --collection --queries --qrels --model --retriever --retrieve --negatives --random --skip --share --teacher --cut-query --seed --threads --home --store --json --help" ;;
    train) words="--data --random-negatives --model --out --loss --distil --dev --also --int8 --dev-share --dev-queries --minutes --epochs --steps --batch --negatives --max-tokens --dimensions --split --part-tokens --rate --schedule --warmup --decay --clip --dropout --layer-rate --train-embeddings --lora --recompute --precision --binary --margin --temperature --labels --evaluations --patience --checkpoint-steps --seed --threads --force --restart --home --store --json --help" ;;
    pipeline) words="--output --collection --split --limit --seed --tolerance --home --store --json --help" ;;
    info) words="--collection --precision --home --store --json --help" ;;
    check) words="--home --store --json --help" ;;
    pull) words="--revision --endpoint --to --home --store --json --help" ;;
    quantize) words="--force --home --store --json --help" ;;
    bench) words="--profile --repeats --jsonl --precision --max-tokens --threads --home --store --json --help" ;;
    serve) words="--config --host --port --socket --model --collection --write --rerank --pipeline --record --record-text --record-days --compare --compare-by --precision --keys --add-key --certificate --private-key --threads --workers --batch-tokens --queue --max-body --max-documents --connections --timeout --drain --traces --quiet --home --store --json --help" ;;
    report) words="--days --collection --pipeline --top --html --qrels --queries --home --store --json --help" ;;
    doctor) words="--model --host --port --home --store --json --help" ;;
    help) words="--man --completion --home --store --json --help" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _assay assay
