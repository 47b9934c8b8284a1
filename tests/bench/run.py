"""Runs the benchmarks and makes tables, JSON lines and a picture of them. Called by run.sh, which builds them."""
import argparse
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import textwrap
from statistics import median

from picture import draw

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build"
PROGRAMS = BUILD / "tests/bench"
RESULTS = BUILD / "bench/results.jsonl"
PICTURE = "ratios.svg"

CELLS = ["rnn", "gru", "lstm", "mgu"]
SIZES = [(3, 1, 1, 4, 1), (100, 1, 1, 32, 1), (1000, 1, 8, 64, 1), (28, 32, 28, 64, 10), (64, 32, 64, 128, 64),
         (64, 64, 256, 512, 64)]
LINEAR = [10**3, 10**4, 10**5, 10**6]
COMPILED = {"headers alone": None, "tests/bench/one_cell.cpp": HERE / "one_cell.cpp",
            "examples/custom_cell.cpp": ROOT / "examples/custom_cell.cpp"}
HEADERS = "#include <autograd/autograd.hpp>\n#include <nn/nn.hpp>\n"
COMPILER = ["g++", "-std=c++20", "-O2", "-march=native", "-DXTENSOR_USE_XSIMD", f"-I{ROOT}", "-c", "-o", "/dev/null"]


def size_name(size):
    return ",".join(map(str, size))


class Runner:
    """Runs the programs, and keeps what they print."""

    def __init__(self, options):
        self.options = options
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        self.results = RESULTS.open("w")
        # The peers get the kernels that unroll finds by itself.
        first = self.run("start", 0, "bench_unroll", ["--T", 1, "--B", 1, "--I", 1, "--H", 1, "--O", 1], seconds=0.01)
        self.kernel = first["blas"]
        self.runtime = first["runtime"]
        self.compiler = first["compiler"]
        self.torch = None

    def keep(self, line):
        self.results.write(json.dumps(line) + "\n")
        self.results.flush()

    def text(self, program, arguments, peer=False, threads=None):
        environment = dict(os.environ)
        if (threads or self.options.threads) == 1:  # or OpenBLAS starts threads when it is loaded
            environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        if peer:
            environment["OPENBLAS_CORETYPE"] = self.kernel
        command = [str(program), *map(str, arguments)]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"run.py: {' '.join(command)} ended with {done.returncode}")
        return done.stdout

    def run(self, table, round_, name, arguments, seconds=None, folder=PROGRAMS, **how):
        arguments = [*arguments, "--seconds", self.options.seconds if seconds is None else seconds]
        line = json.loads(self.text(folder / name, arguments, **how))
        self.keep({"table": table, "round": round_, "program": name, **line})
        if "torch" in line:
            self.torch = line["torch"]
        return line


def workload(size, cell, threads, f64):
    keys = ["--T", "--B", "--I", "--H", "--O"]
    return [*(x for pair in zip(keys, size) for x in pair), "--cell", cell, "--threads", threads,
            *(["--f64"] if f64 else [])]


def progress(text):
    if sys.stderr.isatty():
        print(f"\r{text:60}", end="" if text else "\r", file=sys.stderr, flush=True)


def table(columns, rows):
    """Markdown, aligned so that it reads well in a terminal, too."""
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    numeric = [all(re.match(r"[-\d.]*$|[\d.]+ - ", row[i]) for row in rows) for i in range(len(columns))]

    def line(cells):
        padded = (c.rjust(w) if n else c.ljust(w) for c, w, n in zip(cells, widths, numeric))
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (w + 1) + ":" if n else "-" * (w + 2) for w, n in zip(widths, numeric)) + "|"
    return "\n".join([line(columns), rule, *map(line, rows)])


def rounds_of(count):
    return f"median of {count} rounds" if count > 1 else "one round"


def spread(values):
    return f"{min(values):.2f} - {max(values):.2f}"


def kilobytes(count):
    return f"{count / 1e3:.1f}" if count < 1e5 else f"{count / 1e3:.0f}"


class Tables:
    """The tables of a run; each has a name, which is that of its place in README.md."""

    def __init__(self, runner):
        self.runner = runner
        self.options = runner.options
        self.made = {}

    def add(self, name, title, columns, rows, records=()):
        text = f"{title}\n\n{table(columns, rows)}"
        self.made[name] = f"{title}:\n\n{table(columns, rows)}"
        for record in records:
            self.runner.keep({"table": name, "summary": True, **record})
        progress("")
        print(f"\n{text}", flush=True)

    def cells(self):
        o = self.options
        for size in [SIZES[o.size]] if o.size is not None else SIZES:
            for cell in [o.cell] if o.cell else CELLS:
                yield size, cell

    def peers(self, cell, f64):
        """Name, program, its own arguments and its folder, of those that compute this."""
        if self.options.no_peers:
            return
        yield "openblas", "gemm_limit", ["--blas", "openblas"], PROGRAMS
        if not f64 and "oneDNN" in self.runner.runtime:
            yield "onednn", "gemm_limit", ["--blas", "onednn"], PROGRAMS
        torch = BUILD / "bench/torch"
        if (torch / "bench_torch").exists():
            yield "torch", "bench_torch", ["--impl", "custom"], torch
            if cell != "mgu":
                yield "torch_layer", "bench_torch", ["--impl", "layer"], torch

    def ratio(self, name, threads=1, f64=False, impl="custom", peers=True):
        """unroll, and the peers, over the hand-written step, alternated."""
        r = self.runner
        records = []
        for size, cell in self.cells():
            arguments = workload(size, cell, threads, f64)
            times = {}
            for round_ in range(self.options.rounds):
                progress(f"{name}: {size_name(size)} {cell}, round {round_ + 1}")

                def measure(key, *run, **how):
                    line = r.run(name, round_, *run, threads=threads, **how)
                    times.setdefault(key, []).append(line["us_per_step"])
                    return line

                hand = measure("hand", "handcoded", arguments, peer=True)
                own = measure("unroll", "bench_unroll", [*arguments, "--impl", impl])
                if threads > 1:
                    one = workload(size, cell, 1, f64)
                    measure("one", "bench_unroll", [*one, "--impl", impl])
                for key, program, extra, folder in self.peers(cell, f64) if peers else ():
                    measure(key, program, [*extra, *arguments], peer=True, folder=folder)

            def over_hand(*keys):
                """Median ratio to the hand-written step of the fastest of these."""
                ratios = [median(a / b for a, b in zip(times[k], times["hand"])) for k in keys if k in times]
                return min(ratios, default=None)

            ratios = [a / b for a, b in zip(times["unroll"], times["hand"])]
            records.append({
                "size": size_name(size), "cell": cell, "hand_us": median(times["hand"]),
                "unroll_us": median(times["unroll"]), "ratio": median(ratios), "ratios": ratios,
                "speedup": median(a / b for a, b in zip(times["one"], times["unroll"])) if threads > 1 else None,
                "torch": over_hand("torch"), "torch_layer": over_hand("torch_layer"),
                "floor": over_hand("openblas", "onednn"),
                "hand_kept": hand["kept_bytes"], "hand_peak": hand["peak_bytes"], "kept": own["kept_bytes"],
                "peak": own["peak_bytes"], "allocations": own["allocations_per_step"],
                "library_allocations": own["library_allocations_per_step"]})

        def times_hand(value, digits=2):
            return "" if value is None else f"{value:.{digits}f}"

        what = "double" if f64 else "float"
        title = (f"Time of a training step, {what}, {threads} thread{'s' * (threads > 1)}, {impl} cells, "
                 f"{rounds_of(self.options.rounds)}")
        columns = ["T,B,I,H,O", "cell", "hand-written us", "unroll us", "ratio", "min - max"]
        optional = {"speedup": "faster than 1 thread", "torch": "libtorch, own cell",
                    "torch_layer": "libtorch, its layer", "floor": "products alone"}
        shown = [k for k in optional if any(x[k] is not None for x in records)]
        rows = [[x["size"], x["cell"], f"{x['hand_us']:.2f}", f"{x['unroll_us']:.2f}", f"{x['ratio']:.3f}",
                 spread(x["ratios"]), *(times_hand(x[k]) for k in shown)] for x in records]
        self.add(name, title, [*columns, *(optional[k] for k in shown)], rows, records)
        return records

    def memory(self, records):
        columns = ["T,B,I,H,O", "cell", "hand-written kept kB", "unroll kept kB", "ratio", "hand-written peak kB",
                   "unroll peak kB", "ratio of peaks", "allocations", "of libraries"]
        rows = [[x["size"], x["cell"], kilobytes(x["hand_kept"]), kilobytes(x["kept"]),
                 f"{x['kept'] / x['hand_kept']:.2f}", kilobytes(x["hand_peak"]), kilobytes(x["peak"]),
                 f"{x['peak'] / x['hand_peak']:.2f}", f"{x['allocations']:g}", f"{x['library_allocations']:g}"]
                for x in records]
        self.add("memory", "Memory and heap allocations of a steady training step", columns, rows)

    def linear(self):
        """Time per time step as the sequence grows."""
        times, hidden = {}, self.options.hidden
        cells = [self.options.cell] if self.options.cell else CELLS
        rounds = min(self.options.rounds, 3)  # a million steps take seconds
        for round_ in range(rounds):
            for cell in cells:
                for steps in LINEAR:
                    progress(f"linear: T {steps} {cell}, round {round_ + 1}")
                    line = self.runner.run("linear", round_, "bench_unroll",
                                           [*workload((steps, 1, 1, hidden, 1), cell, self.options.threads,
                                                      self.options.f64), "--impl", self.options.impl])
                    times.setdefault((cell, steps), []).append(line["us_per_step"] / steps)
        records = [{"cell": cell, **{str(s): median(times[cell, s]) for s in LINEAR}} for cell in cells]
        rows = [[x["cell"], *(f"{x[str(s)]:.4f}" for s in LINEAR),
                 f"{max(x[str(s)] for s in LINEAR) / min(x[str(s)] for s in LINEAR):.2f}"] for x in records]
        self.add("linear", f"us per time step of a training step, B 1, I 1, H {hidden}, O 1, {rounds_of(rounds)}",
                 ["cell", *(f"T = {s}" for s in LINEAR), "largest / smallest"], rows, records)

    def evaluation(self):
        """The forward pass without a tape over a training step."""
        records = []
        for size, cell in self.cells():
            training, evaluating = [], []
            for round_ in range(self.options.rounds):
                progress(f"evaluation: {size_name(size)} {cell}, round {round_ + 1}")
                arguments = [*workload(size, cell, self.options.threads, self.options.f64), "--impl",
                             self.options.impl]
                training.append(self.runner.run("evaluation", round_, "bench_unroll", arguments)["us_per_step"])
                arguments.append("--evaluation")
                evaluating.append(self.runner.run("evaluation", round_, "bench_unroll", arguments)["us_per_step"])
            ratios = [a / b for a, b in zip(evaluating, training)]
            records.append({"size": size_name(size), "cell": cell, "training_us": median(training),
                            "evaluation_us": median(evaluating), "ratio": median(ratios), "ratios": ratios})
        rows = [[x["size"], x["cell"], f"{x['training_us']:.2f}", f"{x['evaluation_us']:.2f}", f"{x['ratio']:.3f}",
                 spread(x["ratios"])] for x in records]
        self.add("evaluation", f"Evaluation without a tape, {rounds_of(self.options.rounds)}",
                 ["T,B,I,H,O", "cell", "training step us", "evaluation us", "ratio", "min - max"], rows, records)

    def stream(self):
        lines = {}
        for round_ in range(self.options.rounds):
            progress(f"stream: round {round_ + 1}")
            for line in map(json.loads, self.runner.text(PROGRAMS / "bench_stream", []).splitlines()):
                self.runner.keep({"table": "stream", "round": round_, "program": "bench_stream", **line})
                lines.setdefault((line["cell"], line["H"]), []).append(line)
        records = [{"cell": cell, "H": hidden, **{k: median(x[k] for x in group)
                                                  for k in ("us_per_step", "p99_9_us", "unroll_us", "clock_us")}}
                   for (cell, hidden), group in lines.items()]
        rows = [[x["cell"], str(x["H"]), f"{x['us_per_step']:.3f}", f"{x['p99_9_us']:.3f}",
                 f"{x['p99_9_us'] / x['us_per_step']:.2f}", f"{x['unroll_us']:.3f}"] for x in records]
        self.add("stream", f"A step of nn::stream, batch 1, one feature, float, {rounds_of(self.options.rounds)}",
                 ["cell", "H", "stream us", "99.9th percentile us", "percentile / median", "unroll without a tape us"],
                 rows, records)

    def compile(self):
        """Processor time and memory of the compiler for a user's file."""
        used = {}
        for round_ in range(self.options.rounds):
            for name, file in COMPILED.items():
                progress(f"compile: {name}, round {round_ + 1}")
                source = [str(file)] if file else ["-x", "c++", "-"]
                child = subprocess.Popen([*COMPILER, *source], stdin=subprocess.PIPE)
                with child.stdin:
                    child.stdin.write(b"" if file else HEADERS.encode())
                _, child.returncode, usage = os.wait4(child.pid, 0)
                if child.returncode:
                    sys.exit(f"run.py: {' '.join([*COMPILER, *source])} failed")
                line = {"file": name, "seconds": usage.ru_utime + usage.ru_stime,
                        "megabytes": usage.ru_maxrss * 1024 / 1e6}
                self.runner.keep({"table": "compile", "round": round_, **line})
                used.setdefault(name, []).append(line)
        records = [{"file": name, **{k: median(x[k] for x in lines) for k in ("seconds", "megabytes")}}
                   for name, lines in used.items()]
        self.add("compile", f"Processor time and memory of g++ -O2, {rounds_of(self.options.rounds)}",
                 ["file", "seconds", "MB"],
                 [[x["file"], f"{x['seconds']:.2f}", f"{x['megabytes']:.0f}"] for x in records], records)

    def printed(self, name, title, command):
        """A program that prints a table by itself."""
        progress(name)
        lines = [line for line in self.runner.text(command[0], command[1:]).splitlines() if line.startswith("|")]
        columns, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        self.add(name, title, columns, rows, [dict(zip(columns, row)) for row in rows])


def machine(runner):
    """A sentence on what was measured with."""
    info = dict(re.findall(r"^(.*?)\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M))
    system = dict(re.findall(r'^(\w+)="?(.*?)"?$', pathlib.Path("/etc/os-release").read_text(), re.M))
    torch = f", libtorch {runner.torch}" if runner.torch else ""
    virtual = "virtual " if "hypervisor" in info["flags"] else ""
    model = info["model name"].replace("(R)", "")
    return (f"Measured on {os.cpu_count()} {virtual}cores of an {model} (family {info['cpu family']}, "
            f"model {info['model']}), {system['PRETTY_NAME']}, Linux {platform.release().split('-')[0]}, "
            f"GCC {runner.compiler} `-O3 -march=native`; {runner.runtime.rsplit('; threads', 1)[0]}{torch}.")


def update_readme(tables):
    """Puts each table between its markers."""
    file = HERE / "README.md"
    text = file.read_text()
    for name, content in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end {name} -->"
        if begin not in text:
            sys.exit(f"run.py: {file} has no place for the table {name}: no line {begin}")
        before, rest = text.split(begin)
        text = before + begin + content + "\n" + end + rest.split(end, 1)[1]
    file.write_text(text)


def options():
    parser = argparse.ArgumentParser(prog="tests/bench/run.sh", description="Builds and runs the benchmarks.",
                                     epilog="Without the name of a table: the ratios to the hand-written step, and "
                                            "the memory.")
    tables = parser.add_argument_group("tables")
    tables.add_argument("--linear", action="store_true", help="time per time step for T = 1000 to 1000000")
    tables.add_argument("--evaluation", action="store_true", help="evaluation without a tape over a training step")
    tables.add_argument("--stream", action="store_true", help="one step at a time")
    tables.add_argument("--checkpoint", action="store_true", help="checkpointed unrolling")
    tables.add_argument("--derivatives", action="store_true", help="jvp and hvp")
    tables.add_argument("--compile", action="store_true", help="compiling a user's file")
    tables.add_argument("--notebooks", action="store_true", help="the notebook programs against NumPy (needs both)")
    tables.add_argument("--all", action="store_true",
                        help="all of these, and the ratios also of built-in cells, in double and on two threads")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--seconds", type=float, default=0.3, metavar="S", help="of one run of one program")
    parser.add_argument("--impl", choices=["custom", "builtin"], default="custom", help="unroll's cells")
    parser.add_argument("--f64", action="store_true", help="double precision")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="with unroll on one thread beside it")
    parser.add_argument("--hidden", type=int, default=8, metavar="N", help="units of --linear")
    parser.add_argument("--size", type=int, choices=range(len(SIZES)), help=", ".join(
        f"{i}: {size_name(s)}" for i, s in enumerate(SIZES)))
    parser.add_argument("--cell", choices=CELLS)
    parser.add_argument("--no-peers", action="store_true", help="without libtorch and the products alone")
    parser.add_argument("--update", action="store_true", help="put tables and picture into tests/bench/README.md")
    parser.add_argument("--check-options", action="store_true", help=argparse.SUPPRESS)
    o = parser.parse_args()
    if min(o.rounds, o.threads, o.hidden) < 1:
        parser.error("--rounds, --threads and --hidden must be at least 1")
    if o.update and (o.size is not None or o.cell or o.hidden != 8):
        parser.error("--update needs whole tables, of all sizes and cells, and --hidden 8")
    if o.all and (o.f64 or o.threads > 1 or o.impl != "custom"):
        parser.error("--all includes the other type, threads and cells by itself")
    if o.f64 + (o.threads > 1) + (o.impl != "custom") > 1 and o.update:
        parser.error("README.md has no place for a table of several of --f64, --threads and --impl builtin")
    return o


def main():
    o = options()
    if o.check_options:
        return
    runner = Runner(o)
    tables = Tables(runner)
    chosen = [n for n in ("linear", "evaluation", "stream", "checkpoint", "derivatives", "compile", "notebooks")
              if o.all or getattr(o, n)]
    if o.all or not chosen:
        name = "double" if o.f64 else "threads" if o.threads > 1 else "builtin" if o.impl == "builtin" else "ratio"
        records = tables.ratio(name, o.threads, o.f64, o.impl, peers=name == "ratio" or not o.update)
        if name == "ratio":
            tables.memory(records)
            picture = HERE / PICTURE if o.update else RESULTS.with_name(PICTURE)
            draw(records, picture)
            print(f"\npicture: {picture.relative_to(ROOT)}")
    if o.all:
        tables.ratio("builtin", impl="builtin", peers=False)
        tables.ratio("double", f64=True, peers=False)
        tables.ratio("threads", threads=2, peers=False)
    for name in chosen:
        if name == "checkpoint":
            tables.printed(name, "Checkpointed unrolling", [PROGRAMS / "bench_checkpoint"])
        elif name == "derivatives":
            tables.printed(name, "jvp and hvp", [PROGRAMS / "bench_derivatives", "--rounds", "41"])
        elif name == "notebooks":
            notebooks(tables, o)
        else:
            getattr(tables, name)()
    print(f"\n{machine(runner)}\n\nJSON lines: {RESULTS.relative_to(ROOT)}")
    if o.update:
        if "ratio" in tables.made:
            tables.made["machine"] = textwrap.fill(machine(runner), 118)
        update_readme(tables.made)


def notebooks(tables, o):
    programs = BUILD / "examples/notebooks"
    python = "/usr/bin/python3"
    numpy = subprocess.run([python, "-c", "import numpy"], capture_output=True).returncode == 0
    if not numpy or not (programs / "scalar_rnn").exists():
        print("\nnotebooks: left out; they need python3-numpy, and the programs that tests/run.sh builds")
        return
    tables.printed("notebooks", "The notebook programs against NumPy",
                   [python, HERE / "notebooks.py", "time", programs, "--rounds", o.rounds])


if __name__ == "__main__":
    main()
