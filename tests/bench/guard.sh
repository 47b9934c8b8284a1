#!/usr/bin/env bash
# Fails if a training step takes more instructions than guard_limits.txt allows, or anything from the heap. Instructions,
# since seconds waver; at batch 1 and 4 units, where the tape's own cost is most of the step and BLAS' hardly counts.
#   bash tests/bench/guard.sh             # compares
#   bash tests/bench/guard.sh --record    # writes the limits: 5 % above what is counted now
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../.ci/build.sh"

limits=$root/tests/bench/guard_limits.txt
record=false
case ${1-} in
'') ;;
--record) record=true ;;
*) echo "usage: bash tests/bench/guard.sh [--record]" >&2 && exit 2 ;;
esac

# Portable: valgrind knows no AVX-512, and every machine counts the same.
install_packages "${packages[@]}" valgrind
configure build-guard -DUNROLL_PORTABLE=ON -DCMAKE_BUILD_TYPE=Release '-DCMAKE_CXX_FLAGS_RELEASE=-O2 -DNDEBUG -DBENCH_GUARD' \
  -DUNROLL_BUILD_TESTS=OFF -DUNROLL_BUILD_EXAMPLES=OFF
compile build-guard bench_unroll

steps=20
# count CELL T: instructions of a steady training step over T time steps.
count() {
  local output
  output=$(OPENBLAS_CORETYPE=Nehalem OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 valgrind --tool=callgrind \
    --callgrind-out-file=/dev/null --toggle-collect='counted_steps*' "$root/build-guard/tests/bench/bench_unroll" \
    --cell "$1" --T "$2" --B 1 --I 1 --H 4 --O 1 --steps "$steps" 2>&1) || {
    echo "$output" >&2
    return 1
  }
  if ! grep -q '"pool_heap_requests":0,"allocations_per_step":0,' <<<"$output"; then
    echo "guard: $1, T $2: a steady training step takes something from the heap:" >&2
    grep -o '"pool_heap_requests.*library_allocations_per_step":[^,]*' <<<"$output" >&2
    return 1
  fi
  sed -n "s/^.*Collected *: *\([0-9]*\).*/\1/p" <<<"$output" | awk -v n="$steps" '{ printf "%d\n", $1 / n }'
}

counted=''
for cell in rnn gru lstm mgu; do
  short=$(count "$cell" 3)
  hundred=$(count "$cell" 100)
  two_hundred=$(count "$cell" 200)
  counted+="$cell $(((two_hundred - hundred) / 100)) $short"$'\n'
done

if $record; then
  {
    echo '# Most instructions, by bash tests/bench/guard.sh --record: of a time step, and of a training step of 3 time steps.'
    awk 'NF { printf "%s %d %d\n", $1, $2 * 1.05, $3 * 1.05 }' <<<"$counted"
  } >"$limits"
  cat "$limits"
  exit
fi

awk -v limits="$limits" '
  BEGIN {
    while ((getline line < limits) > 0) if (split(line, x, " ") == 3 && line !~ /^#/) { step[x[1]] = x[2]; short[x[1]] = x[3] }
    printf "%-5s %24s %34s\n", "cell", "instructions of a step", "of a training step of 3"
  }
  NF {
    bad = $2 > step[$1] || $3 > short[$1]
    printf "%-5s %9d, limit %7d %17d, limit %7d  %s\n", $1, $2, step[$1], $3, short[$1], bad ? "ABOVE" : "ok"
    failed += bad
  }
  END {
    if (failed) print "guard: more instructions than allowed; where that is meant, record the limits anew"
    exit failed > 0
  }' <<<"$counted"
