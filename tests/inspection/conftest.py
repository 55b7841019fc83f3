import matplotlib
import numpy as np
import pytest

from skcnn import ConvNetClassifier
from skcnn._data._arrays import Images
from skcnn.datasets import make_organisms

matplotlib.use("Agg")


@pytest.fixture(scope="session")
def organisms():
    """Images, and labels as strings."""
    X, y = make_organisms(n_samples=300, n_classes=4, image_size=24, random_state=0)
    return X, np.array(["leaf beetle", "Ursus_arctos_horribilis", "newt", "yew"])[y]


@pytest.fixture(scope="session")
def fitted(organisms):
    """A fitted network, which no test may change."""
    X, y = organisms
    clf = ConvNetClassifier((8, 16, 32), convs_per_block=1, max_epochs=8, random_state=0)
    return clf.fit(X, y, X_val=X[:50], y_val=y[:50])


@pytest.fixture
def gathered(monkeypatch):
    """Numbers of images that are gathered at once."""
    counts = []
    gather = Images.__getitem__

    def counting(images, rows):
        found = gather(images, rows)
        counts.append(len(found))
        return found

    monkeypatch.setattr(Images, "__getitem__", counting)
    return counts
