"""Everything that a fitted estimator and skcnn.inspection offer, from many threads at a time."""

import hashlib
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import torch
from reporting import spread
from sklearn.base import clone
from skorch.callbacks import Callback

from skcnn import (
    ConvNetClassifier,
    ConvNetRegressor,
    ConvNetSegmenter,
    FeatureExtractor,
    inspection,
)
from skcnn._utils import one_thread_at_a_time
from skcnn.datasets import make_organisms
from skcnn.networks import Backbone, CompactTransformer, ConvBlocks, UNet

# Methods that change the estimator, and those that scikit-learn makes for its own use.
LEFT_OUT = {
    "get_metadata_routing",
    "set_callbacks",
    "set_fit_request",
    "set_output",
    "set_params",
    "set_partial_fit_request",
    "set_score_request",
}
N_KINDS = 4
# Learning-rate curves of few steps.
SHORT = {"n_rates": 3, "n_steps": 10, "max_steps": 10, "lr_max": 1.0}


def small_classifier(**parameters):
    defaults = {
        "filters": (4, 8),
        "max_epochs": 2,
        "batch_size": 16,
        "device": "cpu",
        "precision": "float32",
        "random_state": 0,
    }
    return ConvNetClassifier(**{**defaults, **parameters})


def backbone(number):
    """A small network with weights of its own."""
    module = torch.nn.Conv2d(3, 4, 3, bias=False)
    values = np.random.RandomState(number).normal(size=module.weight.shape)
    module.weight.data = torch.tensor(values, dtype=torch.float32)
    return Backbone(module, layer="", mean=[0.5] * 3, std=[0.2] * 3)


class Calls:
    """Calls by name: each takes a number from 0, by which the images of a call differ."""

    def __init__(self):
        self.X, self.y = make_organisms(n_samples=96, n_classes=3, image_size=8, random_state=0)
        self.fitted = small_classifier(early_stopping=True).fit(self.X, self.y)
        self.transformer = small_classifier(
            module=CompactTransformer(depth=1, width=8, heads=2), filters="auto"
        ).fit(self.X, self.y)
        self.counter = ConvNetRegressor(
            (4, 8), loss="poisson", max_epochs=2, device="cpu", random_state=0
        ).fit(self.X, self.y)
        self.segmenter = ConvNetSegmenter(
            UNet(ConvBlocks((4, 8))), max_epochs=2, device="cpu", random_state=0
        ).fit(self.X, (self.X.mean(axis=3) > 127).astype(int))
        self.backbones = [backbone(number) for number in range(N_KINDS)]
        self.extractor = FeatureExtractor(self.backbones[0]).fit(self.X)
        self.by_name = {**self.methods(), **self.functions(), **self.displays()}
        public = {
            name
            for name in dir(ConvNetClassifier)
            if not name.startswith("_") and callable(getattr(ConvNetClassifier, name))
        }
        # The base of the displays draws nothing itself.
        shown = set(inspection.__all__) - {"Display"}
        missing = (public - LEFT_OUT | shown) - self.by_name.keys()
        assert not missing, f"nothing calls {missing}"

    def part(self, number):
        return slice(number * 20, (number + 1) * 20)

    def images(self, number):
        return self.X[self.part(number)]

    def methods(self):
        calls = {
            name: self.method(name)
            for name in (
                "decision_function",
                "predict",
                "predict_log_proba",
                "predict_proba",
                "transform",
            )
        }
        return calls | {
            "score": lambda number: self.fitted.score(self.images(number), self.y[:20]),
            "summary": lambda number: str(self.fitted.summary()),
            "summary, not fitted": lambda number: str(
                small_classifier(filters=(number + 1, 8)).summary((8, 8), n_classes=3)
            ),
            "get_feature_names_out": lambda number: self.fitted.get_feature_names_out(),
            "get_params": lambda number: repr(self.fitted.get_params()),
            "history_": lambda number: self.fitted.history_.drop(columns="seconds").to_numpy(
                float
            ),
            "pickle": lambda number: pickle.loads(pickle.dumps(self.fitted)).predict_proba(
                self.images(number)
            ),
            "fit": lambda number: self.fit(number).predict_proba(self.X[:8]),
            "fit_transform": lambda number: small_classifier(max_epochs=1).fit_transform(
                self.images(number), self.y[self.part(number)]
            ),
            "partial_fit": lambda number: self.fit(number, partial=True).predict_proba(self.X[:8]),
            "ConvNetRegressor.predict": lambda number: self.counter.predict(self.images(number)),
            "ConvNetSegmenter.predict": lambda number: self.segmenter.predict(self.images(number)),
            "FeatureExtractor.fit": lambda number: (
                FeatureExtractor(self.backbones[number]).fit(self.X).transform(self.X[:8])
            ),
            "FeatureExtractor.transform": lambda number: self.extractor.transform(
                self.images(number)
            ),
        }

    def method(self, name):
        return lambda number: getattr(self.fitted, name)(self.images(number))

    def fit(self, number, partial=False):
        clf = clone(self.fitted).set_params(max_epochs=1, dropout=0.1 * number)
        return (clf.partial_fit if partial else clf.fit)(
            self.images(number), self.y[self.part(number)]
        )

    def functions(self):
        return {
            "attention_maps": lambda n: inspection.attention_maps(
                self.transformer, self.images(n)
            ),
            "density_map": lambda n: inspection.density_map(self.counter, self.images(n)),
            "feature_maps": lambda n: inspection.feature_maps(self.fitted, self.images(n), n % 2),
            "filters": lambda n: inspection.filters(self.fitted, n % 2),
            "find_duplicates": lambda n: inspection.find_duplicates(
                np.repeat(self.images(n)[:4], 2, axis=0), np.arange(8)
            ).to_numpy(dtype=float),
            "grad_cam": lambda n: inspection.grad_cam(self.fitted, self.images(n)),
            "learning_rate_curve": lambda n: (
                inspection.learning_rate_curve(
                    self.fitted, self.images(n), self.y[self.part(n)], **SHORT
                ).loss
            ),
        }

    def displays(self):
        def of_images(kind, estimator=self.fitted, **options):
            return lambda n: kind.from_estimator(estimator, self.images(n)[:2], **options)

        def of_labels(kind, **options):
            return lambda n: kind.from_estimator(
                self.fitted, self.images(n), self.y[self.part(n)], **options
            )

        kinds = inspection
        displays = {
            "ArchitectureDisplay": lambda n: kinds.ArchitectureDisplay.from_estimator(self.fitted),
            "AttentionDisplay": of_images(kinds.AttentionDisplay, self.transformer),
            "ChannelsDisplay": lambda n: kinds.ChannelsDisplay(self.images(n)[0]).plot(),
            "ConfusionDisplay": of_labels(kinds.ConfusionDisplay),
            "DensityDisplay": of_images(kinds.DensityDisplay, self.counter),
            "EmbeddingDisplay": of_labels(kinds.EmbeddingDisplay),
            "FeatureMapsDisplay": lambda n: kinds.FeatureMapsDisplay.from_estimator(
                self.fitted, self.images(n)[0], ["block1"], max_maps=2
            ),
            "FiltersDisplay": lambda n: kinds.FiltersDisplay.from_estimator(
                self.fitted, n % 2, max_filters=2
            ),
            "GradCAMDisplay": of_images(kinds.GradCAMDisplay),
            "HistoryDisplay": lambda n: kinds.HistoryDisplay.from_estimator(self.fitted),
            "ImageGridDisplay": lambda n: kinds.ImageGridDisplay(self.images(n)[:4]).plot(),
            "LearningRateDisplay": of_labels(kinds.LearningRateDisplay, **SHORT),
            "MaskDisplay": of_images(kinds.MaskDisplay, self.segmenter),
            "PredictionsDisplay": of_labels(kinds.PredictionsDisplay, max_images=2),
            "ProbabilitiesDisplay": of_labels(kinds.ProbabilitiesDisplay, max_images=2),
            "TopLossesDisplay": of_labels(kinds.TopLossesDisplay, max_images=2),
        }
        return {name: lambda n, draw=draw: drawn(draw(n)) for name, draw in displays.items()}


# Pyplot cannot close a figure while another thread makes one, whoever asks for it.
close_alone = one_thread_at_a_time(plt.close)


def drawn(display):
    """The numbers of a display and what is in its figure, which is closed."""
    figure = display.figure_
    close_alone(figure)
    arrays = [value for _, value in sorted(vars(display).items()) if is_number_array(value)]
    texts = [text.get_text() for text in figure.findobj(matplotlib.text.Text)]
    return [*arrays, str([len(ax.get_children()) for ax in figure.axes]), str(texts)]


def is_number_array(value):
    return isinstance(value, np.ndarray) and value.dtype.kind in "biuf"


def digest(result):
    """A hash of arrays and texts."""
    parts = result if isinstance(result, list) else [result]
    whole = hashlib.sha256()
    for part in parts:
        is_array = isinstance(part, np.ndarray) and part.dtype.kind != "O"
        whole.update(np.ascontiguousarray(part).tobytes() if is_array else repr(part).encode())
    return whole.hexdigest()


def call_in_threads(call, n_threads, n_calls):
    """How many calls in threads give another result than alone, or an error."""
    alone = [digest(call(number)) for number in range(N_KINDS)]
    start = threading.Barrier(n_threads)

    def run(first):
        start.wait(60)
        wrong = []
        for place in range(first, n_calls, n_threads):
            number = place % N_KINDS
            try:
                if digest(call(number)) != alone[number]:
                    wrong.append("another result")
            except Exception as error:
                wrong.append(f"{type(error).__name__}: {error}"[:200])
        return wrong

    began = time.monotonic()
    with ThreadPoolExecutor(n_threads) as pool:
        wrong = [text for texts in pool.map(run, range(n_threads)) for text in texts]
    return {
        "calls": n_calls,
        "wrong": len(wrong),
        "what": sorted(set(wrong)),
        "seconds": time.monotonic() - began,
    }


def new_number_of_threads():
    """Torch's number of threads in a thread that starts now."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


def all_in_threads(n_threads=16, n_calls=640, names=()):
    """Call everything, one after the other, and all of it mixed."""
    calls = Calls()
    before = torch.get_num_threads(), new_number_of_threads(), torch.get_rng_state()
    chosen = {name: call for name, call in calls.by_name.items() if not names or name in names}
    figures = {}
    for name, call in chosen.items():
        figures[name] = call_in_threads(call, n_threads, n_calls)
        print(f"{name:24}", figures[name], flush=True)
    after = torch.get_num_threads(), new_number_of_threads(), torch.get_rng_state()
    return {
        "threads": n_threads,
        "calls": figures,
        "wrong in all": sum(row["wrong"] for row in figures.values()),
        "torch's number of threads and generator as before": before[:2] == after[:2]
        and torch.equal(before[2], after[2]),
        "open figures": len(plt.get_fignums()),
    }


class Until(Callback):
    """Ends a fit after some seconds."""

    def __init__(self, seconds):
        self.seconds = seconds

    def on_train_begin(self, net, **kwargs):
        self.end = time.monotonic() + self.seconds

    def on_epoch_end(self, net, **kwargs):
        if time.monotonic() > self.end:
            raise KeyboardInterrupt


def predict_beside_a_fit(seconds=30):
    """How long predictions take while another thread fits, and alone."""
    X, y = make_organisms(n_samples=640, n_classes=4, image_size=32, random_state=0)
    network = {"filters": (32, 64), "max_epochs": 1}
    clf = small_classifier(**network).fit(X, y)
    fits = small_classifier(**network, batch_size=32, callbacks=[Until(seconds)])
    fits.set_params(max_epochs=10_000)
    figures = {}
    for n_images in (1, 64):
        expected = clf.predict_proba(X[:n_images])
        alone, beside, wrong = [], [], 0
        for _ in range(20):
            began = time.monotonic()
            clf.predict_proba(X[:n_images])
            alone.append(time.monotonic() - began)
        thread = threading.Thread(target=fits.fit, args=(X, y))
        thread.start()
        while thread.is_alive():
            began = time.monotonic()
            wrong += not np.array_equal(clf.predict_proba(X[:n_images]), expected)
            beside.append(time.monotonic() - began)
            time.sleep(0.02)
        thread.join()
        figures[f"{n_images} images"] = {
            "seconds alone": spread(alone),
            "seconds beside a fit": spread(beside),
            "wrong": wrong,
        }
        print(n_images, figures[f"{n_images} images"], flush=True)
    return {"fit of seconds": seconds, **figures}
