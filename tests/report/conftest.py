import matplotlib
import numpy as np
import pytest

from skcnn import ConvNetClassifier

matplotlib.use("Agg")


@pytest.fixture(scope="session")
def classified(images, labels):
    """A network that is wrong now and then, which no test may change."""
    clf = ConvNetClassifier(filters=(4,), max_epochs=2, lr=0.02, random_state=0)
    return clf.fit(images[:30], labels[:30])


@pytest.fixture(scope="session")
def numbered(images):
    """A regressor of the brightness of images, and the numbers."""
    from skcnn import ConvNetRegressor

    y = images.mean(axis=(1, 2, 3)) / 100
    reg = ConvNetRegressor(filters=(4,), max_epochs=2, random_state=0)
    return reg.fit(images[:30], y[:30]), np.asarray(y)
