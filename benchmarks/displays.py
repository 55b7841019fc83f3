"""How long the displays take on 10,000 images: python benchmarks/displays.py

Fits a default network to images of made-up organisms and draws each display of skcnn.inspection
three times for 10,000 of them, all the way to pixels. Results go to results/displays_DEVICE.json.
"""

import time
from functools import partial

import matplotlib
import numpy as np
import torch
from matplotlib import pyplot as plt
from reporting import describe_machine, spread, store, versions

from skcnn import ConvNetClassifier, inspection
from skcnn.datasets import make_organisms

N_IMAGES, ROUNDS = 10_000, 3


def main():
    """Fit, draw, report."""
    matplotlib.use("Agg")
    X, y = make_organisms(n_samples=N_IMAGES, n_classes=10, image_size=32, random_state=0)
    y = np.array([f"species {number}" for number in range(10)])[y]
    clf = ConvNetClassifier(max_epochs=2, random_state=0).fit(X[:2_000], y[:2_000])
    figures = {}
    for name, draw in drawings(clf, X, y).items():
        seconds = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            draw().figure_.canvas.draw()
            seconds.append(time.perf_counter() - start)
            plt.close("all")
        figures[name] = spread(seconds)
        print(f"{name}: {figures[name]['median']:.2f} s", flush=True)
    store(
        f"displays_{clf.device_.type}",
        {
            "figures": figures,
            "n_images": N_IMAGES,
            "machine": describe_machine(clf.device_),
            "threads": torch.get_num_threads(),
            "versions": versions("matplotlib"),
        },
    )


def drawings(clf, X, y):
    """What draws each display, by its name."""
    given = {
        "ArchitectureDisplay": (),
        "FiltersDisplay": (),
        "HistoryDisplay": (),
        "LearningRateDisplay": None,  # it trains
    }
    calls = {}
    for name in inspection.__all__:
        if not name.endswith("Display") or given.get(name, (X, y)) is None:
            continue
        display = getattr(inspection, name)
        if name == "ImageGridDisplay":
            calls[name] = lambda display=display: display(X, y).plot()
        elif name == "ChannelsDisplay":
            calls[name] = lambda display=display: display(X[0]).plot()
        elif name == "FeatureMapsDisplay":
            calls[name] = partial(display.from_estimator, clf, X[0])
        else:
            calls[name] = partial(display.from_estimator, clf, *given.get(name, (X, y)))
    return calls


if __name__ == "__main__":
    main()
