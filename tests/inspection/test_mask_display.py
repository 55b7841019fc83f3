"""Label images over images, the U, and feature maps of both halves."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skcnn import ConvNetClassifier, ConvNetSegmenter
from skcnn.inspection import (
    ArchitectureDisplay,
    FeatureMapsDisplay,
    HistoryDisplay,
    MaskDisplay,
    learning_rate_curve,
)
from skcnn.inspection._u_shape import boxes_of
from skcnn.networks import Backbone, ConvBlocks, UNet

IMAGES = np.random.default_rng(0).integers(0, 255, (3, 12, 16, 3), dtype=np.uint8)
TRUE = np.zeros((3, 12, 16), dtype=np.uint8)
TRUE[:, 2:6, 3:9] = 1
TRUE[1, 8:11, 1:5] = 2
GUESS = TRUE.copy()
GUESS[0, 2:6, 3:5] = 0
GUESS[1, 8:11, 1:5] = 1
GUESS[2, 9:11, 10:14] = 2


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def fitted():
    seg = ConvNetSegmenter(
        UNet(ConvBlocks((4, 6, 8), convs_per_block=1)),
        max_epochs=1,
        device="cpu",
        precision="float32",
    )
    return seg.fit(IMAGES, TRUE, X_val=IMAGES, y_val=TRUE)


def legend(display):
    (box,) = display.figure_.legends
    return [text.get_text() for text in box.get_texts()]


def squares_of(ax, color):
    """Number of the pixels that are hatched in a color."""
    return sum(
        len(drawn.get_paths())
        for drawn in ax.collections
        if isinstance(drawn, PolyCollection)
        and tuple(drawn.get_facecolor()[0][:3]) == to_rgba(color)[:3]
    )


def test_outlines_and_errors_of_given_masks():
    display = MaskDisplay.from_predictions(IMAGES, GUESS, TRUE)
    assert display.axes_.shape == (2, 3)
    assert legend(display) == [
        "1",
        "2",
        "missed",
        "taken for another",
        "found where there is none",
    ]
    errors = {"#D55E00": [8, 0, 0], "#000000": [0, 12, 0], "#0072B2": [0, 0, 8]}
    for color, counts in errors.items():
        assert [squares_of(ax, color) for ax in display.axes_[1]] == counts
    assert [ax.get_title() for ax in display.axes_[1]] == [
        "mean IoU 0.81",
        "mean IoU 0.56",
        "mean IoU 0.65",
    ]


def test_without_true_masks_there_are_outlines_alone():
    display = MaskDisplay.from_predictions(IMAGES[..., 0], TRUE)
    assert display.axes_.shape == (1, 3)
    assert legend(display) == ["1", "2"]


def test_classes_differ_in_more_than_color():
    names = np.arange(12 * 16).reshape(1, 12, 16) // 20
    display = MaskDisplay.from_predictions(IMAGES[:1], names)
    lines = display.figure_.legends[0].get_lines()
    assert len({str(line.get_linestyle()) + str(line._dash_pattern) for line in lines[:4]}) == 4
    looks = {(line.get_color(), str(line._dash_pattern)) for line in lines}
    assert len(looks) == len(lines) == 9


def test_the_background_is_the_most_frequent_class_or_as_named():
    names = np.array(["soil", "leaf", "stem"])[TRUE]
    assert legend(MaskDisplay.from_predictions(IMAGES, names)) == ["leaf", "stem"]
    named = MaskDisplay.from_predictions(IMAGES, names, background="leaf")
    assert legend(named) == ["soil", "stem"]


def test_pixels_without_a_label_are_no_errors():
    hidden = np.where(GUESS != TRUE, 9, TRUE)
    display = MaskDisplay.from_predictions(IMAGES, GUESS, hidden, ignore_label=9)
    assert legend(display) == ["1", "2"]
    assert {ax.get_title() for ax in display.axes_[1]} == {"mean IoU 1.00"}


def test_images_of_unequal_sizes_and_rows_of_pixels():
    images, masks = [IMAGES[0], IMAGES[1, :8]], [TRUE[0], TRUE[1, :8]]
    assert MaskDisplay.from_predictions(images, masks).axes_.shape == (1, 2)
    flat = MaskDisplay.from_predictions(IMAGES, TRUE.reshape(3, -1), TRUE)
    assert {ax.get_title() for ax in flat.axes_[1]} == {"mean IoU 1.00"}


def test_an_estimator_predicts_what_is_drawn(fitted):
    display = MaskDisplay.from_estimator(fitted, IMAGES, TRUE, max_images=2)
    assert display.axes_.shape == (2, 2)
    np.testing.assert_array_equal(display.masks, fitted.predict(IMAGES[:2]))
    np.testing.assert_array_equal(display.images, IMAGES[:2])
    pipeline = make_pipeline(FunctionTransformer(), fitted)
    assert MaskDisplay.from_estimator(pipeline, IMAGES).axes_.shape == (1, 3)
    large = [np.zeros((20, 30, 3), np.uint8), IMAGES[0]]
    assert MaskDisplay.from_estimator(fitted, large).masks[0].shape == (20, 30)


def test_other_estimators_and_lengths_are_refused(fitted):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        MaskDisplay.from_estimator(fitted, IMAGES, TRUE[:2])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        MaskDisplay.from_predictions(IMAGES, TRUE[:2])
    clf = ConvNetClassifier((4,), max_epochs=1, device="cpu").fit(IMAGES, [0, 1, 0])
    with pytest.raises(TypeError, match="ConvNetClassifier predicts none"):
        MaskDisplay.from_estimator(clf, IMAGES)


def test_a_u_net_is_drawn_as_a_u(fitted):
    display = ArchitectureDisplay.from_estimator(fitted)
    boxes = boxes_of(display.summary, display.image_shape)
    assert [(box.half, box.shape[:2]) for box in boxes] == [
        ("image", (12, 16)),
        ("encoder", (12, 16)),
        ("encoder", (6, 8)),
        ("encoder", (3, 4)),
        ("decoder", (6, 8)),
        ("decoder", (12, 16)),
        ("output", (12, 16)),
    ]
    assert sum(box.n_parameters for box in boxes) == fitted.summary().n_parameters
    texts = [text.get_text() for text in display.ax_.texts]
    assert any(text.startswith("encoder.block3\n3 × 4 × 8\n1 convolution\n") for text in texts)
    dashed = [text for text in display.ax_.texts if getattr(text, "arrow_patch", None)]
    assert sum(text.arrow_patch.get_linestyle() == "--" for text in dashed) == 2
    # Down on the left, up on the right.
    tops = [patch.get_y() for patch in display.ax_.patches]
    assert np.sign(np.diff(tops)).tolist() == [0, 1, 1, -1, -1, 0]


class EncoderAndDecoder(torch.nn.Module):
    """A classifier whose parts have the names of those of a U-Net."""

    def __init__(self, n_classes):
        super().__init__()
        self.encoder = torch.nn.Conv2d(3, 8, 3)
        self.decoder = torch.nn.Linear(8, n_classes)

    def forward(self, x):
        return self.decoder(self.encoder(x).mean((2, 3)))


def test_other_networks_with_a_decoder_are_drawn_as_rows():
    clf = ConvNetClassifier(module=EncoderAndDecoder)
    display = ArchitectureDisplay.from_estimator(clf, (12, 16, 3), n_classes=3)
    texts = [text.get_text() for text in display.ax_.texts]
    assert {"encoder", "Conv2d", "decoder", "Linear"} <= set(texts)


def test_stages_of_a_backbone_are_boxes():
    unet = UNet(Backbone("efficientnet_lite0", weights=None))
    summary = ConvNetSegmenter(unet).summary((64, 64, 3), n_classes=2)
    boxes = boxes_of(summary, (64, 64, 3))
    names = [box.name for box in boxes if box.half == "encoder"]
    assert names == [f"encoder.stage{n}" for n in range(1, 6)]
    assert [box.shape[2] for box in boxes[1:6]] == [16, 24, 40, 112, 1280]


def test_feature_maps_are_those_of_all_blocks(fitted):
    display = FeatureMapsDisplay.from_estimator(fitted, IMAGES[0])
    assert list(display.maps) == [
        "encoder.block1",
        "encoder.block2",
        "encoder.block3",
        "decoder.block2",
        "decoder.block1",
    ]
    assert display.maps["decoder.block2"].shape == (6, 8, 6)


def test_the_history_shows_the_iou(fitted):
    labels = [ax.get_ylabel() for ax in HistoryDisplay.from_estimator(fitted).axes_]
    assert labels == ["loss", "IoU", "learning rate"]


def test_a_learning_rate_is_found_for_masks():
    seg = ConvNetSegmenter(UNet(ConvBlocks((4,))), device="cpu", random_state=0)
    curve = learning_rate_curve(seg, IMAGES, TRUE, n_steps=20)
    assert len(curve.lr) == len(curve.loss) > 5


def test_names_that_begin_with_an_underscore_are_in_the_legend():
    names = np.array(["ground", "_reef", "$kelp$"])
    display = MaskDisplay(images=IMAGES, masks=names[TRUE]).plot()
    assert [text.strip() for text in legend(display)] == [r"\$kelp\$", "_reef"]
