import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from _image_files import write_images
from matplotlib.offsetbox import AnnotationBbox
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.preprocessing import StandardScaler

from skcnn.inspection import EmbeddingDisplay


def pictures(display):
    return [a for a in display.ax_.get_children() if isinstance(a, AnnotationBbox)]


def test_images_lie_where_the_components_of_their_features_say(fitted, organisms):
    X, y = organisms
    display = EmbeddingDisplay.from_estimator(fitted, X, y)
    pca = PCA(n_components=2)
    np.testing.assert_array_equal(display.embedding, pca.fit_transform(fitted.transform(X)))
    drawn = np.concatenate([points.get_offsets() for points in display.ax_.collections])
    assert {tuple(place) for place in drawn} == {tuple(place) for place in display.embedding}
    assert (
        display.ax_.get_xlabel() == f"PCA 1 ({pca.explained_variance_ratio_[0]:.0%} of variance)"
    )
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert names == sorted(set(y))


def test_images_are_shown_at_their_places_and_none_on_another(fitted, organisms):
    X, y = organisms
    display = EmbeddingDisplay.from_estimator(fitted, X, y)
    shown = pictures(display)
    assert 5 < len(shown) <= 80
    places = {tuple(place): image for place, image in zip(display.embedding, X)}
    for box in shown:
        image = places[tuple(box.xy)]
        np.testing.assert_allclose(box.offsetbox.get_data(), image / 255, atol=1e-6)
    display.figure_.canvas.draw()
    boxes = [box.get_window_extent() for box in shown]
    for number, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[:number])
    assert len(pictures(display.plot(max_images=3))) == 3
    assert pictures(EmbeddingDisplay(embedding=display.embedding).plot()) == []


def test_any_transformer_lays_out_and_stays_as_it_is(fitted, organisms):
    X, y = organisms
    transformer = LinearDiscriminantAnalysis(n_components=2)
    display = EmbeddingDisplay.from_estimator(fitted, X, y, transformer=transformer)
    expected = LinearDiscriminantAnalysis(n_components=2).fit_transform(fitted.transform(X), y)
    np.testing.assert_array_equal(display.embedding, expected)
    assert not hasattr(transformer, "scalings_")


def test_names_of_many_classes_are_apart_and_near_their_images():
    rng = np.random.default_rng(0)
    labels = np.array([f"species_{number}" for number in range(40)]).repeat(5)
    middles = rng.normal(size=(40, 2)).repeat(5, axis=0)
    display = EmbeddingDisplay(embedding=middles + rng.normal(size=(200, 2)) / 20, labels=labels)
    display.plot()
    assert display.ax_.get_legend() is None
    texts = {text.get_text(): text for text in display.ax_.texts}
    assert set(texts) == set(labels)
    display.figure_.canvas.draw()
    for name, text in texts.items():
        inside = display.ax_.transData.transform([text.get_position(), middles[labels == name][0]])
        assert np.abs(inside[0] - inside[1]).max() < 120


def test_grey_images_and_axes_of_a_figure(fitted, organisms):
    X, _ = organisms
    embedding = np.random.default_rng(0).normal(size=(30, 2))
    figure, (_, right) = plt.subplots(1, 2, figsize=(12, 5))
    display = EmbeddingDisplay(embedding=embedding, images=X[:30, ..., :1]).plot(right)
    assert (display.ax_, display.figure_) == (right, figure)
    assert pictures(display)[0].offsetbox.get_data().shape == (24, 24, 3)
    assert display.ax_.get_legend() is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embedding": np.zeros((4, 3))}, r"embedding has the shape \(4, 3\), expected \(n, 2\)"),
        ({"embedding": np.zeros((4, 2)), "labels": [1]}, "inconsistent numbers of samples"),
    ],
)
def test_bad_embeddings(arguments, message):
    with pytest.raises(ValueError, match=message):
        EmbeddingDisplay(**arguments)


def test_names_are_shown_as_they_are():
    places = np.random.default_rng(0).normal(size=(30, 2))
    # No formula that matplotlib could draw.
    for names in (["_background", r"$\deer$", "oak"], [rf"$\deer {n}$" for n in range(15)]):
        display = EmbeddingDisplay(embedding=places, labels=np.resize(names, 30)).plot()
        display.figure_.canvas.draw()
        legend = display.ax_.get_legend()
        texts = display.ax_.texts if legend is None else legend.get_texts()
        assert {text.get_text().strip().replace(r"\$", "$") for text in texts} == set(names)


def test_numbers_have_a_scale_of_colors():
    places = np.random.default_rng(0).normal(size=(40, 2))
    numbers = np.linspace(-1, 2, 40)
    for labels in (numbers, pd.Series(numbers).astype(object).where(numbers < 1.5, None)):
        display = EmbeddingDisplay(embedding=places, labels=labels).plot()
        known = pd.notna(labels)
        unknown_points, points = display.ax_.collections
        assert len(unknown_points.get_offsets()) == np.sum(~known)
        np.testing.assert_array_equal(points.get_offsets(), places[known])
        np.testing.assert_array_equal(points.get_array(), numbers[known])
        assert display.ax_.get_legend() is None
        assert not list(display.ax_.texts)
        assert len(display.figure_.axes) == 2


@pytest.mark.parametrize("nothing", [None, np.nan])
def test_images_without_a_label_are_shown_as_such(nothing):
    places = np.random.default_rng(0).normal(size=(40, 2))
    labels = np.array(["elk", "oak", nothing, 7], dtype=object)[np.arange(40) % 4]
    display = EmbeddingDisplay(embedding=places, labels=labels).plot()
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert names == ["7", "elk", "oak", "no label"]
    for number, place in enumerate((3, 0, 1, 2)):
        points = display.ax_.collections[number].get_offsets()
        np.testing.assert_array_equal(points, places[np.arange(40) % 4 == place])


def test_long_names_leave_space_for_the_map(fitted, organisms):
    X, y = organisms
    long = np.char.add(y, " (Linnaeus, 1758), juveniles and subadults, seen from the side")
    display = EmbeddingDisplay.from_estimator(fitted, X, long)
    display.figure_.canvas.draw()
    assert display.ax_.get_position().width > 0.5


def test_files_that_were_skipped_are_left_out(fitted, organisms, tmp_path):
    X, y = organisms
    paths = write_images(tmp_path, X[:20])
    skipping = clone(fitted).set_params(on_error="skip", max_epochs=1).fit(X, y)
    mixed = ["missing.png", *paths[1:]]
    with pytest.warns(UserWarning, match="1 of 20"):
        display = EmbeddingDisplay.from_estimator(skipping, mixed, y[:20])
    expected = EmbeddingDisplay.from_estimator(skipping, paths[1:], y[1:20])
    np.testing.assert_array_equal(display.embedding, expected.embedding)
    np.testing.assert_array_equal(display.labels, y[1:20])
    np.testing.assert_array_equal(display.images[:], X[1:20])
    with (
        pytest.warns(UserWarning, match="1 of 2"),
        pytest.raises(ValueError, match=r"holds 1 image\(s\) that can be read"),
    ):
        EmbeddingDisplay.from_estimator(skipping, mixed[:2])


def test_a_transformer_to_more_columns_is_refused(fitted, organisms):
    with pytest.raises(ValueError, match=r"StandardScaler\(\) returned an array of shape \(300, "):
        EmbeddingDisplay.from_estimator(fitted, *organisms, transformer=StandardScaler())


def test_one_image_and_several_columns_of_labels_are_refused(fitted, organisms):
    X, y = organisms
    with pytest.raises(ValueError, match=r"X holds 1 image. Expected at least 2"):
        EmbeddingDisplay.from_estimator(fitted, X[:1])
    with pytest.raises(ValueError, match=r"have the shape \(9, 2\), expected one label per image"):
        EmbeddingDisplay.from_estimator(fitted, X[:9], np.column_stack([y[:9], y[:9]]))
