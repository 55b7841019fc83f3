"""Several targets side by side: outputs and losses divided, missing answers, mixtures."""

import numpy as np
import pytest
import torch

from skcnn._targets import ClassTarget, MultioutputTarget, NumberTarget
from skcnn._targets._several import SeveralTarget

RNG = np.random.RandomState(0)
WORDS = np.array(["ant", "bee", "fly"])
Y = np.c_[WORDS[RNG.randint(3, size=50)], np.array(["old", "new"])[RNG.randint(2, size=50)]]
NUMBERS = RNG.gamma(2, 3, size=50)
OUTPUTS = torch.from_numpy(RNG.normal(size=(50, 4)))


class ClassesAndNumbers(SeveralTarget):
    def check(self, y, n_images, name):
        return y


@pytest.fixture(scope="module")
def mixed():
    """Classes and numbers, with two answers missing."""
    classes, numbers = ClassTarget.infer(Y[:, 0]), NumberTarget.infer(NUMBERS)
    several = ClassesAndNumbers(("kind", "size"), (classes, numbers), (2.0, 0.5), (None, None))
    table = np.hstack(
        [t.as_columns(t.encode(y)) for t, y in ((classes, Y[:, 0]), (numbers, NUMBERS))]
    )
    table[3, :3] = np.nan
    table[4, 3] = np.nan
    return several, torch.from_numpy(table)


def test_losses_are_those_of_each_target_times_its_factor(mixed):
    several, encoded = mixed
    outputs = OUTPUTS.float()
    parts = several.part_losses(outputs, encoded, training=False)
    kind, size = several.targets
    codes = torch.from_numpy(kind.encode(Y[:, 0]))
    expected = [
        kind.loss(outputs[:, :3], codes, training=False),
        size.loss(outputs[:, 3:], torch.from_numpy(size.encode(NUMBERS)), training=False),
    ]
    known = ~parts.isnan()
    assert known.logical_not().nonzero().tolist() == [[3, 0], [4, 1]]
    torch.testing.assert_close(parts[known], torch.stack(expected, dim=1)[known])
    total = several.loss(outputs, encoded, training=False)
    torch.testing.assert_close(
        total, 2 * parts[:, 0].nan_to_num() + 0.5 * parts[:, 1].nan_to_num()
    )


def test_missing_answers_have_no_gradient(mixed):
    several, encoded = mixed
    outputs = OUTPUTS.float().requires_grad_()
    several.loss(outputs, encoded, training=True).sum().backward()
    assert outputs.grad.isfinite().all()
    silent = (outputs.grad == 0).nonzero().tolist()
    assert silent == [[3, 0], [3, 1], [3, 2], [4, 3]]


def test_an_answer_missing_in_either_image_is_missing_in_the_mixture(mixed):
    several, encoded = mixed
    rows = encoded[3:6]
    partner = torch.tensor([2, 2, 0])
    blended, weight = several.mix(partner, torch.tensor([0.5, 1.0, 0.25]), rows, None)
    missing = blended.isnan().tolist()
    assert missing == [[True] * 3 + [False], [False] * 3 + [True], [True] * 3 + [False]]
    torch.testing.assert_close(blended[0, 3], (rows[0, 3] + rows[2, 3]) / 2)
    torch.testing.assert_close(blended[1, :3], rows[1, :3])
    assert weight is None
    # An image whose own fraction is 1 takes nothing from its partner, also if that lacks answers.
    alone, _ = several.mix(torch.tensor([0, 0, 0]), torch.ones(3), rows, torch.ones(3))
    torch.testing.assert_close(alone, rows, equal_nan=True)


def test_every_class_is_trained_on(mixed):
    several, encoded = mixed
    table = encoded.numpy().copy()
    table[:, :3] = [1, 0, 0]
    table[9, :3] = [0, 0, 1]
    for seed in range(15):
        training, validation = several.split(table, 0.5, None, seed)
        assert 9 in training
        assert len(training) + len(validation) == 50


class TestMultioutput:
    """Columns of classes."""

    def test_predictions_have_the_shapes_of_forests(self):
        target = MultioutputTarget.infer(Y)
        outputs = RNG.normal(size=(50, 5))
        assert [c.tolist() for c in target.classes] == [["ant", "bee", "fly"], ["new", "old"]]
        probability = target.predict_proba(outputs)
        assert [p.shape for p in probability] == [(50, 3), (50, 2)]
        for part, logarithm in zip(probability, target.predict_log_proba(outputs)):
            np.testing.assert_allclose(part.sum(axis=1), 1)
            np.testing.assert_allclose(np.exp(logarithm), part)
        labels = target.decode(target.predict(outputs))
        assert labels.shape == (50, 2)
        assert labels[:, 1].tolist() == [target.classes[1][row.argmax()] for row in probability[1]]
        decision = target.decision_function(outputs)
        assert [d.shape for d in decision] == [(50, 3), (50,)]

    def test_accuracy_counts_images_that_are_right_in_all_columns(self):
        target = MultioutputTarget.infer(Y)
        wrong = Y.copy()
        wrong[:10, 0] = np.where(wrong[:10, 0] == "ant", "bee", "ant")
        wrong[5:15, 1] = np.where(wrong[5:15, 1] == "old", "new", "old")
        assert target.accuracy(Y, wrong, None) == pytest.approx(35 / 50)
        weight = np.r_[np.ones(15), np.zeros(35)]
        assert target.accuracy(Y, wrong, weight) == 0
        outputs = torch.from_numpy(target.encode(wrong))
        right = target.score(outputs, torch.from_numpy(target.encode(Y)))
        assert right.float().mean().item() == pytest.approx(35 / 50)

    def test_class_weights_count_in_the_loss_of_their_own_column(self):
        weight = [{"ant": 1, "bee": 3, "fly": 1}, None]
        plain = MultioutputTarget.infer(Y)
        weighted = MultioutputTarget.infer(Y, class_weight=weight)
        outputs, encoded = torch.randn(50, 5), torch.from_numpy(plain.encode(Y))
        before = plain.part_losses(outputs, encoded, training=True)
        after = weighted.part_losses(outputs, encoded, training=True)
        torch.testing.assert_close(after[:, 1], before[:, 1])
        each = torch.from_numpy(np.where(Y[:, 0] == "bee", 3.0, 1.0)).float()
        torch.testing.assert_close(after[:, 0], before[:, 0] * each / each.mean())
        balanced = MultioutputTarget.infer(Y, class_weight="balanced")
        for table, labels in zip(balanced.class_weights, Y.T):
            counts = np.unique(labels, return_counts=True)[1]
            np.testing.assert_allclose(table * counts, (table * counts)[0])

    def test_classes_may_be_named_ahead(self):
        target = MultioutputTarget.infer(Y[:1], [WORDS, ["new", "old"]])
        assert target.n_outputs == 5
        with pytest.raises(ValueError, match="classes has 1 lists of labels, but y has 2 columns"):
            MultioutputTarget.infer(Y, [WORDS])
        with pytest.raises(ValueError, match=r"Expected a list of one dict per column"):
            MultioutputTarget.infer(Y, class_weight={"ant": 2})

    def test_training_continues_with_the_same_columns_and_classes(self):
        first = MultioutputTarget.infer(Y, label_smoothing=0.1)
        again = first.continued(MultioutputTarget.infer(Y[::-1], label_smoothing=0.2))
        assert [target.label_smoothing for target in again.targets] == [0.2, 0.2]
        with pytest.raises(ValueError, match="Training continues with the classes"):
            first.continued(MultioutputTarget.infer(Y[:, ::-1]))
        with pytest.raises(ValueError, match=r"columns \['0', '1'\] of y"):
            first.continued(MultioutputTarget.infer(np.c_[Y, Y[:, :1]]))
