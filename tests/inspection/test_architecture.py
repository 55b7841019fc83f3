import itertools

import matplotlib.pyplot as plt
import pytest
import torch
from sklearn.exceptions import NotFittedError

from skcnn import ConvNetClassifier, recipes
from skcnn.inspection import ArchitectureDisplay


def columns(display):
    """What is written in each row, from top to bottom, without the header and the total."""
    rows = {}
    for text in display.ax_.texts:
        rows.setdefault(text.get_position()[1], []).append(text.get_text())
    return [rows[y] for y in sorted(rows)][1:-1]


def test_layers_are_rows_with_what_leaves_the_shape_behind_them():
    clf = ConvNetClassifier(
        filters=(4, 8), convs_per_block=1, residual=False, dense_units=10, dropout=0.5
    )
    display = ArchitectureDisplay.from_estimator(clf, (8, 8), n_classes=3)
    assert columns(display) == [
        ["", "image", "8 × 8 × 1", ""],
        ["block1.0", "Conv2d + BatchNorm2d + SiLU", "8 × 8 × 4", "44"],
        ["block1.3", "MaxPool2d", "4 × 4 × 4", ""],
        ["block2.0", "Conv2d + BatchNorm2d + SiLU", "4 × 4 × 8", "304"],
        ["block2.3", "MaxPool2d", "2 × 2 × 8", ""],
        ["pool", "AdaptiveAvgPool2d + Flatten + Dropout", "1 × 1 × 8", ""],
        ["dense1", "Linear + SiLU", "10", "90"],
        ["head", "Linear", "3", "33"],
    ]


@pytest.mark.parametrize("settings", [{}, recipes.fast, recipes.lesson])
def test_the_parameters_of_all_rows_are_those_of_the_network(settings):
    clf = ConvNetClassifier(**settings)
    display = ArchitectureDisplay.from_estimator(clf, (32, 32, 3), n_classes=5)
    numbers = [int(row[-1].replace(",", "")) for row in columns(display) if row[-1]]
    assert sum(numbers) == clf.summary((32, 32, 3), 5).n_parameters
    assert display.ax_.texts[-1].get_text() == f"{sum(numbers):,}"


def test_shortcuts_are_brackets_beside_what_they_lead_past():
    clf = ConvNetClassifier(filters=(4, 8), convs_per_block=(1, 3), residual=(False, True))
    display = ArchitectureDisplay.from_estimator(clf, (8, 8, 3), n_classes=3)
    names = [row[0] for row in columns(display)]
    passed = [number for number, name in enumerate(names, 1) if ".convolutions." in name]
    (bracket,) = (line for line in display.ax_.lines if len(line.get_xdata()) == 4)
    top, bottom = min(bracket.get_ydata()), max(bracket.get_ydata())
    rows = [text.get_position()[1] for text in display.ax_.texts if text.get_text() == "image"]
    height = rows[0] / 1.5
    inside = [number for number in range(len(names) + 1) if top < (number + 0.5) * height < bottom]
    assert inside == passed


def test_what_follows_a_block_is_not_added_to_its_shortcut():
    clf = ConvNetClassifier((4, 8), convs_per_block=2, activation="elu")
    rows = [row[:2] for row in columns(ArchitectureDisplay.from_estimator(clf, (8, 8, 3), 3))]
    assert rows[3:6] == [
        ["block1.0.convolutions.4", "MaxPool2d + BatchNorm2d + ELU"],
        ["block1.0.shortcut.0", "AvgPool2d (shortcut)"],
        ["block1.0.shortcut.1", "Conv2d (shortcut)"],
    ]


def test_a_fitted_network_and_one_of_the_users_own(fitted, organisms):
    X, y = organisms
    display = ArchitectureDisplay.from_estimator(fitted)
    assert columns(display)[0] == ["", "image", "24 × 24 × 3", ""]

    def tiny(n_channels, n_classes):
        return torch.nn.Sequential(
            torch.nn.Conv2d(n_channels, 2, 5),
            torch.nn.Upsample(scale_factor=2),
            torch.nn.Flatten(),
            torch.nn.Linear(3200, n_classes),
        )

    clf = ConvNetClassifier(module=tiny, max_epochs=1, augment=None, random_state=0)
    rows = columns(ArchitectureDisplay.from_estimator(clf.fit(X[:40], y[:40])))
    assert [row[1] for row in rows] == ["image", "Conv2d", "Upsample + Flatten", "Linear"]


def test_it_can_be_drawn_into_axes(fitted):
    figure, (_, right) = plt.subplots(1, 2, figsize=(12, 6))
    display = ArchitectureDisplay.from_estimator(fitted, ax=right)
    assert display.ax_ is right
    assert display.figure_ is figure
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in right.texts if text.get_text()]
    assert min(box.x0 for box in boxes) > 500
    for one, other in itertools.pairwise(boxes):
        assert one.x1 <= other.x0 + 1 or abs(one.y0 - other.y0) > 5


def test_a_network_without_a_shape_is_refused():
    with pytest.raises(NotFittedError):
        ArchitectureDisplay.from_estimator(ConvNetClassifier())
    with pytest.raises(ValueError, match="Expected both"):
        ArchitectureDisplay.from_estimator(ConvNetClassifier(), (8, 8, 3))
