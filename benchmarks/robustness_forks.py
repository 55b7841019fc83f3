"""Answers of child processes: forked, spawned, and those of joblib."""

import multiprocessing
import os
import signal
import threading
import time
import warnings

import joblib
import numpy as np
from reporting import spread
from sklearn.base import clone

from skcnn import ConvNetClassifier
from skcnn._compute import _device
from skcnn.datasets import make_organisms

# Nothing here takes a second where it does not hang.
LONGEST = 60


def classifier(**parameters):
    """A network whose fits and predictions are computed in several threads."""
    defaults = {
        "filters": (32, 64),
        "max_epochs": 1,
        "batch_size": 16,
        "device": "cpu",
        "random_state": 0,
    }
    return ConvNetClassifier(**{**defaults, **parameters})


def images():
    return make_organisms(n_samples=48, n_classes=4, image_size=32, random_state=0)


def ask_in_fork(function, longest=LONGEST):
    """Call a function in a forked child: what it says, and after how many seconds."""
    reading, writing = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        answer = b"error"
        try:
            answer = str(function()).encode()
        finally:
            os.write(writing, answer)
            os._exit(0)
    os.close(writing)
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() - began > longest:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        time.sleep(0.005)
    with os.fdopen(reading, "rb") as pipe:
        return pipe.read().decode() or "no answer", time.monotonic() - began


def summarize(answers):
    """How many answers were right, and how long they took."""
    texts, seconds = zip(*answers)
    return {
        "children": len(answers),
        "right": texts.count("True"),
        "others": sorted(set(texts) - {"True"}),
        "seconds": spread(seconds),
    }


def forks(n_forks=50):
    """Forks after a fit and a prediction, while a thread fits, and while two threads compute."""
    warnings.filterwarnings("ignore", ".*multi-threaded.*fork", DeprecationWarning)
    X, y = images()
    clf = classifier().fit(X, y)
    expected = clf.predict_proba(X)
    fitted_again = clone(clf).fit(X, y).predict_proba(X)

    def ask():
        again = clone(clf).fit(X, y)
        return np.array_equal(clf.predict_proba(X), expected) and np.array_equal(
            again.predict_proba(X), fitted_again
        )

    figures = {}
    for name, works in {
        "after a fit and a prediction": [],
        "while a thread fits": [lambda rng: clone(clf).fit(X, y)],
        # Networks of other sizes keep torch's own tables of kernels changing.
        "while two threads fit and predict": [fit_any, fit_any],
    }.items():
        over = threading.Event()
        threads = [
            threading.Thread(target=repeat, args=(work, over, seed))
            for seed, work in enumerate(works)
        ]
        for thread in threads:
            thread.start()
        figures[name] = summarize([ask_in_fork(ask) for _ in range(n_forks)])
        over.set()
        for thread in threads:
            thread.join()
        print(name, figures[name], flush=True)
    return figures


def repeat(work, over, seed):
    rng = np.random.RandomState(seed)
    while not over.is_set():
        work(rng)


def fit_any(rng):
    X, y = images()
    n = rng.randint(20, 49)
    clf = classifier(filters=(int(rng.randint(4, 70)),), batch_size=int(rng.randint(9, 60)))
    clf.fit(X[:n], y[:n]).predict(X[: rng.randint(1, 49)])


def answer_right(clf, X, expected):
    """Predict in a child process, whose processor may be shared."""
    return str(np.array_equal(clf.predict_proba(X), expected))


def timed(clf, X, expected):
    began = time.monotonic()
    return answer_right(clf, X, expected), time.monotonic() - began


def other_processes(n_children=4):
    """Spawned children, and workers of joblib, asked after a fit and a prediction."""
    X, y = images()
    clf = classifier().fit(X, y)
    expected = clf.predict_proba(X)
    figures = {}
    for method in ("spawn", "forkserver"):
        began = time.monotonic()
        with multiprocessing.get_context(method).Pool(2) as pool:
            jobs = [pool.apply_async(timed, (clf, X, expected)) for _ in range(n_children)]
            answers = [job.get(10 * LONGEST) for job in jobs]
        figures[method] = summarize(answers)
        figures[method]["seconds with starting the processes"] = time.monotonic() - began
        print(method, figures[method], flush=True)
    for backend in ("multiprocessing", "loky", "threading"):
        began = time.monotonic()
        with joblib.parallel_config(backend):
            answers = joblib.Parallel(n_jobs=2)(
                joblib.delayed(timed)(clf, X, expected) for _ in range(n_children)
            )
        figures[f"joblib, {backend}"] = summarize(answers)
        figures[f"joblib, {backend}"]["seconds with starting the processes"] = (
            time.monotonic() - began
        )
        print(backend, figures[f"joblib, {backend}"], flush=True)
    return figures


def choices_of_precision(n_processes=300):
    """What precision="auto" is in processes that decide anew, while threads keep the CPU busy."""
    X, y = images()
    over = threading.Event()
    threads = [
        threading.Thread(target=repeat, args=(lambda rng: classifier().fit(X, y), over, 0))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    answers = [ask_in_fork(decide) for _ in range(n_processes)]
    over.set()
    for thread in threads:
        thread.join()
    found = [text for text, _ in answers]
    return {"processes": n_processes, "choices": {text: found.count(text) for text in set(found)}}


def decide():
    import torch

    _device._fast_precision.cache_clear()
    return _device.find_precision("auto", torch.device("cpu"))
