"""The displays: what they show, where, and that nothing overlaps or is cut."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import matplotlib.pyplot as plt
import numpy as np
import pytest
from _helpers import let_threads_meet_in_pyplot, small_net
from sklearn.exceptions import NotFittedError

from skcnn import ConvNetClassifier
from skcnn.inspection import (
    ArchitectureDisplay,
    ChannelsDisplay,
    ConfusionDisplay,
    EmbeddingDisplay,
    FeatureMapsDisplay,
    FiltersDisplay,
    GradCAMDisplay,
    HistoryDisplay,
    ImageGridDisplay,
    PredictionsDisplay,
    ProbabilitiesDisplay,
    TopLossesDisplay,
    grad_cam,
)

NAMES = ("ape", "Ursus_arctos_horribilis", "leaf beetle", "yew", "newt", "oak", "elk")


def all_displays(clf, X, y):
    return [
        HistoryDisplay.from_estimator(clf),
        PredictionsDisplay.from_estimator(clf, X, y),
        TopLossesDisplay.from_estimator(clf, X, y),
        FiltersDisplay.from_estimator(clf),
        FiltersDisplay.from_estimator(clf, -1),
        FeatureMapsDisplay.from_estimator(clf, X[0]),
        GradCAMDisplay.from_estimator(clf, X[:5]),
        ImageGridDisplay(X, y).plot(),
        ConfusionDisplay.from_estimator(clf, X, y),
        ChannelsDisplay(X[0]).plot(),
        ProbabilitiesDisplay.from_estimator(clf, X, y),
        ArchitectureDisplay.from_estimator(clf),
        EmbeddingDisplay.from_estimator(clf, X, y),
    ]


def texts_of(figure):
    """All pieces of text that are drawn, with the boxes in pixels that they take."""
    figure.canvas.draw()
    texts = [figure._suptitle] if figure._suptitle else []
    texts += [text for legend in figure.legends for text in legend.get_texts()]
    for ax in figure.axes:
        texts += ax.texts
        if not ax.axison:
            continue
        texts += [ax.title, ax.xaxis.label, ax.yaxis.label]
        texts += ax.get_legend().get_texts() if ax.get_legend() else []
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            texts += [
                tick.label1
                for tick in axis.get_major_ticks()
                if low <= tick.get_loc() <= high and tick.label1.get_visible()
            ]
    return [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text()]


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 10, 61])
@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3), (224, 224, 3)])
def test_no_text_is_cut_or_lies_on_other_text(n_classes, shape):
    rng = np.random.RandomState(0)
    y = np.array([f"{name}_{n}" for n, name in zip(range(n_classes), itertools.cycle(NAMES))])
    y = y[np.arange(max(30, 2 * n_classes)) % n_classes]
    X = rng.randint(256, size=(len(y), *shape)).astype(np.uint8)
    clf = ConvNetClassifier(filters=(8, 8, 16), max_epochs=2, random_state=0)
    clf.fit(X, y, X_val=X[:20], y_val=y[:20])
    for display in all_displays(clf, X, y):
        name = type(display).__name__
        width, height = display.figure_.canvas.get_width_height()
        texts = texts_of(display.figure_)
        for text, box in texts:
            assert box.x0 >= -1, f"{name}: {text}"
            assert box.y0 >= -1, f"{name}: {text}"
            assert box.x1 <= width + 1, f"{name}: {text}"
            assert box.y1 <= height + 1, f"{name}: {text}"
        for (one, box), (other, other_box) in itertools.combinations(texts, 2):
            across = min(box.x1, other_box.x1) - max(box.x0, other_box.x0)
            down = min(box.y1, other_box.y1) - max(box.y0, other_box.y0)
            assert across < 1.5 or down < 1.5, f"{name}: {one!r} on {other!r}"


@pytest.mark.slow
def test_every_display_can_be_put_into_a_place_of_a_figure(fitted, organisms):
    X, y = organisms
    makers = [
        lambda ax: HistoryDisplay.from_estimator(fitted, ax=ax),
        lambda ax: PredictionsDisplay.from_estimator(fitted, X, y, ax=ax),
        lambda ax: FiltersDisplay.from_estimator(fitted, ax=ax),
        lambda ax: FeatureMapsDisplay.from_estimator(fitted, X[0], ax=ax),
        lambda ax: GradCAMDisplay.from_estimator(fitted, X[:3], ax=ax),
        lambda ax: ImageGridDisplay(X, y).plot(ax=ax),
        lambda ax: ChannelsDisplay(X[0]).plot(ax=ax),
        lambda ax: ProbabilitiesDisplay.from_estimator(fitted, X, y, ax=ax),
    ]
    for make in makers:
        figure, (_, right) = plt.subplots(1, 2, figsize=(12, 6), layout="constrained")
        display = make(right)
        assert display.figure_ is figure
        figure.canvas.draw()
        assert all(ax.get_position().x0 > 0.4 for ax in display.axes_.flat)


def test_each_thread_draws_in_a_figure_of_its_own(fitted, organisms, monkeypatch):
    """Pyplot gives the same figure to threads that ask for a new one at the same time."""
    let_threads_meet_in_pyplot(monkeypatch)
    with ThreadPoolExecutor(4) as pool:
        makers = [ConfusionDisplay, PredictionsDisplay] * 2
        jobs = [pool.submit(make.from_estimator, fitted, *organisms) for make in makers]
        figures = [job.result().figure_ for job in jobs]
    assert len({id(figure) for figure in figures}) == 4
    assert len({figure.number for figure in figures}) == 4


def test_numbers_above_images_are_short(organisms):
    display = ImageGridDisplay(organisms[0][:3], np.array([[10.39050803], [0.5], [2.0]])).plot()
    assert [ax.get_title() for ax in display.axes_.flat] == ["10.39", "0.5", "2.0"]


def test_names_are_no_formulas(fitted, organisms):
    """Matplotlib takes text between two dollar signs as a formula, and refuses an unknown one."""
    X, y = organisms
    names = np.array([rf"$\deer {name}$" for name in fitted.classes_])
    actual = names[np.searchsorted(fitted.classes_, y)]
    probability = fitted.predict_proba(X)
    displays = [
        ConfusionDisplay.from_predictions(actual, np.roll(actual, 1)),
        PredictionsDisplay.from_predictions(X, probability, actual, classes=names),
        ProbabilitiesDisplay(
            images=X[:2], probability=probability[:2], classes=names, actual=actual[:2]
        ).plot(),
        ImageGridDisplay(X[:4], actual[:4]).plot(),
        ChannelsDisplay(X[0], names[:3]).plot(),
        GradCAMDisplay(images=X[:2], maps=X[:2, ..., 0] / 255, labels=actual[:2]).plot(),
    ]
    for display in displays:
        display.figure_.canvas.draw()
        shown = "".join(text for text, _ in texts_of(display.figure_))
        assert r"\deer" in shown.replace("\n", " "), type(display).__name__


@pytest.mark.parametrize("max_images", [0, -1, 2.5, None])
def test_the_number_of_images_is_checked(max_images, fitted, organisms):
    X, y = organisms
    makers = [PredictionsDisplay, TopLossesDisplay, ProbabilitiesDisplay, GradCAMDisplay]
    for make in makers:
        with pytest.raises((TypeError, ValueError), match="max_images must be"):
            make.from_estimator(fitted, X, y, max_images=max_images)
    with pytest.raises((TypeError, ValueError), match="max_images must be"):
        ImageGridDisplay(X, y).plot(max_images=max_images)
    with pytest.raises((TypeError, ValueError), match="max_filters must be"):
        FiltersDisplay.from_estimator(fitted, max_filters=max_images)
    with pytest.raises((TypeError, ValueError), match="max_maps must be"):
        FeatureMapsDisplay.from_estimator(fitted, X[0], max_maps=max_images)
    with pytest.raises((TypeError, ValueError), match="n_columns must be"):
        ImageGridDisplay(X, y).plot(n_columns=max_images)


def test_axes_that_cannot_be_divided_are_refused(fitted):
    ax = plt.figure().add_axes((0, 0, 1, 1))
    with pytest.raises(ValueError, match="ax is not part of a grid of subplots"):
        HistoryDisplay.from_estimator(fitted, ax=ax)


@pytest.mark.parametrize("display", [HistoryDisplay, FiltersDisplay])
def test_an_estimator_that_is_not_fitted_is_refused(display):
    with pytest.raises(NotFittedError):
        display.from_estimator(ConvNetClassifier())


def test_the_history_is_drawn_as_it_is(fitted):
    display = HistoryDisplay.from_estimator(fitted)
    loss, accuracy, rate = display.axes_
    history = fitted.history_
    lines = {line.get_label(): line for line in loss.get_lines()}
    np.testing.assert_array_equal(lines["training"].get_ydata(), history["train_loss"])
    np.testing.assert_array_equal(lines["validation"].get_ydata(), history["valid_loss"])
    np.testing.assert_array_equal(accuracy.get_lines()[0].get_ydata(), history["valid_accuracy"])
    np.testing.assert_array_equal(rate.get_lines()[0].get_ydata(), history["lr"])
    best = int(history["valid_loss"].argmin()) + 1
    assert list(lines[f"best epoch: {best}"].get_xdata()) == [best, best]


def test_the_best_epoch_is_that_of_early_stopping(organisms):
    clf = small_net(early_stopping=True, n_iter_no_change=2, max_epochs=8).fit(*organisms)
    assert HistoryDisplay.from_estimator(clf).best_epoch == clf.best_epoch_


def test_a_history_without_validation_has_no_best_epoch(organisms):
    X, y = organisms
    clf = small_net(max_epochs=2).fit(X[:40], y[:40])
    display = HistoryDisplay.from_estimator(clf)
    assert [ax.get_ylabel() for ax in display.axes_] == ["loss", "learning rate"]
    assert [line.get_label() for line in display.axes_[0].get_lines()] == ["training"]


@pytest.mark.parametrize(
    ("display", "y", "message"),
    [
        (TopLossesDisplay, None, "TopLossesDisplay got y=None, but there is no loss"),
        (
            PredictionsDisplay,
            ["elk", "dodo"],
            r"y holds labels that are not among the classes: \['dodo'\]",
        ),
        (PredictionsDisplay, ["elk"], "inconsistent numbers of samples"),
    ],
)
def test_bad_labels(organisms, display, y, message):
    X, _ = organisms
    with pytest.raises(ValueError, match=message):
        display.from_predictions(X[:2], np.full((2, 2), 0.5), y, classes=["elk", "oak"])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_are_shown_as_they_are(organisms, dtype):
    X, y = organisms
    images = X if dtype == np.uint8 else (X / 255).astype(dtype)
    display = ImageGridDisplay(images, y).plot(max_images=7)
    assert display.axes_.shape == (2, 5)
    for ax, image, label in zip(display.axes_.flat, X[:7], y):
        np.testing.assert_allclose(ax.images[0].get_array(), image / 255, atol=1e-6)
        assert ax.get_title().replace("\n", "") == label
    assert not any(ax.images for ax in display.axes_.flat[7:])


def test_grey_images_need_no_axis_of_channels_and_no_labels(organisms):
    gray = organisms[0][..., 0]
    display = ImageGridDisplay(gray).plot()
    np.testing.assert_allclose(display.axes_[0, 0].images[0].get_array(), gray[0] / 255)


def test_each_channel_is_shown_by_itself(organisms):
    image = organisms[0][0]
    display = ChannelsDisplay(image, ["long", "medium", "short"]).plot()
    titles = [ax.get_title() for ax in display.axes_.flat]
    assert titles == ["image", "long", "medium", "short"]
    for number, ax in enumerate(display.axes_.flat[1:]):
        np.testing.assert_allclose(ax.images[0].get_array(), image[..., number] / 255)
    two = ChannelsDisplay(image[..., :2]).plot()
    assert [ax.get_title() for ax in two.axes_.flat] == ["image", "channel 0", "channel 1"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda X: ImageGridDisplay(X[:3, 0, 0]), r"images have the shape \(3, 3\), expected"),
        (lambda X: ImageGridDisplay(X[:0]), r"images have the shape \(0, 24, 24, 3\)"),
        (lambda X: ImageGridDisplay(X[:3], ["elk"]), "inconsistent numbers of samples"),
        (lambda X: ChannelsDisplay(X[0], ["red"]), "are 1 names, but the image has 3 channels"),
    ],
)
def test_bad_images(organisms, make, message):
    with pytest.raises(ValueError, match=message):
        make(organisms[0])


def test_the_probabilities_of_all_classes_are_bars(fitted, organisms):
    X, y = organisms
    display = ProbabilitiesDisplay.from_estimator(fitted, X, y, max_images=3)
    probability = fitted.predict_proba(X[:3])
    for ax, shares in zip(display.axes_[1], probability):
        widths = [bar.get_width() for bar in ax.patches]
        np.testing.assert_allclose(widths, shares, rtol=1e-4, atol=1e-6)
    names = [label.get_text() for label in display.axes_[1, 0].get_yticklabels()]
    assert names == fitted.classes_.tolist()
    marks = [ax.lines[0].get_ydata()[0] for ax in display.axes_[1]]
    assert marks == np.searchsorted(fitted.classes_, y[:3]).tolist()


def test_more_images_than_by_default_are_drawn_where_that_is_asked_for(fitted, organisms):
    X, y = organisms
    for display in (PredictionsDisplay, TopLossesDisplay):
        axes = display.from_estimator(fitted, X, y, max_images=30).axes_
        assert sum(bool(ax.images) for ax in axes.flat) == 30


def test_classes_may_come_in_any_order(organisms):
    X, _ = organisms
    probability = np.array([[0.9, 0.1], [0.8, 0.2]])
    arguments = {"images": X[:2], "probability": probability, "classes": ["oak", "elk"]}
    display = PredictionsDisplay.from_predictions(y=["oak", "elk"], **arguments)
    assert display.actual_probability.tolist() == [0.9, 0.2]
    display = ProbabilitiesDisplay(actual=["oak", "elk"], **arguments).plot()
    assert [ax.lines[0].get_ydata()[0] for ax in display.axes_[1]] == [0, 1]
    with pytest.raises(ValueError, match="actual holds labels that are not among the classes"):
        ProbabilitiesDisplay(actual=["oak", "yew"], **arguments)


def test_images_are_drawn_at_random_where_that_is_asked_for(fitted, organisms):
    X, y = organisms
    order = np.argsort(y, kind="stable")
    X, y = X[order], y[order]
    rows = np.sort(np.random.RandomState(3).permutation(len(X))[:6])
    options = {"max_images": 6, "random_state": 3}
    assert len(set(y[rows])) > 2
    predictions = PredictionsDisplay.from_estimator(fitted, X, y, **options)
    np.testing.assert_array_equal(predictions.images, X[rows])
    np.testing.assert_array_equal(predictions.actual, y[rows])
    probabilities = ProbabilitiesDisplay.from_estimator(fitted, X.tolist(), y.tolist(), **options)
    np.testing.assert_array_equal(probabilities.images, X[rows])
    maps = GradCAMDisplay.from_estimator(fitted, X, y, **options)
    np.testing.assert_array_equal(maps.maps, grad_cam(fitted, X[rows], y[rows]))
    grid = ImageGridDisplay(X, y).plot(**options)
    titles = [ax.get_title().replace("\n", "") for ax in grid.axes_.flat if ax.images]
    assert titles == y[rows].tolist()
    few = PredictionsDisplay.from_estimator(fitted, X[:4], y[:4], random_state=3)
    np.testing.assert_array_equal(few.images, X[:4])


def test_dim_images_are_stretched_where_that_is_asked_for(fitted, organisms):
    dim = (organisms[0][:4] // 8).astype(np.uint8)
    for display in (
        ImageGridDisplay(dim).plot,
        PredictionsDisplay.from_estimator(fitted, dim).plot,
    ):
        for stretch in (False, True):
            shown = [ax.images[0].get_array() for ax in display(stretch=stretch).axes_.flat[:4]]
            highest = [picture.max() for picture in shown]
            assert min(highest) == 1 if stretch else max(highest) < 0.13


def test_titles_say_what_is_predicted_and_what_is_a_number(fitted, organisms):
    X, _ = organisms
    labels = fitted.predict(X[:3])
    titles = [ax.get_title() for ax in GradCAMDisplay.from_estimator(fitted, X[:3]).axes_[0]]
    assert [t.replace("\n", "").replace(" ", "") for t in titles] == [
        f"predicted:{label}".replace(" ", "") for label in labels
    ]
    display = PredictionsDisplay.from_predictions(X[:2], [[0.7, 0.3], [0.4, 0.6]], [0, 0])
    assert [ax.get_title() for ax in display.axes_.flat] == ["✓ class 0 70%", "✗ class 1 60%"]


def test_a_gray_image_is_its_only_channel(organisms):
    display = ChannelsDisplay(organisms[0][0, ..., :1]).plot()
    assert [ax.get_title() for ax in display.axes_.flat] == ["image"]


@pytest.mark.parametrize(
    ("display", "n_predictions"),
    [(PredictionsDisplay, 1), (TopLossesDisplay, 1), (EmbeddingDisplay, 1), (GradCAMDisplay, 2)],
)
def test_displays_gather_only_the_images_that_they_show(
    display, n_predictions, fitted, organisms, gathered
):
    X, y = organisms
    target = () if display is GradCAMDisplay else (y,)
    drawn = display.from_estimator(fitted, X, *target, max_images=4)
    n_read = 300 if display in (TopLossesDisplay, EmbeddingDisplay) else 4
    assert sum(gathered) == n_predictions * n_read + 4
    assert gathered[-1] == 4
    assert len(drawn.images) == (300 if display is EmbeddingDisplay else 4)
