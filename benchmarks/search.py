"""What a grid search over small networks costs, in one process and in two.

    python benchmarks/search.py [MODE ...] --data DIR [--rounds N]

MODE is one or several of

    time      12 candidates x 3 folds: one process or two, one thread or two
    memory    what each of two worker processes takes at most
    overhead  what the search adds to its fits, in one process

and all of them by default. Each search runs in a process of its own. Without --data the images
are made up. Prints its figures, and stores them in results/.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from reporting import describe_machine, spread, store, versions
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold

from skcnn import ConvNetClassifier
from skcnn.datasets import fetch_cifar100, make_organisms

GRID = {"filters": [(8, 16), (16, 32)], "lr": [0.05, 0.1, 0.2], "dropout": [0.0, 0.1]}
N_FOLDS = 3
# Threads of torch, and n_jobs.
SETUPS = {"1 thread": (1, 1), "2 threads": (2, 1), "2 x 1 thread": (1, 2), "2 in turns": (2, 2)}


def main():
    """Run the modes that the command line asks for."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("modes", nargs="*", metavar="MODE", help=", ".join(MODES))
    arguments.add_argument("--data", type=Path, help="folder that holds, or will hold, CIFAR-100")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--images", type=int, default=6_000, help="fewer, for a trial")
    arguments.add_argument("--epochs", type=int, default=2)
    arguments.add_argument("--search", type=int, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.search is not None:
        print(json.dumps(run_search(options.search, options)))
        return
    unknown = set(options.modes) - set(MODES)
    if unknown:
        arguments.error(f"unknown modes {sorted(unknown)}; there are {', '.join(MODES)}")
    for mode in options.modes or MODES:
        print(f"\n{mode}, on {describe_machine('cpu')}", flush=True)
        result = MODES[mode](options)
        result |= {
            "machine": describe_machine("cpu"),
            "threads": 2 if mode == "time" else 1,
            "images": "CIFAR-100, ecology" if options.data else "made up",
            "n_images": options.images,
            "epochs": options.epochs,
            "versions": versions("joblib", "distributed"),
        }
        for name, figure in result["figures"].items():
            print(f"  {name}: {figure}")
        # How much the start of workers weighs depends on how long a fit is.
        length = f"_{options.epochs}_epochs" if mode == "time" else ""
        store(f"search_{mode}{length}", result)


def read_images(options):
    """Some of the real images where the user has them."""
    if not options.data:
        X, y = make_organisms(options.images, n_classes=10, image_size=32, random_state=0)
        return X, y
    X, y = fetch_cifar100(categories="ecology", data_home=options.data, return_X_y=True)
    rows = np.random.RandomState(0).permutation(len(X))[: options.images]
    return X[rows], y[rows]


def make_search(options, **parameters):
    """12 candidates x 3 folds; the same folds for everybody."""
    clf = ConvNetClassifier(
        convs_per_block=1, max_epochs=options.epochs, device="cpu", random_state=0
    )
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=0)
    return GridSearchCV(clf, GRID, cv=folds, error_score="raise", **parameters)


def score(clf, X, y):
    """Return accuracy, and who worked when, for the search to hand on."""
    return {
        "accuracy": accuracy_score(y, clf.predict(X)),
        "pid": os.getpid(),
        "ended": time.time(),
        "epochs": clf.history_["seconds"].sum(),
    }


def run_search(n_jobs, options):
    """Search in this process, and say what came out and where the time went."""
    X, y = read_images(options)
    with MemoryWatch() as watch:
        start = time.time()
        search = make_search(options, n_jobs=n_jobs, scoring=score, refit="accuracy").fit(X, y)
        seconds = time.time() - start
    results = search.cv_results_
    split = {
        name: np.array([results[f"split{fold}_test_{name}"] for fold in range(N_FOLDS)]).T
        for name in ("accuracy", "pid", "ended", "epochs")
    }
    fit, scoring = results["mean_fit_time"], results["mean_score_time"]
    first = [split["ended"][split["pid"] == pid].min() for pid in np.unique(split["pid"])]
    in_fits = (fit + scoring).sum() * N_FOLDS
    n_fits = split["accuracy"].size
    return {
        "seconds": seconds,
        "seconds without refit": seconds - search.refit_time_,
        "scores": split["accuracy"].tolist(),
        "best": repr(search.best_params_),
        "start-up": float(np.mean(first) - start - (fit + scoring)[0]),
        "epochs": float(split["epochs"].mean()),
        "rest of fit": float(fit.mean() - split["epochs"].mean()),
        "scoring": float(scoring.mean()),
        "else": float(((seconds - search.refit_time_) * n_jobs - in_fits) / n_fits),
        "megabytes": watch.most,
        "megabytes of images": X.nbytes / 1e6,
    }


class MemoryWatch:
    """See how much memory the worker processes of this one take, shared pages by their share."""

    def __enter__(self):
        self.most = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._stop.set()
        self._thread.join()

    def _watch(self):
        while not self._stop.wait(0.2):
            now = {pid: pss(pid) for pid in children(os.getpid())}
            for pid, megabytes in now.items():
                self.most[pid] = max(megabytes, self.most.get(pid, 0))


def children(parent):
    """Processes that a process has started; none where the system does not list them."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name before it, in brackets, may hold anything.
            found = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if found == parent:
            yield int(path.parent.name)


def pss(pid):
    """Megabytes of a process, of each page as much as its share among those who have it."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


def search_apart(threads, n_jobs, options):
    """Run a search in a process of its own."""
    command = [sys.executable, __file__, "--search", str(n_jobs)]
    command += ["--images", str(options.images), "--epochs", str(options.epochs)]
    command += ["--data", str(options.data)] if options.data else []
    environment = {name: v for name, v in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment["SKCNN_NUM_THREADS"] = str(threads)
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def time_(options):
    """Search in each of the ways in turns."""
    found = {name: [] for name in SETUPS}
    for number in range(options.rounds):
        for name, setup in [*SETUPS.items()][:: -1 if number % 2 else 1]:
            found[name].append(search_apart(*setup, options))
            print(f"  round {number}, {name}: {found[name][-1]['seconds']:.1f} s", flush=True)

    def values(name, key="seconds"):
        return np.array([run[key] for run in found[name]])

    one, two, side, turns = SETUPS
    figures = {f"seconds, {name}": spread(values(name)) for name in SETUPS}
    pairs = {(one, side), (two, side), (two, turns)}
    figures |= {f"{a} / {b}": spread(values(a) / values(b)) for a, b in sorted(pairs)}
    without = "seconds without refit"
    figures["without refit, 1 thread / 2 x 1 thread"] = spread(
        values(one, without) / values(side, without)
    )
    for part in ("start-up", "epochs", "rest of fit", "scoring", "else"):
        figures[f"{part}, s, {side}"] = spread(values(side, part))
    scores = {name: np.array([run["scores"] for run in found[name]]) for name in SETUPS}
    return {
        "figures": figures,
        "same scores with n_jobs=1 and 2, one thread": same(scores[one], scores[side]),
        "same scores with n_jobs=1 and 2, two threads": same(scores[two], scores[turns]),
        "most that scores differ between one and two threads": float(
            np.abs(scores[one] - scores[two]).max()
        ),
        "best": {name: found[name][0]["best"] for name in SETUPS},
    }


def same(scores, others):
    """Whether all the scores of all rounds are the same."""
    return bool((scores == scores[0]).all() and (others == scores[0]).all())


def memory(options):
    """Watch the workers of a search with two of them."""
    runs = [search_apart(1, 2, options) for _ in range(options.rounds)]
    if not all(len(run["megabytes"]) >= 2 for run in runs):
        sys.exit("This system does not tell how much memory processes share: /proc is missing.")
    return {
        "figures": {
            "MB a worker at most": spread([max(run["megabytes"].values()) for run in runs]),
            # The third child is joblib's, and looks after files.
            "MB of all workers": spread([sum(run["megabytes"].values()) for run in runs]),
            "MB of images": runs[0]["megabytes of images"],
        }
    }


def overhead(options):
    """Search, and do the same fits and scores in a bare loop, in turns in this process."""
    X, y = read_images(options)
    search = make_search(options, n_jobs=1, refit=False)
    folds = [*search.cv.split(X, y)]
    taken = {"search": [], "loop": []}
    shares = []

    def loop():
        for candidate in ParameterGrid(GRID):
            for train, test in folds:
                clf = clone(search.estimator).set_params(**candidate)
                clf.fit(X[train], y[train]).score(X[test], y[test])

    search.estimator.fit(X[:500], y[:500])
    jobs = {"search": lambda: search.fit(X, y), "loop": loop}
    for number in range(options.rounds):
        for name, job in [*jobs.items()][:: -1 if number % 2 else 1]:
            start = time.perf_counter()
            job()
            taken[name].append(time.perf_counter() - start)
        results = search.cv_results_
        inside = (results["mean_fit_time"] + results["mean_score_time"]).sum() * N_FOLDS
        shares.append(100 * (taken["search"][-1] / inside - 1))
        print(f"  round {number} of {options.rounds}", flush=True)
    return {
        "figures": {
            "search / loop": spread(np.array(taken["search"]) / np.array(taken["loop"])),
            "percent above fits and scores as the search times them": spread(shares),
            "seconds, search": spread(taken["search"]),
        }
    }


MODES = {"time": time_, "memory": memory, "overhead": overhead}

if __name__ == "__main__":
    main()
