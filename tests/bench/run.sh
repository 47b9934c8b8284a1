#!/usr/bin/env bash
# Times a training step of unroll against hand-written BPTT (handcoded.cpp), in alternation, at six sizes and three
# cells, and prints the medians as a table in Markdown.
#   bash tests/bench/run.sh [--rounds n] [--seconds s] [--impl custom|builtin] [--f64] [--threads n] [--size 0-5]
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../.ci/build.sh"

rounds=5 seconds=0.5 impl=custom threads=1 only='' extra=()
while [ $# -gt 0 ]; do
  case $1 in
  --rounds) rounds=$2 && shift 2 ;;
  --seconds) seconds=$2 && shift 2 ;;
  --impl) impl=$2 && shift 2 ;;
  --threads) threads=$2 && shift 2 ;;
  --size) only=$2 && shift 2 ;;
  --f64) extra=(--f64) && shift ;;
  *) echo "unknown option $1" >&2 && exit 2 ;;
  esac
done

install_packages "${packages[@]}"
configure build
compile build bench_unroll
compile build handcoded

# The peer gets the kernels that unroll finds by itself.
kernel=$("$root/build/tests/bench/bench_unroll" --T 1 --B 1 --I 1 --H 1 --O 1 --seconds 0.01 | sed 's/.*"blas":"//; s/".*//')
figure() { sed "s/.*\"$1\":\"\{0,1\}//; s/[\",}].*//"; }
median() { sort -g | awk '{ x[NR] = $1 } END { print (NR % 2 ? x[(NR + 1) / 2] : (x[NR / 2] + x[NR / 2 + 1]) / 2) }'; }

echo "Median of $rounds alternated rounds of $seconds s, $threads thread(s), impl $impl ${extra[*]-}, kernels $kernel."
echo
echo '| T,B,I,H,O | cell | hand-written us | unroll us | ratio | ratios min - max |'
echo '|---|---|---|---|---|---|'
sizes=('3 1 1 4 1' '100 1 1 32 1' '1000 1 8 64 1' '28 32 28 64 10' '64 32 64 128 64' '64 64 256 512 64')
for index in "${!sizes[@]}"; do
  if [ -n "$only" ] && [ "$only" != "$index" ]; then continue; fi
  read -r t b i h o <<<"${sizes[$index]}"
  for cell in rnn gru lstm; do
    arguments=(--cell "$cell" --T "$t" --B "$b" --I "$i" --H "$h" --O "$o" --threads "$threads" --seconds "$seconds"
      "${extra[@]}")
    theirs=() ours=() ratios=()
    for _ in $(seq "$rounds"); do
      hand=$(OPENBLAS_CORETYPE=$kernel "$root/build/tests/bench/handcoded" "${arguments[@]}" | figure us_per_step)
      own=$("$root/build/tests/bench/bench_unroll" --impl "$impl" "${arguments[@]}" | figure us_per_step)
      theirs+=("$hand") ours+=("$own")
      ratios+=("$(awk "BEGIN { print $own / $hand }")")
    done
    printf '%s\n' "${ratios[@]}" | sort -g >"$root/build/ratios"
    printf '| %s | %s | %.2f | %.2f | %.3f | %.2f - %.2f |\n' "$t,$b,$i,$h,$o" "$cell" \
      "$(printf '%s\n' "${theirs[@]}" | median)" "$(printf '%s\n' "${ours[@]}" | median)" \
      "$(median <"$root/build/ratios")" "$(head -1 "$root/build/ratios")" "$(tail -1 "$root/build/ratios")"
  done
done
