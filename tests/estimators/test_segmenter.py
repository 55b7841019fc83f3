"""The segmenter: what it predicts, labels that are missing, training, tools."""

import copy
import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from _squares import MASKS, MASKS_NEW, SIDE, X_NEW, X, small, squares
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


def test_labels_that_no_prediction_has_are_told(fitted):
    changed = np.where(MASKS_NEW == 2, 255, MASKS_NEW)
    with pytest.warns(
        UserWarning, match=r"y has the label 255, and the network knows \[0, 1, 2\]"
    ):
        score = fitted.score(X_NEW, changed)
    assert score < 0.6
    # Those of pixels that do not count are no labels, and a class may be in no mask.
    seg = small(ignore_label=255, max_epochs=1).fit(X, MASKS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seg.score(X_NEW, changed)
        fitted.score(X_NEW, list(np.minimum(MASKS_NEW, 1).astype(float)))


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


def test_a_class_255_is_told_where_it_is_learned():
    masks = np.where(MASKS == 2, 255, MASKS)
    with pytest.warns(UserWarning, match="If it means that a pixel has no label"):
        seg = small(max_epochs=1).fit(X, masks)
    assert seg.classes_.tolist() == [0, 1, 255]
    small(max_epochs=1, ignore_label=255).fit(X, masks)
    small(max_epochs=1).partial_fit(X, masks, classes=[0, 1, 255])


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
