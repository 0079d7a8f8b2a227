# A full disk, a closed stream, a reader that leaves: no result is lost silently.
assay help >/dev/full
echo "exit $?"
assay rerank --query q a b --json >/dev/full
echo "exit $?"
yes leave | head -2000 | assay tokenize >/dev/full
echo "exit $?"
assay help >&-
echo "exit $?"
assay index "$DATA/beir" --collection beir --model none --json >&- 2>errors
grep -c 'standard output' errors
code assay check
yes leave | head -3000 | assay embed | head -1 | wc -l
yes leave | head -20000 | assay tokenize | head -1
assay tokenize leave <&- | wc -l
echo '-- no colours in a pipe or a file'
assay search leave --collection beir --rerank none | grep -c $'\033'
:
