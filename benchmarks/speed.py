"""How fast skcnn is, side by side with plain skorch, Keras and a plain PyTorch loop.

    python benchmarks/speed.py [MODE ...] [--data DIR] [--device cuda] [--rounds N] [--epochs N]
                               [--machine NAME] [--skip NAME ...] [--go-on]
                               [--jobs NAME ...] [--cpu-time]

MODE is one or several of

    train    an epoch of the baseline, or --epochs; on a GPU all 30 unless that is given
    predict  many images, and a single one
    memory   the most memory that a fit takes
    onnx     predictions beside onnxruntime, with one thread and with all
    recipes  fits of other settings against plain skorch on the baseline, from a few epochs
    compile  an epoch with compile=True against one without, and what compiling itself takes, in
             processor time; not on a GPU

and all of them by default. All that is compared runs in turns in one process, in several rounds;
what counts is the median of the ratios within a round. Without --data the images are made up.
--skip leaves out "Keras" or "matrix product", which `train` compares with on a CPU, or settings of
`onnx`. With --go-on, modes whose results are stored already are not measured again. --jobs are
those of `recipes` and `compile`, named as in accuracy.py. With --cpu-time, the time that a CPU
computed is what counts there: other programs may run. Then set OMP_NUM_THREADS=1: threads that
wait for each other count as well.
Prints its figures, and stores them in results/, with NAME in the file's name where it is given.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from accuracy import JOBS
from contestants import BATCH_SIZE, FLOPS, LESSON, ByHand, Keras, Skcnn, Skorch, lesson_data
from reporting import describe_machine, load, spread, store, versions
from sklearn.base import clone
from skorch.callbacks import Callback

from skcnn import ConvNetClassifier, export_onnx, recipes
from skcnn._engine._schedule import choose_epochs, scale_of
from skcnn.datasets import fetch_cifar100

# Training images of CIFAR-100's ecology categories.
ALL_IMAGES = 30_500


def main():
    """Run the modes that the command line asks for."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("modes", nargs="*", metavar="MODE", help=", ".join(MODES))
    arguments.add_argument("--data", type=Path, help="folder that holds, or will hold, CIFAR-100")
    arguments.add_argument("--device", default="cpu", help="cpu or cuda")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--epochs", type=int, help="of each contestant of `train`")
    arguments.add_argument("--machine", help="store the results beside those of another machine")
    arguments.add_argument("--images", type=int, default=ALL_IMAGES, help="fewer, for a trial")
    arguments.add_argument("--skip", action="append", default=[], metavar="NAME")
    arguments.add_argument("--go-on", action="store_true", help="without the modes stored")
    jobs = ["default", "fast", "laptop"]
    arguments.add_argument("--jobs", nargs="+", choices=JOBS, default=jobs, help="of fits")
    arguments.add_argument("--cpu-time", action="store_true", help="of `recipes`")
    options = arguments.parse_args()
    unknown = set(options.modes) - set(MODES)
    if unknown:
        arguments.error(f"unknown modes {sorted(unknown)}; there are {', '.join(MODES)}")

    X, y = read_images(options)
    for mode in options.modes or MODES:
        name = "_".join(filter(None, ["speed", mode, options.device, options.machine]))
        if options.go_on and load(name):
            print(f"{mode}: stored already", flush=True)
            continue
        print(f"\n{mode}, on {describe_machine(options.device)}", flush=True)
        result = MODES[mode](X, y, options)
        result |= {
            "device": options.device,
            "machine": describe_machine(options.device),
            "threads": torch.get_num_threads(),
            "images": "CIFAR-100, ecology" if options.data else "random",
            "versions": versions("keras", "tensorflow", "tensorflow-cpu"),
        }
        for label, figure in result["figures"].items():
            show(label, figure)
        store(name, result)


def read_images(options):
    """Real images where the user has them; the time that they take does not depend on it."""
    if options.data:
        X, y = fetch_cifar100(categories="ecology", data_home=options.data, return_X_y=True)
        order = np.random.RandomState(0).permutation(len(X))[: options.images]
        return X[order], y[order]
    rng = np.random.RandomState(0)
    X = rng.randint(256, size=(options.images, 32, 32, 3), dtype=np.uint8)
    return X, np.arange(len(X)) % 61


def show(name, figure):
    """Print a figure, with its spread over the rounds where it has one."""
    if isinstance(figure, dict):
        print(f"  {name}: {figure['median']:.4g}  ({figure['min']:.4g} to {figure['max']:.4g})")
    else:
        print(f"  {name}: {figure:.4g}")


def seconds(function, *args, clock=time.perf_counter):
    """How long a call takes."""
    start = clock()
    function(*args)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - start


def in_turns(jobs, rounds, clock=time.perf_counter):
    """Seconds of each job in each round, after one round to warm up.

    Every other round goes backwards, so that no job always follows the same one.
    """
    taken = {name: [] for name in jobs}
    for number in range(rounds + 1):
        for name, job in [*jobs.items()][:: -1 if number % 2 else 1]:
            elapsed = seconds(job, clock=clock)
            if number:
                taken[name].append(elapsed)
        print(f"  round {number} of {rounds}", flush=True)
    return {name: np.array(values) for name, values in taken.items()}


def train(X, y, options):
    """Train the same network in the four ways."""
    on_gpu = options.device != "cpu"
    epochs = options.epochs or (LESSON["max_epochs"] if on_gpu else 1)
    data = lesson_data(X, y)
    clf = ConvNetClassifier(**LESSON, device=options.device)
    clf.set_params(max_epochs=1).fit(X[:256], y[:256])
    precision = clf.net_.precision
    contestants = {
        "skcnn": Skcnn(data, options.device, fresh=on_gpu),
        "skcnn, flips and shifts": Skcnn(
            data, options.device, fresh=on_gpu, augment=("flip", "shift")
        ),
        "skcnn, float32": Skcnn(data, options.device, fresh=on_gpu, precision="float32"),
        "loop by hand": ByHand(data, options.device, precision=precision),
        "skorch": Skorch(data, options.device),
    }
    if "Keras" in options.skip:
        pass
    elif find_spec("keras") and find_spec("tensorflow") and not on_gpu:
        contestants["Keras"] = Keras(data, options.device)
    else:
        print('  without Keras: pip install -c constraints.txt -e ".[bench]" brings it')
    jobs = {name: lambda c=c: c(epochs) for name, c in contestants.items()}
    measures_product = not on_gpu and "matrix product" not in options.skip
    if measures_product:
        jobs["matrix product"] = multiply_matrices
    taken = in_turns(jobs, options.rounds)

    ours = taken["skcnn"]
    figures = {f"seconds, {name}": spread(taken[name]) for name in contestants}
    for name in contestants:
        if not name.startswith("skcnn"):
            figures[f"skcnn / {name}"] = spread(ours / taken[name])
    figures["skcnn, float32 / skorch"] = spread(taken["skcnn, float32"] / taken["skorch"])
    figures["flips and shifts / none"] = spread(taken["skcnn, flips and shifts"] / ours)
    if measures_product:
        # Of the time of an epoch, validation takes a part that is no step.
        n_steps, share = (
            -(-len(data[0]) // BATCH_SIZE),
            training_share(contestants["skcnn"], data, ours),
        )
        rate = n_steps * BATCH_SIZE * FLOPS / (share * ours)
        product = 2 * _SIDE**3 * _PRODUCTS / taken["matrix product"]
        figures["steps, GFLOP/s"] = spread(rate / 1e9)
        figures["matrix product in bfloat16, GFLOP/s"] = spread(product / 1e9)
        figures["steps / matrix product"] = spread(rate / product)
    return {"figures": figures, "epochs": epochs, "precision": str(precision)}


_PRODUCTS, _SIDE = 20, 2048


def multiply_matrices():
    """The most that the machine does: products of matrices in bfloat16."""
    matrix = torch.ones(_SIDE, _SIDE, dtype=torch.bfloat16)
    for _ in range(_PRODUCTS):
        torch.mm(matrix, matrix)


def training_share(contestant, data, taken):
    """Which part of an epoch goes into steps rather than into validation."""
    validation = statistics.median(
        seconds(contestant.clf.decision_function, data[2]) for _ in range(3)
    )
    return 1 - validation / np.median(taken)


def predict(X, y, options):
    """Predict with an estimator, and with its bare network by hand."""
    clf = ConvNetClassifier(**LESSON, device=options.device, random_state=0)
    clf.set_params(max_epochs=1).fit(X[:2560], y[:2560])
    network, device = clf.module_, clf.device_

    @torch.inference_mode()
    def by_hand(images):
        logits = [network(batch.to(device)) for batch in torch.from_numpy(images).split(256)]
        return torch.cat(logits).double().softmax(1).cpu().numpy()

    jobs = {"predict_proba": lambda: clf.predict_proba(X), "by hand": lambda: by_hand(X)}
    taken = in_turns(jobs, options.rounds)
    one = torch.from_numpy(X[:1])
    calls = {"predict_proba": [], "bare network": []}
    for _ in range(300):
        calls["predict_proba"].append(seconds(clf.predict_proba, X[:1]))
        with torch.inference_mode():
            calls["bare network"].append(seconds(network, one.to(device)))
    single = {name: np.array(values[50:]) * 1e3 for name, values in calls.items()}
    figures = {
        "images/s, predict_proba": spread(len(X) / taken["predict_proba"]),
        "predict_proba / by hand": spread(taken["predict_proba"] / taken["by hand"]),
        "one image, ms, predict_proba": spread(single["predict_proba"]),
        "one image, ms, bare network": spread(single["bare network"]),
        "one image, ms above the bare network": float(
            np.median(single["predict_proba"]) - np.median(single["bare network"])
        ),
    }
    if options.device != "cpu":
        million = np.resize(X, (1_000_000, *X.shape[1:]))
        clf.predict_proba(million)
        rates = [len(million) / seconds(clf.predict_proba, million) for _ in range(3)]
        figures["images/s, predict_proba of 1,000,000"] = spread(rates)
    return {"figures": figures}


def onnx(X, y, options):
    """Predict with an estimator, and with onnxruntime from the file that it exports."""
    import onnxruntime

    if options.device != "cpu":
        raise SystemExit("onnxruntime is compared with on the CPU only.")
    X = X[:5_000]
    floats = X.astype(np.float32)
    settings = {"default": {}, "baseline": LESSON, "fast": recipes.fast}
    settings = {name: given for name, given in settings.items() if name not in options.skip}
    figures, all_threads = {}, torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        for name, given in settings.items():
            clf = ConvNetClassifier(**given).set_params(random_state=0, max_epochs=1)
            clf.fit(X[:2_560], y[:2_560])
            path = Path(folder, f"{name}.onnx")
            export_onnx(clf, path)
            for n_threads in sorted({1, all_threads}):
                own = onnxruntime.SessionOptions()
                own.intra_op_num_threads = n_threads
                session = onnxruntime.InferenceSession(path, own)
                torch.set_num_threads(n_threads)
                jobs = {
                    "skcnn": partial(clf.predict_proba, X),
                    "onnxruntime": partial(run, session, floats),
                }
                taken = in_turns(jobs, options.rounds, time.process_time)
                ratio = taken["skcnn"] / taken["onnxruntime"]
                figures[f"CPU time, skcnn / onnxruntime, {name}, threads: {n_threads}"] = spread(
                    ratio
                )
            difference = np.abs(run(session, floats[:256]) - clf.predict_proba(X[:256])).max()
            figures[f"greatest difference of probabilities, {name}"] = float(difference)
    torch.set_num_threads(all_threads)
    return {"figures": figures, "onnxruntime": onnxruntime.__version__}


def run(session, images):
    """Probabilities by onnxruntime, in batches as large as those of an estimator."""
    name = session.get_inputs()[0].name
    parts = [images[first : first + 256] for first in range(0, len(images), 256)]
    return np.concatenate([session.run(None, {name: part})[-1] for part in parts])


_MEMORY = """
import sys
import numpy as np
import torch

def megabytes(name):
    # The figure of getrusage would be that of the process that started this one.
    with open("/proc/self/status") as file:
        lines = dict(line.split(":") for line in file)
    return int(lines[name].split()[0]) * 1024 / 1e6

X, y = np.load(sys.argv[1]), np.load(sys.argv[2])
before = megabytes("VmRSS")
from skcnn import ConvNetClassifier, recipes
imported = megabytes("VmRSS")
parameters = getattr(recipes, sys.argv[3], {}) | {"max_epochs": 1}
ConvNetClassifier(**parameters, device=sys.argv[4]).fit(X, y)
print(megabytes("VmHWM") - before, imported - before)
"""


def memory(X, y, options):
    """Fit in a process of its own, and see how much memory that takes at most."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        images, labels = Path(folder, "X.npy"), Path(folder, "y.npy")
        np.save(images, X)
        np.save(labels, y)
        for name in ("lesson", "default"):
            arguments = name, options.device
            runs = [
                subprocess.run(
                    [sys.executable, "-c", _MEMORY, images, labels, *arguments],
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout.split()
                for _ in range(options.rounds)
            ]
            peak, imports = np.array(runs, dtype=float).T
            figures[f"MB above torch and X, {name}"] = spread(peak)
        figures["MB of which imports"] = spread(imports)
    return {"figures": figures, "n_images": len(X)}


class EpochTimes(Callback):
    """What each epoch takes by a clock."""

    def __init__(self, clock):
        self.clock = clock

    def on_train_begin(self, net, **kwargs):
        self.seconds = []

    def on_epoch_begin(self, net, **kwargs):
        self.start = self.clock()

    def on_epoch_end(self, net, **kwargs):
        self.seconds.append(self.clock() - self.start)


def recipe_fits(X, y, options):
    """What whole fits take, out of some of their epochs, in turns with the lesson's by skorch."""
    clfs = {
        name: ConvNetClassifier(**JOBS[name], device=options.device, random_state=0)
        for name in options.jobs
    }
    sizes = {name: clf.progressive_resizing or (1.0,) for name, clf in clfs.items()}
    epochs = {name: [] for name in clfs}
    clock = time.process_time if options.cpu_time else time.perf_counter

    def begin(name):
        timer = EpochTimes(clock)
        clf = clone(clfs[name]).set_params(max_epochs=2 * len(sizes[name]), callbacks=[timer])
        # What "auto" is with ALL_IMAGES, however many there are here.
        clf.set_params(batch_size=BATCH_SIZE).fit(X, y)
        # Of each size the first epoch: the last of all does more than train.
        epochs[name].append(np.array(timer.seconds[::2]))

    skorch = Skorch(lesson_data(X, y), options.device)
    jobs = {name: partial(begin, name) for name in epochs}
    taken = in_turns({**jobs, "skorch": lambda: skorch(1)}, options.rounds, clock)
    unit = LESSON["max_epochs"] * taken["skorch"]
    figures = {"seconds an epoch, skorch": spread(taken["skorch"])}
    for name in clfs:
        given = clfs[name].max_epochs
        n_epochs = choose_epochs(ALL_IMAGES) if isinstance(given, str) else given
        scales = [scale_of(epoch, n_epochs, sizes[name]) for epoch in range(n_epochs)]
        missing = [scales.count(scale) - 2 for scale in sizes[name]]
        # Without the round to warm up.
        whole = taken[name] + np.array(epochs[name][1:]) @ missing
        figures[f"seconds, {name}"] = spread(whole)
        figures[f"{name} / the lesson's job, skorch"] = spread(whole / unit)
    return {"figures": figures, "n_images": len(X), "clock": clock.__name__}


def compiled(X, y, options):
    """Epochs with and without `compile=True`, each fit in a new process with an empty cache."""
    figures = {}
    for name in options.jobs:
        ratios, more = [], []
        for number in range(options.rounds):
            taken = {}
            for compiles in (number % 2 == 0, number % 2 == 1):
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                    taken[compiles] = process.submit(
                        epochs_of_each_size, JOBS[name], X, y, compiles=compiles
                    ).result()
            first, others = taken[True]
            as_it_is = taken[False][1]
            ratios.append(others / as_it_is)
            more.append(first - others)
        figures[f"epoch, compiled / not, {name}"] = spread(ratios)
        figures[f"seconds to compile, {name}"] = spread(more)
    return {"figures": figures, "n_images": len(X)}


def epochs_of_each_size(parameters, X, y, *, compiles):
    """Processor seconds of the first epoch and of a later one, summed over sizes of images."""
    n_epochs = 4
    sizes = parameters.get("progressive_resizing") or (1.0,)
    # With those of the compilers that it starts, one at a time: torch keeps several for later
    # work, and their time would count when they end.
    timer = EpochTimes(lambda: sum(os.times()[:4]))
    clf = ConvNetClassifier(**parameters).set_params(
        max_epochs=n_epochs * len(sizes), batch_size=BATCH_SIZE, compile=compiles, random_state=0
    )
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"TORCHINDUCTOR_CACHE_DIR": folder, "TORCHINDUCTOR_COMPILE_THREADS": "1"}
        clf.set_params(callbacks=[timer]).fit(X, y)
    epochs = np.reshape(timer.seconds, (len(sizes), n_epochs))
    # The last of all does more than train.
    return epochs[:, 0].sum(), epochs[:, 1:3].mean(axis=1).sum()


MODES = {
    **{function.__name__: function for function in (train, predict, onnx, memory)},
    "recipes": recipe_fits,
    "compile": compiled,
}

if __name__ == "__main__":
    main()
