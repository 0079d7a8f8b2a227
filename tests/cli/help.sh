# Help on standard output, exit 0; the manual and the completion that are
# checked in are what the program prints today.
assay --version | grep -c '^assay [0-9]'
assay help | head -3
assay --help | diff - <(assay help) && echo same
for verb in $(assay help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
    assay help "$verb" | head -1
    assay "$verb" --help | cmp - <(assay help "$verb")
    assay help "$verb" | grep -c '^  assay' | sed 's/^[1-9][0-9]*$/examples/'
done
assay help --man | diff "$ROOT/docs/assay.1" - && echo 'docs/assay.1 is up to date'
assay help --completion | diff "$ROOT/tools/completion.bash" - && echo 'tools/completion.bash is up to date'
source "$ROOT/tools/completion.bash"
COMP_WORDS=(assay search --retriever d) COMP_CWORD=3
_assay
echo "${COMPREPLY[@]}"
