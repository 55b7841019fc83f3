"""What every estimator around an image network has: the summary of its network."""

import pytest

from skcnn import ConvNetClassifier


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_shape": (8, 8)}, "image_shape=.*n_classes=None. Expected both"),
        ({"n_classes": 3}, "image_shape=None and n_classes=3. Expected both"),
        ({"image_shape": (8,), "n_classes": 3}, "image_shape must be"),
        ({"image_shape": (1, 2, 0), "n_classes": 3}, "image_shape must be"),
        ({"image_shape": (2, 2), "n_classes": 3}, "pool_size"),
    ],
    ids=["shape", "classes", "short_shape", "empty_shape", "pooled_away"],
)
def test_a_summary_needs_to_know_what_of(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConvNetClassifier(filters=(4, 4)).summary(**arguments)


def test_the_summary_ahead_is_that_of_the_fitted_network(images, labels):
    clf = ConvNetClassifier(filters=(4, 5), max_epochs=1, random_state=0)
    ahead = clf.summary((8, 8, 3), 3)
    assert not hasattr(clf, "image_shape_")
    assert clf.fit(images, labels).summary() == ahead
