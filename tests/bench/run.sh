#!/usr/bin/env bash
# Builds the benchmarks and runs them; prints tables in Markdown, writes JSON lines to build/bench/results.jsonl and a
# picture. README.md tells what there is; bash tests/bench/run.sh --help lists the options.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../.ci/build.sh"

install_packages "${packages[@]}" python3
export PYTHONDONTWRITEBYTECODE=1
case " $* " in
*' --help '* | *' -h '*) exec python3 "$root/tests/bench/run.py" --help ;;
esac
python3 "$root/tests/bench/run.py" --check-options "$@"
configure build
for program in bench_unroll handcoded gemm_limit bench_stream bench_checkpoint bench_derivatives; do
  compile build "$program"
done

# libtorch is measured where it is installed, on Debian as libtorch-dev, and needed by nothing.
torch=$root/build/bench/torch
if [[ " $* " != *' --no-peers '* ]]; then
  cmake -S "$root/tests/bench/torch" -B "$torch" >"$root/build/bench_torch.log" 2>&1 && cmake --build "$torch" ||
    echo "libtorch is left out: build/bench_torch.log tells why"
fi

exec python3 "$root/tests/bench/run.py" "$@"
