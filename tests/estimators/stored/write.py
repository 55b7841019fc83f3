"""Write files of the current format, each with what its estimator answers, once for each format.

Run it when `FORMAT` in skcnn/_storage/_container.py has gone up, and commit the new files. Those
of former formats stay as they are: they must be loaded forever.
"""

import json
from pathlib import Path

import numpy as np

import skcnn
from skcnn._storage._container import FORMAT
from skcnn.augmentation import Cutout, Shift
from skcnn.datasets import make_organisms
from skcnn.networks import Backbone, CompactTransformer, ConvBlocks
from skcnn.optimizers import SGD

FOLDER = Path(__file__).parent


def main():
    X, y = make_organisms(n_samples=90, n_classes=3, image_size=8, random_state=0)
    common = {"max_epochs": 2, "random_state": 0, "device": "cpu", "precision": "float32"}
    blocks = skcnn.ConvNetClassifier(
        filters=(4, 8),
        early_stopping=True,
        augment=[Shift(0.1), "flip", Cutout(0.3)],
        optimizer=SGD(momentum=0.8),
        class_weight={"ant": 1.0, "bee": 2.0, "moth": 1.5},
        **common,
    )
    transformer = skcnn.ConvNetClassifier(
        module=CompactTransformer(width=8, depth=1, heads=2, tokenizer_layers=1),
        optimizer="adamw",
        lr=0.003,
        **common,
    )
    days = np.array(["2026-01-01", "2026-06-01", "2027-01-01"], dtype="datetime64[D]")
    donor = skcnn.ConvNetClassifier(
        module=ConvBlocks(filters=(4,), stem="whitening", symmetry="mirror"), **common
    )
    write("blocks", blocks.fit(X, np.array(["ant", "bee", "moth"])[y]), X)
    write("transformer", transformer.fit(X, np.array([10, 20, 30])[y]), X)
    donor.fit(X, days[y].astype(str))
    write("backbone", skcnn.ConvNetClassifier(module=Backbone(donor), **common).fit(X, y > 0), X)
    backbone = Backbone(donor, layer="block1", pooling="max")
    write("extractor", skcnn.FeatureExtractor(backbone).fit(X), X)


def write(name, estimator, X):
    path = FOLDER / f"format{FORMAT}_{name}.skcnn"
    n = len(getattr(estimator, "classes_", X[:3]))
    answers = {
        "kind": type(estimator).__name__,
        "images": X[:n].tolist(),
        "features": estimator.transform(X[:n]).round(5).tolist(),
    }
    if hasattr(estimator, "predict_proba"):
        answers |= {
            "proba": estimator.predict_proba(X[:n]).round(5).tolist(),
            "classes": [str(label) for label in estimator.classes_],
            "epochs": len(estimator.history_),
        }
    skcnn.save(estimator, path)
    path.with_suffix(".json").write_text(json.dumps(answers), encoding="utf-8")
    print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
