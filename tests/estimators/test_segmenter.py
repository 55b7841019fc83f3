"""The segmenter: label images in every form, images of every size, scribbles, tools."""

import copy
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    cross_val_predict,
    cross_val_score,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch import nn

from skcnn import ConvNetClassifier, ConvNetSegmenter
from skcnn.augmentation import Flip, GeometricAugmentation, Shift
from skcnn.datasets import make_images_and_covariates
from skcnn.masks import iou_score, mask_scorer
from skcnn.networks import Backbone, ConvBlocks, UNet

SIDE = 16


def squares(n=24, size=(SIDE, SIDE), channels=3, seed=0):
    """Dark images with bright and gray squares: the class of a pixel is how bright it is."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((n, *size), dtype=np.uint8)
    for mask in masks:
        for label in (1, 2):
            top, left = (rng.integers(0, max(1, side - 5)) for side in size)
            mask[top : top + 6, left : left + 6] = label
    pixels = np.array([50, 220, 130])[masks][..., None] + rng.normal(
        0, 15, (*masks.shape, channels)
    )
    return pixels.clip(0, 255).astype(np.uint8), masks


def small(module=None, **parameters):
    defaults = {
        "max_epochs": 6,
        "batch_size": 4,
        "device": "cpu",
        "precision": "float32",
        "augment": None,
        "random_state": 0,
    }
    return ConvNetSegmenter(
        module or UNet(ConvBlocks((6, 8), convs_per_block=1)), **{**defaults, **parameters}
    )


X, MASKS = squares()
X_NEW, MASKS_NEW = squares(8, seed=1)


@pytest.fixture(scope="module")
def fitted():
    return small().fit(X, MASKS)


# ---------------------------------------------------------------------- what it predicts


def test_it_learns_which_pixels_are_what(fitted):
    assert fitted.score(X_NEW, MASKS_NEW) > 0.9
    assert fitted.classes_.tolist() == [0, 1, 2]
    predicted = fitted.predict(X_NEW)
    assert predicted.shape == MASKS_NEW.shape
    assert predicted.dtype == MASKS.dtype
    assert fitted.score(X_NEW, MASKS_NEW) == iou_score(MASKS_NEW, predicted)


def test_probabilities_sum_to_one_and_agree_with_the_labels(fitted):
    probability = fitted.predict_proba(X_NEW)
    assert probability.shape == (*MASKS_NEW.shape, 3)
    np.testing.assert_allclose(probability.sum(axis=3), 1, atol=1e-5)
    np.testing.assert_array_equal(probability.argmax(axis=3), fitted.predict(X_NEW))


@pytest.mark.parametrize("names", [np.array(["soil", "leaf", "stem"]), np.array([7, 3, 250])])
def test_labels_are_those_of_y(names):
    seg = small().fit(X, names[MASKS])
    assert seg.classes_.tolist() == sorted(names.tolist())
    assert seg.score(X_NEW, names[MASKS_NEW]) > 0.9
    assert seg.predict(X_NEW).dtype == names.dtype


def test_two_classes_as_booleans():
    seg = small().fit(X, MASKS == 1)
    assert seg.predict(X_NEW).dtype == bool
    assert seg.score(X_NEW, MASKS_NEW == 1) > 0.9


def test_flattened_masks_come_back_flattened(fitted):
    flat = small().fit(X, MASKS.reshape(len(MASKS), -1))
    predicted = flat.predict(X_NEW)
    np.testing.assert_array_equal(predicted, fitted.predict(X_NEW).reshape(8, -1))
    assert flat.score(X_NEW, MASKS_NEW.reshape(8, -1)) == fitted.score(X_NEW, MASKS_NEW)


def test_flattened_images(fitted):
    seg = small(image_shape=(SIDE, SIDE, 3)).fit(X.reshape(len(X), -1), MASKS)
    np.testing.assert_array_equal(seg.predict(X_NEW.reshape(8, -1)), fitted.predict(X_NEW))


@pytest.mark.parametrize(
    "convert", [torch.from_numpy, lambda a: np.asfortranarray(a), list], ids=["torch", "F", "list"]
)
def test_the_same_images_give_the_same_network(fitted, convert):
    seg = small().fit(convert(X), convert(MASKS))
    np.testing.assert_array_equal(seg.predict(convert(X_NEW)), fitted.predict(X_NEW))


def test_channels_first(fitted):
    first = np.moveaxis(X, -1, 1)
    seg = small(data_format="channels_first").fit(first, MASKS)
    predicted = seg.predict(np.moveaxis(X_NEW, -1, 1))
    np.testing.assert_array_equal(predicted, fitted.predict(X_NEW))


def test_gray_images():
    gray, masks = squares(channels=1)
    seg = small().fit(gray[..., 0], masks)
    assert seg.score(gray, masks) > 0.9


def test_the_same_seed_gives_the_same_network(fitted):
    again = small().fit(X, MASKS)
    for one, other in zip(
        fitted.module_.state_dict().values(), again.module_.state_dict().values()
    ):
        assert torch.equal(one, other)
    other = small(random_state=1).fit(X, MASKS)
    assert not np.array_equal(other.predict_proba(X_NEW), fitted.predict_proba(X_NEW))


def test_mirrored_predictions_are_averaged(fitted):
    seg = copy.deepcopy(fitted).set_params(test_time_flip=True)
    plain = fitted.predict_proba(X_NEW)
    mirrored = fitted.predict_proba(np.ascontiguousarray(X_NEW[:, :, ::-1]))[:, :, ::-1]
    np.testing.assert_allclose(seg.predict_proba(X_NEW), (plain + mirrored) / 2, atol=1e-5)
    assert not np.allclose(plain, mirrored, atol=1e-3)


# ---------------------------------------------------------------------- images of other sizes


@pytest.mark.parametrize("size", [(16, 16), (17, 16), (31, 50), (3, 5), (1, 9)])
def test_images_of_any_size_are_predicted(fitted, size):
    images, masks = squares(3, size)
    assert fitted.predict(images).shape == masks.shape
    assert fitted.predict_proba(images).shape == (*masks.shape, 3)
    if min(size) > 10:
        assert fitted.score(images, masks) > 0.9


def test_training_images_may_have_odd_sides():
    images, masks = squares(16, (13, 19))
    seg = small().fit(images, masks)
    assert seg.image_shape_ == (13, 19, 3)
    assert seg.score(*squares(4, (13, 19), seed=1)) > 0.85


def test_images_of_unequal_sizes_train_and_are_predicted_as_lists():
    sizes = [(20, 24), (12, 40), (24, 16), (9, 9)] * 4
    pairs = [squares(1, size, seed=n) for n, size in enumerate(sizes)]
    images, masks = [x[0] for x, _ in pairs], [mask[0] for _, mask in pairs]
    seg = small(max_epochs=8).fit(images, masks)
    assert seg.image_shape_ == (24, 40, 3)
    predicted = seg.predict(images)
    assert [mask.shape for mask in predicted] == sizes
    assert seg.score(images, masks) > 0.85
    assert [p.shape for p in seg.predict_proba(images)] == [(*size, 3) for size in sizes]
    alone = seg.predict([images[1]])
    np.testing.assert_array_equal(alone[0], predicted[1])


def test_large_images_are_cut_into_pieces():
    images, masks = squares(4, (70, 90))
    seg = small(image_shape=(32, 32), max_epochs=4).fit(images, masks)
    assert seg.image_shape_ == (32, 32, 3)
    assert len(seg.net_.history[-1]["batches"]) == 4 * 3 * 3 // 4
    assert iou_score(masks > 0, seg.predict(images) > 0) > 0.6
    tall = squares(1, (600, 40))
    assert small(max_epochs=1).fit(*tall).image_shape_ == (256, 40, 3)


def test_pieces_of_an_image_stay_on_one_side(monkeypatch):
    images, masks = squares(6, (32, 32))
    images[:] = np.arange(6)[:, None, None, None] * 40
    seg = small(image_shape=(16, 16), early_stopping=True, validation_fraction=0.3, max_epochs=1)
    seen = {}
    train = ConvNetSegmenter._train

    def spy(self, dataset, *args, validation, **kwargs):
        seen["training"] = set(np.unique(dataset.X[:]))
        seen["validation"] = set(np.unique(validation.X[:]))
        return train(self, dataset, *args, validation=validation, **kwargs)

    monkeypatch.setattr(ConvNetSegmenter, "_train", spy)
    seg.fit(images, masks)
    assert seen["training"]
    assert seen["validation"]
    assert not seen["training"] & seen["validation"]
    seg.fit(images, masks, groups=[0, 0, 0, 1, 1, 1])
    assert seen["training"] in ({0, 40, 80}, {120, 160, 200})


def test_weights_go_with_the_pieces_of_their_images():
    images, masks = squares(4, (32, 32))
    masks[2:] = 2 - masks[2:]
    weight = [1, 1, 0, 0]
    seg = small(image_shape=(16, 16), max_epochs=8).fit(images, masks, sample_weight=weight)
    right, wrong = seg.score(images[:2], masks[:2]), seg.score(images[2:], masks[2:])
    assert right > 0.8 > 0.4 > wrong


def test_tiles_say_what_the_whole_image_says(fitted):
    images, _ = squares(2, (150, 201))
    whole = fitted.predict_proba(images, tile_size=None)
    tiled = fitted.predict_proba(images, tile_size=64)
    np.testing.assert_allclose(tiled, whole, atol=1e-5)
    np.testing.assert_array_equal(fitted.predict(images, tile_size=64), fitted.predict(images))


def test_networks_that_see_everything_are_blended():
    class Gated(nn.Module):
        def __init__(self, n_channels, n_outputs):
            super().__init__()
            self.conv = nn.Conv2d(n_channels, n_outputs, 3, padding=1)
            self.gate = nn.Conv2d(n_channels, n_outputs, 1)

        def forward(self, x):
            return self.conv(x) * self.gate(x.mean((2, 3), keepdim=True)).exp()

    seg = small(Gated, max_epochs=8).fit(X, MASKS)
    assert seg.predict(X_NEW).shape == MASKS_NEW.shape
    with pytest.raises(ValueError, match="Resize the images"):
        seg.predict(squares(1, (100, 90))[0])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_memory_map_is_read_tile_by_tile(fitted, tmp_path, monkeypatch, dtype):
    images, _ = squares(1, (300, 260))
    path = tmp_path / "large.npy"
    np.save(path, images.astype(dtype))
    mapped = np.load(path, mmap_mode="r")
    largest = []
    infer = ConvNetSegmenter._infer

    def spy(self, images, finish):
        largest.append(np.prod(images.shape[:2]))
        return infer(self, images, finish)

    monkeypatch.setattr(ConvNetSegmenter, "_infer", spy)
    predicted = fitted.predict(mapped, tile_size=100)
    assert len(largest) == 9
    assert max(largest) <= (100 + 2 * 40) ** 2
    monkeypatch.undo()
    np.testing.assert_array_equal(predicted, fitted.predict(images))


@pytest.mark.parametrize("tile_size", [0, 63, 100.5, "large"])
def test_a_wrong_tile_size_is_named(fitted, tile_size):
    with pytest.raises(ValueError, match="'tile_size' parameter of ConvNetSegmenter"):
        fitted.predict(X_NEW, tile_size=tile_size)


# ---------------------------------------------------------------------- labels that are missing


@pytest.mark.parametrize("ignored", [255, 9])
def test_scribbles_suffice(ignored):
    rng = np.random.default_rng(0)
    scribbles = np.where(rng.random(MASKS.shape) < 0.1, MASKS, ignored)
    seg = small(ignore_label=ignored, max_epochs=8).fit(X, scribbles)
    assert seg.classes_.tolist() == [0, 1, 2]
    assert seg.score(X_NEW, MASKS_NEW) > 0.85
    assert set(np.unique(seg.predict(X_NEW))) <= {0, 1, 2}


def test_what_is_ignored_does_not_matter(fitted):
    hidden = MASKS == 2
    first = small(ignore_label=2).fit(X, MASKS)
    second = small(ignore_label=7).fit(X, np.where(hidden, 7, MASKS))
    third = small().fit(X, np.ma.array(MASKS, mask=hidden))
    expected = first.predict_proba(X_NEW)
    assert expected.shape[3] == 2
    np.testing.assert_array_equal(second.predict_proba(X_NEW), expected)
    np.testing.assert_array_equal(third.predict_proba(X_NEW), expected)
    known = np.where(MASKS_NEW == 2, 2, first.predict(X_NEW))
    assert first.score(X_NEW, MASKS_NEW) == iou_score(MASKS_NEW, known, ignore_label=2)


def test_class_weights_favor_a_class():
    hard = (X // 8 + 100).astype(np.uint8)
    few, many = (
        small(class_weight={0: 1, 1: weight, 2: 1}, max_epochs=2).fit(hard, MASKS)
        for weight in (0.05, 20)
    )
    assert (few.predict(hard) == 1).sum() < (many.predict(hard) == 1).sum()


def test_weights_of_images_count():
    noise = np.roll(MASKS, 8, axis=2)
    both = np.concatenate([X, X]), np.concatenate([MASKS, noise])
    seg = small(max_epochs=4).fit(*both, sample_weight=[1] * len(X) + [0] * len(X))
    assert seg.score(X_NEW, MASKS_NEW) > 0.85


# ---------------------------------------------------------------------- training


class Recorded(GeometricAugmentation):
    """Turns images upside down, and keeps what it saw."""

    def __init__(self):
        self.seen = []

    def draw(self, images, generator):
        return None

    def apply(self, images, drawn):
        self.seen.append(images.shape)
        return images.flip(1)


def test_masks_move_with_their_images():
    """Trained on moved pairs, the network is as good; on images moved alone, it is not."""
    moved = small(augment=[Flip(1.0), Shift(0.3)], max_epochs=8).fit(X, MASKS)
    assert moved.score(X_NEW, MASKS_NEW) > 0.9
    change = Recorded()
    seg = small(augment=change, max_epochs=1).fit(X, MASKS)
    assert seg.n_iter_ == 1
    assert {shape[3] for shape in change.seen} == {3, 1}


@pytest.mark.parametrize("augment", ["mixup", ["flip", "cutmix"], lambda x, g: x, nn.Identity()])
def test_augmentation_that_masks_cannot_follow_is_refused(augment):
    with pytest.raises(ValueError, match=r"has augment=.*masks"):
        small(augment=augment).fit(X, MASKS)


def test_validation_images_are_scored():
    seg = small(max_epochs=3).fit(X, MASKS, X_val=X_NEW, y_val=MASKS_NEW)
    history = seg.history_
    assert {"train_loss", "valid_loss", "valid_iou"} <= set(history.columns)
    per_image = [iou_score(MASKS_NEW[n : n + 1], seg.predict(X_NEW[n : n + 1])) for n in range(8)]
    assert history.valid_iou.iloc[-1] == pytest.approx(np.mean(per_image), abs=1e-6)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_validation_images_are_cut_as_those_of_training(data_format):
    (images, masks), (new, true) = squares(4, (32, 40)), squares(2, (50, 33))
    if data_format == "channels_first":
        images, new = np.moveaxis(images, -1, 1), np.moveaxis(new, -1, 1)
    seg = small(image_shape=(16, 20), data_format=data_format, max_epochs=1)
    seg.fit(images, masks, X_val=list(new), y_val=list(true))
    assert seg.image_shape_ == (16, 20, 3)
    assert seg.history_.valid_iou.notna().all()


def test_early_stopping_restores_the_best_epoch():
    seg = small(early_stopping=True, n_iter_no_change=2, max_epochs=30, validation_fraction=0.25)
    seg.fit(X, MASKS)
    assert seg.n_iter_ <= 30
    losses = seg.history_.valid_loss
    assert losses[seg.best_epoch_] <= losses.min() + seg.tol
    assert len(losses) == seg.n_iter_
    assert seg.score(X_NEW, MASKS_NEW) > 0.9


def test_training_continues():
    seg = small(warm_start=True, max_epochs=1).fit(X, MASKS)
    first = seg.score(X_NEW, MASKS_NEW)
    for _ in range(4):
        seg.fit(X, MASKS)
    assert seg.n_iter_ == 5
    assert seg.score(X_NEW, MASKS_NEW) > first
    with pytest.raises(ValueError, match="Training continues with the classes"):
        seg.fit(X, MASKS > 0)
    assert seg.n_iter_ == 5


def test_partial_fit_takes_batches_that_lack_a_class():
    seg = small(lr_schedule=None, lr=0.03)
    seg.partial_fit(X[:8], np.minimum(MASKS[:8], 1), classes=[0, 1, 2])
    for _ in range(8):
        seg.partial_fit(X, MASKS)
    assert seg.score(X_NEW, MASKS_NEW) > 0.8
    with pytest.raises(ValueError, match="not among the classes"):
        seg.partial_fit(X, MASKS + 1)


def test_checkpoints_resume(tmp_path):
    options = {"checkpoint_dir": str(tmp_path), "lr_schedule": None}
    small(max_epochs=2, **options).fit(X, MASKS)
    resumed = small(max_epochs=4, **options).fit(X, MASKS)
    straight = small(max_epochs=4, lr_schedule=None).fit(X, MASKS)
    np.testing.assert_array_equal(resumed.predict_proba(X_NEW), straight.predict_proba(X_NEW))
    body = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU())
    own = Backbone(body, layer="", mean=(0.5,) * 3, std=(1,) * 3)
    with pytest.warns(UserWarning, match="your own module may change"):
        small(UNet(own), max_epochs=1, **options).fit(X, MASKS)


def test_a_failed_fit_leaves_the_estimator_as_it_was(fitted):
    seg = copy.deepcopy(fitted)
    before = seg.predict(X_NEW)
    with pytest.raises(ValueError, match="label images for"):
        seg.fit(X, MASKS[:5])
    np.testing.assert_array_equal(seg.predict(X_NEW), before)
    fresh = small()
    with pytest.raises(ValueError, match="label images for"):
        fresh.fit(X, MASKS[:5])
    with pytest.raises(NotFittedError):
        fresh.predict(X)


def test_a_backbone_is_an_encoder():
    backbone = Backbone("efficientnet_lite0", weights=None)
    seg = small(UNet(backbone, decoder_filters=8), max_epochs=2).fit(X, MASKS)
    before = UNet(backbone).build((SIDE, SIDE, 3), 3).body.encoder.state_dict()
    after = seg.module_.body.encoder.state_dict()
    assert before.keys() == after.keys()
    running = [name for name in after if "running_mean" in name]
    assert all(torch.equal(after[name], before[name]) for name in running)
    assert seg.predict(squares(1, (40, 33))[0]).shape == (1, 40, 33)


def test_a_network_of_ones_own_returns_maps():
    def make(n_channels, n_outputs):
        return nn.Conv2d(n_channels, n_outputs, 3, padding=1)

    seg = small(make, max_epochs=12).fit(X, MASKS)
    assert seg.score(X_NEW, MASKS_NEW) > 0.5
    with pytest.raises(ValueError, match=r"logits of 3 classes at each pixel, .*'n', 3, 16, 16"):
        small(ConvBlocks((4,))).fit(X, MASKS)


# ---------------------------------------------------------------------- files


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rows = []
    for number, (image, mask) in enumerate(zip(X, MASKS)):
        paths = folder / f"{number}.png", folder / f"{number}_mask.png"
        Image.fromarray(image).save(paths[0])
        Image.fromarray(mask).save(paths[1])
        rows.append(tuple(map(str, paths)))
    return [list(paths) for paths in zip(*rows)]


def test_files_give_the_same_network_as_arrays(fitted, files):
    images, masks = files
    seg = small().fit(images, masks)
    np.testing.assert_array_equal(seg.predict(images), fitted.predict(X))
    assert seg.score(images, masks) == fitted.score(X, MASKS)
    assert small().fit(X, masks).score(X, masks) == fitted.score(X, MASKS)
    score = cross_val_score(small(), np.array(images), masks, scoring=mask_scorer("dice"), cv=2)
    assert (score > 0.8).all()


def test_files_are_resized_with_their_masks(files):
    images, masks = files
    seg = small(image_shape=(24, 32)).fit(images, masks, X_val=images[:4], y_val=masks[:4])
    assert seg.predict(images[:2]).shape == (2, 24, 32)
    assert seg.score(images, masks) > 0.8
    assert seg.history_.valid_iou.iloc[-1] > 0.8


def test_files_that_cannot_be_read_are_skipped(files, tmp_path):
    images, masks = files
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    seg = small(on_error="skip")
    with pytest.warns(UserWarning, match="Left out 1 of 25"):
        seg.fit([str(broken), *images], [masks[0], *masks])
    assert len(seg.skipped_) == 1
    with pytest.warns(UserWarning, match="have no result"):
        predicted = seg.predict([images[0], str(broken), images[1]])
    assert predicted[1] is None
    np.testing.assert_array_equal(predicted[2], seg.predict([images[1]])[0])
    with pytest.warns(UserWarning, match="have no result"):
        assert seg.score([str(broken), *images], [masks[0], *masks]) == seg.score(images, masks)


def test_a_score_names_label_files_that_cannot_be_read(fitted, tmp_path):
    lost = str(tmp_path / "lost.png")
    with pytest.raises(ValueError, match=r"(?s)1 of 1 file\(s\) of y .*row 0: .*does not exist"):
        fitted.score(X_NEW[:1], [lost])
    with pytest.raises(ValueError, match="y has 1 label images for 2 images"):
        fitted.score(X_NEW[:2], [lost])


def test_pieces_for_validation_are_named_as_such():
    large = np.zeros((1, 600, 40, 3), np.uint8)
    with pytest.raises(ValueError, match=r"y_val has label images of shape \(600, 39\)"):
        small().fit(X, MASKS, X_val=large, y_val=np.zeros((1, 600, 39), int))


# ---------------------------------------------------------------------- scikit-learn's tools


def test_it_is_neither_a_classifier_nor_a_regressor():
    assert not is_classifier(small())
    assert not is_regressor(small())


def test_cross_validation_and_searches():
    scores = cross_val_score(small(), X, MASKS, cv=3)
    assert (scores > 0.8).all()
    grouped = cross_val_score(small(), X, MASKS, groups=np.arange(24) // 4, cv=GroupKFold(2))
    assert (grouped > 0.8).all()
    search = GridSearchCV(
        small(),
        {"module__encoder__filters": [(2,), (6, 8)], "lr": [0.1]},
        scoring={"iou": mask_scorer(), "one": mask_scorer("dice", label=1)},
        refit="iou",
        cv=2,
    ).fit(X, MASKS)
    assert search.best_params_["module__encoder__filters"] == (6, 8)
    assert search.predict(X_NEW).shape == MASKS_NEW.shape
    assert {"mean_test_iou", "mean_test_one"} <= search.cv_results_.keys()


def test_splits_and_predictions_of_cross_validation():
    X_train, X_test, train, test = train_test_split(X, MASKS, random_state=0)
    assert small().fit(X_train, train).score(X_test, test) > 0.8
    assert cross_val_predict(small(), X, MASKS, cv=2).shape == MASKS.shape


def test_pipelines_take_it_as_their_last_step(fitted):
    pipeline = make_pipeline(FunctionTransformer(lambda images: images), small()).fit(X, MASKS)
    np.testing.assert_array_equal(pipeline.predict(X_NEW), fitted.predict(X_NEW))
    assert mask_scorer()(pipeline, X_NEW, MASKS_NEW) == fitted.score(X_NEW, MASKS_NEW)


def test_features_are_one_row_per_image(fitted):
    features = fitted.transform(X_NEW)
    assert features.shape == (8, 8)
    assert fitted.get_feature_names_out().tolist()[0] == "convnetsegmenter0"


def test_a_fitted_one_is_a_backbone_for_classes(fitted):
    sums = (MASKS == 1).any(axis=(1, 2)).astype(int)
    sums[::2] = 2
    clf = ConvNetClassifier(module=Backbone(fitted), max_epochs=2, device="cpu", random_state=0)
    assert clf.fit(X, sums).transform(X_NEW).shape == (8, 6)


def test_copies_pickles_and_files_predict_the_same(fitted, tmp_path):
    expected = fitted.predict_proba(X_NEW)
    joblib.dump(fitted, tmp_path / "seg.joblib")
    for other in (
        copy.deepcopy(fitted),
        pickle.loads(pickle.dumps(fitted)),
        joblib.load(tmp_path / "seg.joblib"),
    ):
        np.testing.assert_array_equal(other.predict_proba(X_NEW), expected)
    assert clone(fitted).get_params().keys() == fitted.get_params().keys()
    with pytest.raises(NotFittedError):
        clone(fitted).predict(X_NEW)


def test_a_summary_needs_no_fit(fitted):
    summary = small().summary((SIDE, SIDE, 3), n_classes=3)
    assert summary.n_parameters == fitted.summary().n_parameters
    assert summary.output_shape == (3, SIDE, SIDE)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"module": "unet"}, "'module' parameter of ConvNetSegmenter"),
        ({"ignore_label": [255]}, "'ignore_label' parameter of ConvNetSegmenter"),
        ({"batch_size": 0}, "'batch_size' parameter of ConvNetSegmenter"),
        ({"class_weight": "even"}, "'class_weight' parameter of ConvNetSegmenter"),
        ({"module": UNet(ConvBlocks(dense_units=3))}, "dense_units=3"),
        ({"module": UNet(ConvBlocks(global_pool="sum"))}, "global_pool='sum'"),
        ({"optimizer": "best"}, "'optimizer' parameter of ConvNetSegmenter"),
    ],
)
def test_wrong_parameters_are_named(parameters, message):
    seg = ConvNetSegmenter(**parameters)
    with pytest.raises(ValueError, match=message):
        seg.fit(X, MASKS)


def test_other_estimators_name_what_they_expect_of_a_u_net():
    clf = ConvNetClassifier(module=UNet(ConvBlocks((4,))), device="cpu")
    with pytest.raises(
        ValueError, match=r"outputs of shape \('n', 2, 16, 16\), expected the logits"
    ):
        clf.fit(X, np.arange(24) % 2)


def test_columns_beside_the_images_are_refused_in_words():
    X = make_images_and_covariates(
        np.zeros((2, 16, 16, 3), dtype=np.uint8), pd.DataFrame({"site": [1.0, 2.0]})
    )
    masks = np.zeros((2, 16, 16), dtype=int)
    masks[:, :8] = 1
    with pytest.raises(ValueError, match="'site', which ConvNetSegmenter does not take"):
        ConvNetSegmenter(max_epochs=1).fit(X, masks)


@pytest.mark.parametrize("what", ["sample_weight", "groups"])
def test_values_of_other_images_are_refused_where_images_are_cut(what):
    rng = np.random.RandomState(0)
    images = [rng.randint(256, size=(40, side, 3), dtype=np.uint8) for side in (40, 48)]
    masks = [(image.mean(axis=2) > 127).astype(int) for image in images]
    seg = ConvNetSegmenter(UNet(ConvBlocks((4, 8))), image_shape=(16, 16), max_epochs=1)
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[2, 5\]"):
        seg.fit(images, masks, **{what: np.ones(5)})
