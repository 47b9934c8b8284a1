"""The notebook programs of examples/notebooks in NumPy, step by step as the notebooks compute, mistakes included.

    python3 tests/bench/notebooks.py time build/examples/notebooks    # their training loops against unroll's
    python3 tests/bench/notebooks.py record FILE                      # NumPy's results for seeds, as JSON
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import numpy as np

SALES = np.array([100, 90, 120, 80, 150, 110, 130, 140, 115, 105, 90, 125, 135, 100, 95])
SEED = 1  # of the programs whose notebooks set none


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def descend(weights, gradients, rate):
    for weight, gradient in zip(weights, gradients):
        weight -= rate * gradient


class ScalarRnn:
    epochs = 1000
    x, target = np.array([0.1, 0.2, 0.3]), np.array([0.2, 0.4, 0.6])

    def __init__(self):
        self.Wx, self.Wh, self.bh, self.Wy, self.by = 0.5, 0.5, 0.0, 1.0, 0.0

    def epoch(self):
        h, hidden, outputs = 0.0, [], []
        for x in self.x:
            h = np.tanh(self.Wx * x + self.Wh * h + self.bh)
            hidden.append(h)
            outputs.append(self.Wy * h + self.by)
        hidden, outputs = np.array(hidden), np.array(outputs)
        loss = np.mean((outputs - self.target) ** 2)

        dy = 2 * (outputs - self.target) / len(self.target)
        dWx = dWh = dbh = dWy = dby = carried = 0.0
        for t in reversed(range(len(self.x))):
            dz = (dy[t] * self.Wy + carried) * (1 - hidden[t] ** 2)
            dWy += dy[t] * hidden[t]
            dby += dy[t]
            dWx += dz * self.x[t]
            dWh += dz * (hidden[t - 1] if t > 0 else 0.0)
            dbh += dz
            carried = dz * self.Wh
        rate = 0.01
        self.Wx -= rate * dWx
        self.Wh -= rate * dWh
        self.bh -= rate * dbh
        self.Wy -= rate * dWy
        self.by -= rate * dby
        return loss

    def train(self):
        return [self.epoch() for _ in range(self.epochs)]


class SequenceRnn:
    epochs = 1000
    x = [np.array([[v]]) for v in (1, 2, 3)]
    target = [np.array([[v]]) for v in (2, 4, 6)]

    def __init__(self):
        np.random.seed(1)
        self.Wxh = np.random.randn(4, 1) * 0.01
        self.Whh = np.random.randn(4, 4) * 0.01
        self.Why = np.random.randn(1, 4) * 0.01
        self.bh, self.by = np.zeros((4, 1)), np.zeros((1, 1))

    def epoch(self):
        before, h, y, loss = np.zeros((4, 1)), {}, {}, 0
        for t, x in enumerate(self.x):
            h[t] = np.tanh(self.Wxh @ x + self.Whh @ before + self.bh)
            y[t] = self.Why @ h[t] + self.by
            loss += np.square(y[t] - self.target[t])
            before = h[t]

        weights = self.Wxh, self.Whh, self.Why, self.bh, self.by
        dWxh, dWhh, dWhy, dbh, dby = gradients = [np.zeros_like(w) for w in weights]
        carried = np.zeros_like(before)
        for t in reversed(range(len(self.x))):
            dy = y[t] - self.target[t]
            dWhy += dy @ h[t].T
            dby += dy
            dz = (1 - h[t] ** 2) * (self.Why.T @ dy + carried)
            dbh += dz
            dWxh += dz @ self.x[t].T
            dWhh += dz @ h[t - 1].T if t > 0 else 0
            carried = self.Whh.T @ dz
        descend(weights, gradients, 0.01)
        return loss.item()

    def train(self):
        return [self.epoch() for _ in range(self.epochs)]


class SigmoidRnn:
    epochs = 2000
    x = [np.array([1]), np.array([2])]
    target = [np.array([[0.5]]), np.array([[0.8]])]

    def __init__(self):
        self.wx = np.array([[-1.12842626], [0.13693645], [-0.01567228]])
        self.wh = np.array([[0.40316286, 0.37694561, -0.00980171], [-1.47310901, 0.65082041, -0.17920119],
                            [0.92837611, -0.36532238, 0.31541256]])
        self.wo = np.array([[0.44378544, 0.25123416, -0.23855756]])
        self.bx, self.by = np.zeros((3, 1)), np.zeros((1, 1))

    def epoch(self):
        h, z, y = {-1: np.zeros((3, 1))}, {}, {}
        for t, x in enumerate(self.x):
            z[t] = np.dot(self.wx, x.reshape(-1, 1)) + np.dot(self.wh, h[t - 1]) + self.bx
            h[t] = sigmoid(z[t])
            y[t] = np.dot(self.wo, h[t]) + self.by
        loss = 0.0
        for t, target in enumerate(self.target):
            loss += 0.5 * (y[t] - target) ** 2

        dwx, dwh, dwo = np.zeros_like(self.wx), np.zeros_like(self.wh), np.zeros_like(self.wo)
        dbx, dby, later = np.zeros_like(self.bx), np.zeros_like(self.by), np.zeros((3, 1))
        for t in reversed(range(len(self.x))):
            dy = y[t] - self.target[t]
            dwo = np.dot(dy, h[t].T)  # the mistake: overwritten, not added
            dby += dy
            s = sigmoid(z[t])
            dz = (np.dot(self.wo.T, dy) + np.dot(self.wh.T, later)) * (s * (1 - s))
            dwx += np.dot(dz, self.x[t].reshape(-1, 1).T)
            dwh += np.dot(dz, h[t - 1].T)
            dbx += dz
            later = dz
        descend((self.wx, self.wh, self.wo, self.bx, self.by), (dwx, dwh, dwo, dbx, dby), 0.01)
        return loss.item()

    def train(self):
        return [self.epoch() for _ in range(self.epochs)]


class BatchedForward:
    epochs = 1

    def __init__(self):
        np.random.seed(SEED)
        self.x = np.random.rand(2, 4, 10)
        self.Wxh, self.Whh, self.Why = np.random.rand(10, 5), np.random.rand(5, 5), np.random.rand(5, 2)
        self.bh, self.by = np.zeros((5,)), np.zeros((2,))

    def train(self):  # nothing is trained: one forward pass
        hidden, output = np.zeros((2, 4, 5)), np.zeros((2, 4, 2))
        for t in range(4):
            # at t = 0 this reads hidden[:, -1], the last step's state, which is still 0
            hidden[:, t, :] = sigmoid(
                np.dot(self.x[:, t, :], self.Wxh) + np.dot(hidden[:, t - 1, :], self.Whh) + self.bh)
            output[:, t, :] = sigmoid(np.dot(hidden[:, t, :], self.Why) + self.by)
        return output


class ManyToOne:
    epochs = 100
    x = [np.array([1, 0]), np.array([0, 1]), np.array([1, 1])]
    target = np.array([[1]])

    def __init__(self):
        np.random.seed(SEED)
        self.Wx, self.Wh = np.random.rand(3, 2) * 0.01, np.random.rand(3, 3) * 0.01
        self.Wy = np.random.rand(1, 3) * 0.01
        self.bh, self.by = np.zeros((3, 1)), np.zeros((1, 1))

    def gradients(self):
        h = np.zeros((3, 1))
        for x in self.x:
            h = np.tanh(np.dot(self.Wx, x.reshape(-1, 1)) + np.dot(self.Wh, h) + self.bh)
        y = np.dot(self.Wy, h) + self.by
        dy = y - self.target
        dWx, dWh, dbh = np.zeros_like(self.Wx), np.zeros_like(self.Wh), np.zeros_like(self.bh)
        dh = np.dot(self.Wy.T, dy)
        for x in reversed(self.x):
            dz = dh * (1 - np.tanh(h) ** 2)  # two mistakes: tanh of tanh, and always the last step's h
            dWx += np.dot(dz, x.reshape(-1, 1).T)
            dWh += np.dot(dz, h.T)
            dbh += dz
            dh = np.dot(self.Wh.T, dz)
        return np.mean(dy**2).item(), (dWx, dWh, dy * h.T, dbh, dy)

    def epoch(self):
        loss, gradients = self.gradients()
        descend((self.Wx, self.Wh, self.Wy, self.bh, self.by), gradients, 0.01)
        return loss

    def train(self):
        return [self.epoch() for _ in range(self.epochs)]


class Sales:
    rate = 0.001

    def __init__(self):
        np.random.seed(SEED)
        self.Wxh, self.Whh, self.bh = np.random.randn(1, 5), np.random.randn(5, 5), np.zeros((1, 5))
        self.Why, self.by = np.random.randn(5, 1), np.zeros((1, 1))

    def step(self, x, h):
        return np.tanh(np.dot(x, self.Wxh) + np.dot(h, self.Whh) + self.bh)

    def weights(self):
        return self.Wxh, self.Whh, self.bh, self.Why, self.by


class SalesStep(Sales):
    epochs = 1

    def gradients(self, sales=SALES):
        h = np.zeros((1, 5))
        for t in range(3):
            h = self.step(sales[t], h)
        dy = np.dot(h, self.Why) + self.by - sales[3:4]
        dh = np.zeros((1, 5))
        for t in reversed(range(3)):
            # the mistakes: the last h at every step, the output's gradient anew at every step, no sum over the steps
            dz = (dh + np.dot(dy, self.Why.T)) * (1 - h**2)
            dWxh, dWhh = np.dot(sales[t].T, dz), np.dot(h.T, dz)
            dbh = np.sum(dz, axis=0, keepdims=True)
            dh = np.dot(dz, self.Whh.T)
        loss = 0.5 * np.sum(dy**2)
        return loss.item(), (dWxh, dWhh, dbh, np.dot(h.T, dy), np.sum(dy, axis=0, keepdims=True))

    def train(self):
        loss, gradients = self.gradients()
        descend(self.weights(), gradients, self.rate)
        return [loss]


class SalesBatches(Sales):
    epochs = 1  # of three mini-batches

    def gradients(self, i, sales=SALES):
        x = np.zeros((4, 3, 1))
        for j in range(4):
            x[j] = sales[i + j:i + j + 3].reshape(3, 1)
        h = np.zeros((4, 5))
        for t in range(3):
            h = self.step(x[:, t, :], h)
        target = sales[i + 3:i + 7].reshape(4, 1)
        y = np.dot(h, self.Why) + self.by
        loss = 0.5 * np.mean((y - target) ** 2)
        dy = (y - target) / 4
        dWhy, dby, dh = np.dot(h.T, dy), np.sum(dy, axis=0, keepdims=True), np.zeros((4, 5))
        for t in reversed(range(3)):
            h = self.step(x[:, t, :], h)  # the mistake: forward again, from the last state
            dz = (dh + np.dot(dy, self.Why.T)) * (1 - h**2)
            dWxh, dWhh, dbh = np.dot(x[:, t, :].T, dz), np.dot(h.T, dz), np.sum(dz, axis=0, keepdims=True)
            dh = np.dot(dz, self.Whh.T)
            if t == 2:
                sums = dWxh, dWhh, dbh, dWhy, dby
            else:
                for total, part in zip(sums, (dWxh, dWhh, dbh, dWhy, dby)):
                    total += part  # of dWhy and dby the part is the total itself, which doubles
        return loss.item(), sums

    def train(self):
        losses = []
        for i in range(0, 12, 4):
            loss, gradients = self.gradients(i)
            descend(self.weights(), gradients, self.rate)
            losses.append(loss)
        return losses


PROGRAMS = {"scalar_rnn": ScalarRnn, "sequence_rnn": SequenceRnn, "sigmoid_rnn": SigmoidRnn,
            "batched_forward": BatchedForward, "many_to_one": ManyToOne, "sales_step": SalesStep,
            "sales_batches": SalesBatches}


def standardised(sales, days):
    return (sales - sales[:days].mean()) / sales[:days].std()


def record(file):
    """Writes what the programs without a seed of their own give from SEED: arrays are flat, row by row."""
    def flat(arrays):
        return [np.ravel(a).tolist() for a in arrays]

    def trained(program):
        program.train()
        return program

    names = ["Wxh", "Whh", "bh", "Why", "by"]
    results = {
        "numpy": np.__version__,
        "seed": SEED,
        "batched_forward": {"output": flat([BatchedForward().train()])[0]},
        "many_to_one": {
            "gradients": dict(zip(["Wx", "Wh", "Wy", "bh", "by"], flat(ManyToOne().gradients()[1]))),
            "losses": ManyToOne().train()[::10]},
        "sales_step": {
            "updated": dict(zip(names, flat(trained(SalesStep()).weights()))),
            "gradients": dict(zip(names, flat(SalesStep().gradients(standardised(SALES, 15))[1])))},
        "sales_batches": {
            "errors": SalesBatches().train(),
            "gradients": dict(zip(names, flat(SalesBatches().gradients(0, standardised(SALES, 11))[1])))},
    }
    pathlib.Path(file).write_text(json.dumps(results, indent=1) + "\n")


def measure(folder, rounds):
    """Prints NumPy's and unroll's time of an epoch, in alternation, as a table in Markdown."""
    print("| program | epochs | NumPy us per epoch | unroll us per epoch | ratio | ratios min - max |")
    print("|---|---|---|---|---|---|")
    for name, program in PROGRAMS.items():
        theirs, ours = [], []
        for _ in range(rounds):
            runs, end = [], time.perf_counter() + 0.5
            while len(runs) < 3 or time.perf_counter() < end:
                fresh = program()
                start = time.perf_counter()
                fresh.train()
                runs.append((time.perf_counter() - start) * 1e6 / program.epochs)
            theirs.append(statistics.median(runs))
            with tempfile.TemporaryDirectory() as output:
                out = subprocess.run([pathlib.Path(folder) / name, "--output", output], check=True,
                                     capture_output=True, text=True).stdout
            ours.append(json.loads(out.splitlines()[-1].removeprefix("result "))["microseconds_per_epoch"])
        ratios = [a / b for a, b in zip(theirs, ours)]
        print(f"| {name} | {program.epochs} | {statistics.median(theirs):.1f} | {statistics.median(ours):.2f} "
              f"| {statistics.median(ratios):.0f} | {min(ratios):.0f} - {max(ratios):.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    timing = commands.add_parser("time")
    timing.add_argument("folder", help="where the programs were built")
    timing.add_argument("--rounds", type=int, default=5, choices=range(1, 1000), metavar="N")
    timing.set_defaults(run=lambda a: measure(a.folder, a.rounds))
    recording = commands.add_parser("record")
    recording.add_argument("file")
    recording.set_defaults(run=lambda a: record(a.file))
    arguments = parser.parse_args()
    if hasattr(arguments, "folder") and not (pathlib.Path(arguments.folder) / "scalar_rnn").exists():
        parser.error(f"{arguments.folder} does not hold the notebook programs; build them with tests/run.sh")
    arguments.run(arguments)


if __name__ == "__main__":
    main()
