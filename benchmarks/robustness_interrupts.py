"""Ctrl-C at random moments of fits, predictions and searches: what is left afterwards."""

import copy
import gc
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from typing import ClassVar

import numpy as np
import torch
from sklearn.model_selection import GridSearchCV
from torch import nn

from skcnn import ConvNetClassifier, FeatureExtractor
from skcnn._compute import _fork, _rng, _threads
from skcnn.datasets import make_organisms
from skcnn.inspection import feature_maps, grad_cam, learning_rate_curve
from skcnn.networks import Backbone

# A process of its own sends the signal, so that it can come at any moment.
_SENDER = """
import os, signal, sys, time
for seconds in sys.stdin:
    time.sleep(float(seconds))
    os.kill(int(sys.argv[1]), signal.SIGINT)
    print(end=".", flush=True)
"""


class FaultError(Exception):
    """What must not be after an interruption."""


def classifier(**parameters):
    defaults = {
        "filters": (4, 8),
        "max_epochs": 4,
        "batch_size": 16,
        "device": "cpu",
        "precision": "float32",
        "random_state": 0,
    }
    return ConvNetClassifier(**{**defaults, **parameters})


class Fit:
    """A fit keeps its epochs with a warning; before its first batch nothing changes."""

    parameters: ClassVar = {}
    n_images = 64

    def __init__(self):
        self.X, self.y = make_organisms(
            n_samples=self.n_images, n_classes=3, image_size=8, random_state=0
        )
        self.before = None
        self.whole = self.start().fit(self.X, self.y).predict_proba(self.X)

    def start(self):
        return classifier(**self.parameters)

    def prepare(self):
        self.clf = self.start()

    def call(self):
        self.clf.fit(self.X, self.y)

    def outcome(self, interrupted, warned):
        if not hasattr(self.clf, "net_"):
            require(interrupted and self.before is None, "a fit returned without a network")
            return "KeyboardInterrupt before training, nothing changed"
        found = self.clf.predict_proba(self.X)
        require(np.isfinite(found).all(), "predictions are not finite")
        require(same(found, self.clf.predict_proba(self.X)), "two predictions differ")
        check_network(self.clf)
        if interrupted and self.before is not None and same(found, self.before):
            return "KeyboardInterrupt before training, nothing changed"
        if warned:
            require(not interrupted, "a warning and KeyboardInterrupt")
            require(len(self.clf.history_) == self.clf.n_iter_, "wrong number of epochs")
            return "kept with a warning"
        require(same(found, self.whole), "cut short without a warning")
        return "KeyboardInterrupt after training, all of it kept" if interrupted else "whole"

    def again(self):
        clf = self.start().fit(self.X, self.y)
        require(same(clf.predict_proba(self.X), self.whole), "a later fit has another result")


class AveragingFit(Fit):
    """The same where weights are averaged, and batch normalization takes new statistics."""

    parameters: ClassVar = {"weight_averaging": 0.5, "max_epochs": 2}


class WarmFit(Fit):
    """The same where training continues."""

    parameters: ClassVar = {"warm_start": True, "weight_averaging": 0.5, "max_epochs": 2}

    def __init__(self):
        self.fitted = None
        super().__init__()
        self.fitted = classifier(**self.parameters).fit(self.X, self.y)
        self.before = self.fitted.predict_proba(self.X)
        self.whole = self.start().fit(self.X, self.y).predict_proba(self.X)

    def start(self):
        return classifier(**self.parameters) if self.fitted is None else copy.deepcopy(self.fitted)


class StoppingFit(Fit):
    """The same with early stopping, which goes back to the best weights."""

    parameters: ClassVar = {"early_stopping": True, "max_epochs": 4}


def backbone(**parameters):
    """Stages of a small network, whose weights are the same in each fit."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        stages = [
            nn.Sequential(nn.Conv2d(n_inputs, n_outputs, 3), nn.BatchNorm2d(n_outputs), nn.ReLU())
            for n_inputs, n_outputs in ((3, 4), (4, 8))
        ]
    return Backbone(nn.Sequential(*stages), layer="", mean=[0.5] * 3, std=[0.2] * 3, **parameters)


class BackboneFit(Fit):
    """The same where a head is trained first, and then a part of the network below it."""

    parameters: ClassVar = {"filters": "auto", "max_epochs": 2, "module": backbone(unfreeze=1)}


class Predict:
    """A prediction raises KeyboardInterrupt, and later ones are right."""

    def __init__(self):
        X, y = make_organisms(n_samples=64, n_classes=3, image_size=8, random_state=0)
        self.clf = classifier(max_epochs=2).fit(X, y)
        self.X = np.tile(X, (100, 1, 1, 1))
        self.expected = self.compute()

    def compute(self):
        return self.clf.predict_proba(self.X)

    def prepare(self):
        self.found = None

    def call(self):
        self.found = self.compute()

    def outcome(self, interrupted, warned):
        require(not warned, "a prediction warns of an interruption")
        check_network(self.clf)
        if not interrupted:
            require(same(self.found, self.expected), "another result")
            return "whole"
        return "KeyboardInterrupt"

    def again(self):
        require(same(self.compute(), self.expected), "later predictions differ")


class Inspect(Predict):
    """So do the functions of skcnn.inspection, and a summary."""

    def compute(self):
        str(self.clf.summary()), str(self.clf.summary((8, 8), n_classes=3))
        maps = feature_maps(self.clf, self.X[:400]).mean(), grad_cam(self.clf, self.X[:400]).mean()
        return np.array(maps)


class Extract(Predict):
    """So do features of a network that is not trained."""

    def __init__(self):
        # Beforehand: torch itself cannot bear Ctrl-C where it makes layers.
        self.backbone = backbone()
        super().__init__()

    def compute(self):
        return FeatureExtractor(self.backbone).fit(self.X).transform(self.X[:1000])


class Search:
    """A search ends with KeyboardInterrupt, whatever it is doing."""

    def __init__(self):
        self.X, self.y = make_organisms(n_samples=64, n_classes=3, image_size=8, random_state=0)
        self.prepare()
        self.call()
        self.expected = self.score()

    def prepare(self):
        self.clf = GridSearchCV(
            classifier(max_epochs=2), {"lr": [0.05, 0.1]}, cv=2, n_jobs=1, error_score=np.nan
        )

    def call(self):
        self.clf.fit(self.X, self.y)

    def score(self):
        return self.clf.cv_results_["mean_test_score"]

    def outcome(self, interrupted, warned):
        if interrupted:
            return "KeyboardInterrupt"
        require(not warned, "a search went on after an interrupted fit")
        require(same(self.score(), self.expected), "other scores")
        return "whole"

    def again(self):
        self.prepare()
        self.call()
        require(same(self.score(), self.expected), "a later search has other scores")


class Finder(Predict):
    """So does a learning-rate test, which must not take a part for the whole."""

    def compute(self):
        X, y = self.X[:64], np.arange(64) % 3
        short = {"n_rates": 3, "n_steps": 10, "max_steps": 10}
        return learning_rate_curve(classifier(), X, y, **short).loss


SUBJECTS = {
    "fit": Fit,
    "predict": Predict,
    "search": Search,
    "fit with averaging": AveragingFit,
    "fit that continues": WarmFit,
    "fit with early stopping": StoppingFit,
    "fit of a backbone": BackboneFit,
    "features": Extract,
    "inspection": Inspect,
    "learning-rate test": Finder,
}


def require(condition, what):
    if not condition:
        raise FaultError(what)


def same(one, other):
    return one is not None and np.array_equal(one, other)


def check_network(clf):
    layers = [m for m in clf.module_.modules() if isinstance(m, nn.BatchNorm2d)]
    require(all(layer.momentum == 0.1 for layer in layers), "batch normalization has changed")
    require(not clf.module_.training, "the network is left in training mode")


def surroundings():
    """Everything that a call must leave as it was."""
    return {
        "gradient mode": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "number of threads": torch.get_num_threads(),
        "default type": (torch.get_default_dtype(), torch.get_default_device()),
        "autocast": torch.is_autocast_enabled("cpu"),
        "torch's generator": torch.get_rng_state().numpy().tobytes(),
        "numpy's generator": np.random.get_state()[1].tobytes(),  # noqa: NPY002
        "handler of Ctrl-C": signal.getsignal(signal.SIGINT),
        "filters of warnings": [*warnings.filters],
        "own counts": (
            [*_threads._settings.computing],
            [*_rng._turns.stack],
            [*_fork._computing.threads],
        ),
    }


def check_surroundings(before):
    after = surroundings()
    changed = [name for name in before if before[name] != after[name]]
    require(not changed, f"changed: {', '.join(changed)}")


class Sender:
    """Interrupts this process after some seconds, whatever it is doing."""

    def __init__(self):
        self.n_asked = 0
        # How often it has interrupted is in a file: reading a pipe may be interrupted, too.
        self.counter = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SENDER, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=self.counter,
            # A buffer could be written twice if the signal comes early.
            bufsize=0,
            start_new_session=True,
        )

    def interrupt(self, call, seconds):
        """Call a function: whether KeyboardInterrupt came out of it, and if it came at all."""
        raised, over = False, False
        self.n_asked += 1
        try:
            self.process.stdin.write(f"{seconds}\n".encode())
            call()
            over = True
            self.wait()
        except KeyboardInterrupt:
            raised = True
        self.wait()
        return raised and not over, raised

    def wait(self):
        while os.fstat(self.counter.fileno()).st_size < self.n_asked:
            time.sleep(0.002)
        # The signal is there as soon as its sender is back from the system.
        time.sleep(0.02)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.counter.close()


# What is raised there is dropped by Python, Ctrl-C as well: in functions that are called when an
# object ends, and in copyreg, which has an except clause without a type.
_DROPPING = ("weakref.py", "torch/_dynamo/utils.py", "torch/utils/weak.py", "copyreg.py")


class Tracer:
    """Interrupts a call before some line of Python, of whatever module, that it runs."""

    def __init__(self):
        self.n_lines = 0
        self.stop_at = -1
        # What is there now stays: looking through it before each call would take most of the time.
        gc.collect()
        gc.freeze()

    def trace(self, frame, event, argument):
        return None if frame.f_code.co_filename.endswith(_DROPPING) else self.trace_line

    def trace_line(self, frame, event, argument):
        if event == "line":
            self.n_lines += 1
            if self.n_lines == self.stop_at:
                # The rest of the call is several times as fast without it.
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
        return self.trace_line

    def interrupt(self, call, line):
        """As with a sender; the signal always comes during the call."""
        self.n_lines, self.stop_at = 0, line
        raised = False
        # The same lines each time, without those that the garbage of other work adds.
        gc.collect()
        gc.disable()
        sys.settrace(self.trace)
        try:
            call()
        except KeyboardInterrupt:
            raised = True
        finally:
            sys.settrace(None)
            gc.enable()
        return raised, raised or self.n_lines < line

    def count(self, call):
        self.interrupt(call, -1)
        return self.n_lines


def interrupt(subject, interrupter, moment):
    """Interrupt a call once: what came of it."""
    subject.prepare()
    before = surroundings()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        raised, came = interrupter.interrupt(subject.call, moment)
    check_surroundings(before)
    warned = any("interrupted" in str(warning.message) for warning in caught)
    outcome = subject.outcome(raised, warned)
    require(came or warned, "Ctrl-C had no effect")
    return outcome


def seconds_of(subject):
    """How long a call takes: the longest of three."""
    seconds = []
    for _ in range(3):
        subject.prepare()
        began = time.monotonic()
        subject.call()
        seconds.append(time.monotonic() - began)
    return max(seconds)


def interrupt_often(name, n_times=300, seed=0, every=20):
    """Interrupt calls at random moments, and before random lines of Python."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    subject, rng = SUBJECTS[name](), np.random.RandomState(seed)
    longest = seconds_of(subject)
    subject.prepare()
    tracer, sender = Tracer(), Sender()
    n_lines = tracer.count(subject.call)
    figures = {"seconds of a call": longest, "lines of a call": n_lines}
    for how, interrupter, moments in (
        ("at random moments", sender, rng.uniform(0, longest, n_times)),
        ("before random lines", tracer, rng.randint(1, n_lines, n_times)),
    ):
        outcomes, faults = Counter(), Counter()
        for number, moment in enumerate(moments):
            try:
                outcomes[interrupt(subject, interrupter, moment)] += 1
                if number % every == 0:
                    subject.again()
            except FaultError as fault:
                faults[str(fault)] += 1
                print(f"{name}, {how}, {moment}: {fault}", flush=True)
        figures[how] = {"outcomes": dict(outcomes), "faults": dict(faults)}
        print(f"{name}, {how}: {figures[how]}", flush=True)
    sender.close()
    return figures
