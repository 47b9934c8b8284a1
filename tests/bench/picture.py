"""The picture of the benchmark: bars from 1, the hand-written step, to the ratios of unroll and the peers."""
import subprocess

SCRIPT = """
set terminal svg size 960,640 font 'sans-serif,12' background '#ffffff'
set output '{output}'
set multiplot layout 2,2 title 'Time of a training step over that of the hand-written one' font ',14'
set logscale y
set ytics ('0.2' 0.2, '0.5' 0.5, '1' 1, '2' 2, '5' 5, '10' 10, '20' 20, '50' 50, '100' 100, '200' 200) textcolor '#333333'
set xtics ({ticks}) scale 0 font ',9' textcolor '#333333'
set grid ytics lt 1 lc rgb '#dddddd' lw 0.6
set border 3 lc rgb '#888888'
set tics nomirror
set style fill solid 1 noborder
set key top right
set bmargin 3.5
set yrange [{low}:{high}]
set xrange [-0.6:{last}.6]
"""


def draw(records, output):
    """Bars from 1, the hand-written step, to each ratio, by gnuplot."""
    series = [("unroll", "ratio", "#0072b2"), ("libtorch, own cell", "torch", "#e69f00"),
              ("libtorch, its layer", "torch_layer", "#f0d27a"), ("matrix products alone", "floor", "#999999")]
    series = [s for s in series if any(x[s[1]] is not None for x in records)]
    sizes = list(dict.fromkeys(x["size"] for x in records))
    values = [x[key] for x in records for _, key, _ in series if x[key] is not None]
    labels = [r'"T {}, B {}\nI {}, H {}"'.format(*size.split(",")) for size in sizes]
    ticks = ", ".join(f"{label} {i}" for i, label in enumerate(labels))
    script = SCRIPT.format(output=output, low=min(0.4, 0.9 * min(values)), high=1.3 * max(2, *values),
                                   last=len(sizes) - 1, ticks=ticks)
    width = 0.8 / len(series)
    for number, cell in enumerate(dict.fromkeys(x["cell"] for x in records)):
        plots = []
        for s, (title, key, colour) in enumerate(series):
            rows = []
            for x in records:
                if x["cell"] == cell and x[key] is not None:
                    left = sizes.index(x["size"]) - 0.4 + s * width
                    rows.append(f"{left} {left + 0.92 * width} {min(1, x[key])} {max(1, x[key])}")
            if rows:
                data = "\n".join(rows)
                script += f"$bars{number}_{s} << EOD\n{data}\nEOD\n"
                plots.append(f"$bars{number}_{s} using (($1+$2)/2):(1):1:2:3:4 with boxxyerror lc rgb '{colour}' "
                             f"title '{title}'")
        plots.append("1 with lines lc rgb '#333333' lw 1 notitle")
        script += f"set title '{cell}'\n{'unset key' if number else 'set key'}\nplot {', '.join(plots)}\n"
    subprocess.run(["gnuplot"], input=script + "unset multiplot\n", text=True, check=True)
