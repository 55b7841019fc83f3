"""Label images as a target: codes, losses, scores, moves."""

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from skcnn._targets import MaskTarget
from skcnn._targets._split import random_split
from skcnn.augmentation import Flip

MASKS = np.array([[[0, 1, 1], [0, 7, 7]], [[0, 0, 0], [1, 1, 255]]])


@pytest.mark.parametrize(
    "masks",
    [
        MASKS,
        MASKS.astype(np.uint8),
        MASKS.astype(float),
        MASKS > 0,
        np.array(["soil", "leaf", "stem"])[MASKS % 3],
        np.array(["soil", "leaf", "stem"], dtype=object)[MASKS % 3],
    ],
    ids=["int", "uint8", "float", "bool", "text", "objects"],
)
def test_labels_come_back_as_they_went(masks):
    target = MaskTarget.infer(masks)
    codes = target.encode(masks)
    assert codes.dtype == np.int16
    assert codes.max() == target.n_outputs - 1
    decoded = target.decode(codes)
    np.testing.assert_array_equal(decoded, masks)
    assert decoded.dtype == masks.dtype


def test_the_label_to_ignore_is_no_class():
    target = MaskTarget.infer(MASKS, ignore_label=255)
    assert target.classes.tolist() == [0, 1, 7]
    np.testing.assert_array_equal(target.encode(MASKS) == -1, MASKS == 255)
    named = MaskTarget.infer(MASKS, [0, 1, 7, 9, 255], ignore_label=255)
    assert named.classes.tolist() == [0, 1, 7, 9]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 255], r"labels 0 to 1 and 255, which is a class.*ignore_label=255"),
        ([1, 2, 3, 255], "labels 1 to 3 and 255"),
        ([0, 12, 80, 127, 140, 201, 250, 255], "8 labels from 0 to 255.*y > 127 has two"),
        ([0, 255], None),
        ([0, 128, 255], None),
        ([0, 1, 254], None),
        ([0.0, 1.0, 255.0], None),
    ],
)
def test_255_as_a_class_is_told(labels, message):
    target = MaskTarget.infer(np.array([[labels]]))
    if message is None:
        target.warn_of_255()
        return
    with pytest.warns(UserWarning, match=message):
        target.warn_of_255()
    MaskTarget.infer(np.array([[labels]]), ignore_label=0).warn_of_255()


def test_masked_pixels_have_no_label():
    masks = np.ma.array(MASKS, mask=MASKS == 7)
    target = MaskTarget.infer(masks)
    assert target.classes.tolist() == [0, 1, 255]
    np.testing.assert_array_equal(target.encode(masks) == -1, MASKS == 7)


def test_the_loss_is_cross_entropy_plus_dice_of_labeled_pixels():
    target = MaskTarget.infer(MASKS, ignore_label=255)
    codes = torch.from_numpy(target.encode(MASKS))
    logits = torch.randn(2, 3, 2, 3, generator=torch.Generator().manual_seed(0))
    losses = target.loss(logits, codes, training=True)
    for image in range(2):
        known = codes[image] >= 0
        pixels, labels = logits[image][:, known].T, codes[image][known].long()
        shares = pixels.softmax(1)
        dice = [
            2 * shares[labels == k, k].sum() / (shares[:, k].sum() + (labels == k).sum())
            for k in labels.unique()
        ]
        expected = F.cross_entropy(pixels, labels) + 1 - sum(dice) / len(dice)
        torch.testing.assert_close(losses[image], expected)


def test_what_pixels_without_a_label_say_changes_nothing():
    target = MaskTarget.infer(MASKS, ignore_label=255)
    codes = torch.from_numpy(target.encode(MASKS))
    logits = torch.randn(2, 3, 2, 3, generator=torch.Generator().manual_seed(0))
    other = torch.where((codes < 0)[:, None], logits + 5 * torch.randn(2, 3, 2, 3), logits)
    for training in (True, False):
        torch.testing.assert_close(
            *(target.loss(values, codes, training=training) for values in (logits, other))
        )
    torch.testing.assert_close(target.score(logits, codes), target.score(other, codes))


def test_an_image_without_labels_has_no_loss_and_no_gradient():
    target = MaskTarget.infer(MASKS, ignore_label=255)
    logits = torch.randn(2, 3, 2, 3, requires_grad=True)
    losses = target.loss(logits, torch.full((2, 2, 3), -1), training=True)
    losses.sum().backward()
    assert losses.tolist() == [0, 0]
    assert not logits.grad.any()


def test_class_weights_weigh_the_pixels_of_a_class():
    plain = MaskTarget.infer(MASKS)
    heavy = MaskTarget.infer(MASKS, class_weight={0: 1, 1: 5, 7: 1, 255: 1})
    codes = torch.from_numpy(plain.encode(MASKS))
    right = F.one_hot(codes.long(), 4).movedim(3, 1).float() * 9
    one_wrong = right.clone()
    one_wrong[0, :, 0, 1] = right[0, :, 0, 0]
    zero_wrong = right.clone()
    zero_wrong[0, :, 0, 0] = right[0, :, 0, 1]
    loss = {
        target: [target.loss(x, codes, training=True)[0].item() for x in (one_wrong, zero_wrong)]
        for target in (plain, heavy)
    }
    assert loss[plain][0] == pytest.approx(loss[plain][1], rel=1e-4)
    assert loss[heavy][0] > 2 * loss[heavy][1]


def test_balanced_weights_are_those_of_scikit_learn_for_pixels():
    target = MaskTarget.infer(MASKS, class_weight="balanced", ignore_label=255)
    pixels = MASKS[MASKS != 255]
    expected = compute_class_weight("balanced", classes=np.unique(pixels), y=pixels)
    np.testing.assert_allclose(target.class_weight, expected)


def test_the_score_is_the_mean_iou_of_each_image():
    rng = np.random.default_rng(0)
    masks, logits = rng.integers(0, 3, (4, 5, 6)), rng.normal(size=(4, 3, 5, 6))
    target = MaskTarget.infer(masks)
    scores = target.score(torch.from_numpy(logits), torch.from_numpy(target.encode(masks)))
    expected = [
        jaccard_score(mask.ravel(), guess.ravel(), average="macro")
        for mask, guess in zip(masks, logits.argmax(1))
    ]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_the_best_logits_have_no_loss_and_score_one():
    target = MaskTarget.infer(MASKS)
    codes = torch.from_numpy(target.encode(MASKS))
    logits = F.one_hot(codes.long(), 4).movedim(3, 1) * 50.0
    assert target.loss(logits, codes, training=True).max() < 1e-5
    assert target.score(logits, codes).tolist() == [1, 1]
    np.testing.assert_array_equal(target.decode(target.predict(logits.numpy())), MASKS)
    torch.testing.assert_close(target.probabilities(logits).sum(1), torch.ones(2, 2, 3))


def test_masks_move_with_their_images():
    target = MaskTarget.infer(MASKS)
    codes = torch.from_numpy(target.encode(MASKS))
    flip = Flip(probability=1)
    drawn = flip.draw(torch.zeros(2, 2, 3, 3), torch.Generator())
    moved = target.moved(codes, lambda masks: flip.apply(masks, drawn))
    assert torch.equal(moved, codes.flip(2))


@pytest.mark.parametrize(
    ("masks", "options", "message"),
    [
        (np.zeros((2, 3, 3)), {}, r"y holds 1 class, 0\.0"),
        (np.full((2, 3, 3), 255), {"ignore_label": 255}, "y holds 0 classes"),
        (np.full((2, 3, 3), 0.3), {}, "fractions, such as 0.3"),
        (np.full((2, 3, 3), np.nan), {}, "missing or infinite.*ignore_label=255"),
        (MASKS, {"class_weight": {0: -1, 1: 1, 7: 1, 255: 1}}, "negative"),
        (MASKS, {"class_weight": {3: 1}}, "not in class_weight"),
    ],
)
def test_wrong_masks_are_refused(masks, options, message):
    with pytest.raises(ValueError, match=message):
        MaskTarget.infer(masks, **options)


def test_unknown_labels_and_other_classes_are_refused():
    target = MaskTarget.infer(MASKS)
    with pytest.raises(ValueError, match=r"labels that are not among the classes: \[3\]"):
        target.encode(np.full((1, 2, 2), 3))
    with pytest.raises(ValueError, match="Training continues with the classes"):
        target.continued(MaskTarget.infer(MASKS, ignore_label=255))
    assert target.continued(MaskTarget.infer(MASKS)).n_outputs == 4


def test_a_class_of_few_images_is_trained_on():
    masks = np.zeros((24, 2, 3), dtype=int)
    masks[:, 0] = 1
    masks[5, 1, 1] = 2
    masks[[8, 9], 1, 0] = 3
    # A pixel without a label is of no class.
    masks[11, 0, 0] = 255
    sites = np.arange(24) // 4
    target = MaskTarget.infer(masks, ignore_label=255)
    codes = target.encode(masks)
    plain = []
    for seed in range(20):
        for groups in (None, sites):
            training, validation = target.split(codes, 0.5, groups, seed)
            assert set(np.unique(masks[training])) >= {0, 1, 2, 3}
            assert sorted([*training, *validation]) == list(range(24))
            assert len(validation) >= 4
            if groups is not None:
                assert not set(sites[training]) & set(sites[validation])
        drawn = random_split(24, 0.5, None, seed)[0]
        plain.append(set(np.unique(masks[drawn])) >= {0, 1, 2, 3})
    # The plain split would have left a class out.
    assert not all(plain)


def test_an_image_with_what_no_other_has_is_not_drawn_for_validation():
    masks = np.zeros((10, 2, 2), dtype=int)
    masks[:, 0] = 1
    masks[:9, 1, 1] = np.arange(2, 11)
    codes = MaskTarget.infer(masks).encode(masks)
    for seed in range(5):
        assert MaskTarget.infer(masks).split(codes, 0.1, None, seed)[1].tolist() == [9]
    masks[9, 1, 1] = 11
    with pytest.raises(ValueError, match=r"leaves none to validate with.*early_stopping=False"):
        MaskTarget.infer(masks).split(MaskTarget.infer(masks).encode(masks), 0.1, None, 0)
