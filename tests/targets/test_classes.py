"""Classes as a target: labels and their numbers, the loss, the score, mixtures."""

import copy
import datetime
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from skcnn._targets import ClassTarget, Target
from skcnn._targets._classes import check_labels, encode, find_classes

KINDS = {
    "strings": (["owl", "ant", "owl", "bee"], ["ant", "bee", "owl"], [2, 0, 2, 1]),
    "gaps": ([70, -3, 70, 5], [-3, 5, 70], [2, 0, 2, 1]),
    "booleans": ([True, False, True, True], [False, True], [1, 0, 1, 1]),
    "whole_floats": ([2.0, 1.0, 2.0, 1.0], [1.0, 2.0], [1, 0, 1, 0]),
    "objects": (np.array(["b", "a", "b"], dtype=object), ["a", "b"], [1, 0, 1]),
}


@pytest.mark.parametrize(("y", "classes", "codes"), KINDS.values(), ids=KINDS)
def test_labels_are_numbered_in_sorted_order(y, classes, codes):
    found = find_classes(np.asarray(y))
    assert found.tolist() == classes
    encoded = encode(np.asarray(y), found)
    assert encoded.tolist() == codes
    assert encoded.dtype == np.int64


# Of many labels for few images scikit-learn warns that they look like a regression.
# "NA" is how R hands over a missing label, which is refused.
TEXTS = st.lists(
    st.text(max_size=3).filter(lambda text: text != "NA"), min_size=2, max_size=20
).filter(lambda y: len(set(y)) > 1)


@pytest.mark.filterwarnings("ignore:y has text with nothing in it")
@given(TEXTS)
def test_numbers_lead_back_to_the_labels(y):
    y = np.array(y, dtype=object)
    classes = find_classes(y)
    np.testing.assert_array_equal(classes[encode(y, classes)], y)


def test_classes_may_be_named_ahead_of_their_images():
    classes = find_classes(np.array([3, 3]), [5, 3, 9, 3])
    assert classes.tolist() == [3, 5, 9]
    assert encode(np.array([9, 3]), classes).tolist() == [2, 0]


@pytest.mark.parametrize(
    ("y", "classes", "message"),
    [
        (["a", "a"], None, "y holds 1 class, .*'a'.*at least 2 classes"),
        (["a", "b"], ["a"], "1 class"),
        ([0.5, 1.5], None, "Unknown label type: continuous"),
        ([[0, 1], [1, 0]], None, "multilabel|1d"),
    ],
    ids=["one_class", "one_named", "continuous", "two_columns"],
)
def test_what_is_no_target_of_a_classification_is_refused(y, classes, message):
    with pytest.raises(ValueError, match=message):
        find_classes(np.array(y), classes)


@pytest.mark.parametrize("empty", ["", "  "])
def test_empty_text_is_a_class_and_told(empty):
    for y in (["ant", empty, "bee", empty], np.array(["ant", empty, "bee", empty])):
        with pytest.warns(UserWarning, match=r"nothing in it in 2 row\(s\), the first is row 1"):
            target = ClassTarget.infer(y)
        assert target.classes.tolist() == [empty, "ant", "bee"]
    # Who names it means it.
    assert ClassTarget.infer(["ant", "bee"], ["ant", "bee", empty]).classes.tolist()[0] == empty


@pytest.mark.parametrize("labels", [["ant", None], [1.0, np.nan]], ids=["text", "numbers"])
def test_missing_labels_are_named_wherever_labels_are_read(labels):
    message = r"1 missing label\(s\), the first in row 1"
    first = labels[0]
    with pytest.raises(ValueError, match=f"classes has {message}"):
        find_classes([first, first], labels)
    with pytest.raises(ValueError, match=f"y_test has {message}"):
        encode(np.array(labels, dtype=object), np.array(["ant", "bee"]), "y_test")
    target = ClassTarget.infer([first, "bee" if first == "ant" else 2.0])
    with pytest.raises(ValueError, match=r"y has 1 missing value.*first in row 1"):
        target.accuracy(np.array(labels, dtype=object), target.classes, None)


def test_classes_that_are_named_are_of_one_type():
    with pytest.raises(ValueError, match="classes holds labels of different types"):
        find_classes(["ant", "bee"], np.array(["ant", 1], dtype=object))


@pytest.mark.parametrize(
    ("y", "classes", "unseen"),
    [
        (["ant", "fly", "bug"], ["ant", "bee"], r"\['bug', 'fly'\]"),
        ([1, 4], [1, 2], r"\[4\]"),
        (list(range(20)), [0, 1], r"\[2, 3, 4, 5, 6\]"),
    ],
    ids=["strings", "integers", "many"],
)
def test_labels_never_seen_are_named(y, classes, unseen):
    with pytest.raises(ValueError, match=f"y_val holds labels that are not .*{unseen}"):
        encode(np.array(y), np.array(classes), "y_val")


def test_of_many_classes_the_message_names_some():
    with pytest.raises(ValueError, match=r"\[0, 1, .*, 9\] \.\.\.\."):
        encode(np.array([99]), np.arange(50))


def test_a_number_is_not_its_name():
    with pytest.raises(
        ValueError, match="y holds text such as '1', but the classes are numbers such as 1"
    ):
        encode(np.array(["1", "2"]), np.array([1, 2]))


@pytest.mark.parametrize(
    "y",
    [["a", "b"], np.array(["a", "b"]), pd.Series(["a", "b"]), np.array(["a", "b"], dtype=object)],
    ids=["list", "array", "series", "objects"],
)
def test_labels_beside_the_images_come_in_any_form(y):
    assert check_labels(y, 2, "y_val").tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1, 2, 3], "y_val has 3 labels for 2 images"),
        ([1.0, np.nan], r"y_val has 1 missing label\(s\), the first in row 1"),
        ([[1, 2], [3, 4]], "1d array"),
    ],
    ids=["length", "nan", "two_columns"],
)
def test_labels_that_do_not_fit_the_images_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        check_labels(y, 2, "y_val")


# ---------------------------------------------------------------- the target as a whole


def logits_and_codes(n=7, n_classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, n_classes, generator=generator)
    return logits, torch.randint(n_classes, (n,), generator=generator)


def test_class_target_describes_its_outputs():
    target = ClassTarget.infer(["oak", "fir", "oak", "elm"])
    assert isinstance(target, Target)
    assert target.n_outputs == 3
    assert target.description == "the logits of 3 classes"
    assert (target.kind, target.score_name) == ("classifier", "accuracy")


@pytest.mark.parametrize("class_weight", [None, "balanced", {"fir": 3}], ids=str)
def test_class_target_is_inferred_from_labels(class_weight):
    target = ClassTarget.infer(["oak", "fir", "oak"], class_weight=class_weight)
    assert target.classes.tolist() == ["fir", "oak"]
    expected = {None: None, "balanced": [1.5, 0.75]}.get(
        class_weight if isinstance(class_weight, str | None) else "", [3, 1]
    )
    found = target.class_weight
    assert (found if found is None else found.tolist()) == expected
    assert target.label_smoothing == 0


def test_class_target_has_the_classes_that_are_named():
    target = ClassTarget.infer([3, 3], [5, 3, 9], label_smoothing=0.2)
    assert target.classes.tolist() == [3, 5, 9]
    assert target.label_smoothing == 0.2
    with pytest.raises(ValueError, match="1 class"):
        ClassTarget.infer([3, 3])


@pytest.mark.filterwarnings("ignore:y has text with nothing in it")
@given(TEXTS)
def test_class_target_decodes_what_it_encodes(y):
    y = np.array(y, dtype=object)
    target = ClassTarget(find_classes(y))
    encoded = target.encode(y)
    assert encoded.dtype == np.int64
    np.testing.assert_array_equal(target.decode(encoded), y)


def test_class_target_names_labels_that_it_does_not_know():
    target = ClassTarget(np.array(["a", "b"]))
    with pytest.raises(ValueError, match=r"y_val holds labels that are not .*\['c'\]"):
        target.encode(np.array(["a", "c"]), "y_val")
    with pytest.raises(ValueError, match="y_val has 1 labels for 2 images"):
        target.check(["a"], 2, "y_val")
    assert target.check(["a", "b"], 2, "y_val").tolist() == ["a", "b"]


def test_class_target_predicts_the_most_probable_class():
    logits, _ = logits_and_codes()
    target = ClassTarget(np.array(["a", "b", "c"]))
    probability = target.probabilities(logits)
    torch.testing.assert_close(probability.sum(1), torch.ones(7))
    torch.testing.assert_close(probability.log(), F.log_softmax(logits, dim=1))
    codes = target.predict(logits.numpy())
    np.testing.assert_array_equal(codes, probability.argmax(1))
    assert set(target.decode(codes)) <= {"a", "b", "c"}


@given(st.floats(0, 0.9), st.integers(0, 100))
def test_class_target_smooths_labels_in_training_only(smoothing, seed):
    logits, codes = logits_and_codes(seed=seed)
    target = ClassTarget(np.arange(3), label_smoothing=smoothing)
    log_probability = F.log_softmax(logits, dim=1)
    named = -log_probability[range(7), codes]
    loss = target.loss(logits, codes, training=False)
    torch.testing.assert_close(loss, named)
    expected = (1 - smoothing) * named - smoothing * log_probability.mean(1)
    torch.testing.assert_close(target.loss(logits, codes, training=True), expected)


@pytest.mark.parametrize("training", [True, False])
def test_class_target_has_one_loss_for_indices_and_their_probabilities(training):
    logits, codes = logits_and_codes()
    target = ClassTarget(np.arange(3), label_smoothing=0.1)
    loss = target.loss(logits, codes, training=training)
    assert loss.shape == (7,)
    pure = F.one_hot(codes, 3).float()
    torch.testing.assert_close(target.loss(logits, pure, training=training), loss)


def test_class_target_scores_by_accuracy():
    logits, codes = logits_and_codes(40)
    score = ClassTarget(np.arange(3)).score(logits, codes)
    assert score.shape == (40,)
    assert score.float().mean().item() == pytest.approx(
        np.mean(logits.argmax(1).numpy() == codes.numpy())
    )


@pytest.mark.parametrize("other", [["a", "b", "c"], ["a", "c"], ["a"]], ids=str)
def test_class_target_continues_with_the_same_classes_only(other):
    target = ClassTarget(np.array(["a", "b"]))
    with pytest.raises(ValueError, match=r"classes \['a', 'b'\], but now got \['a'.*warm_start"):
        target.check_same(ClassTarget(np.array(other)))
    target.check_same(ClassTarget(np.array(["a", "b"]), label_smoothing=0.3))


def test_class_target_multiplies_weights():
    target = ClassTarget(np.array(["a", "b"]), np.array([3.0, 5.0]))
    encoded = np.array([0, 1, 1])
    assert target.weights(None, encoded).tolist() == [3, 5, 5]
    assert target.weights([1, 2, 0], encoded).tolist() == [3, 10, 0]
    assert ClassTarget(np.array(["a", "b"])).weights(None, encoded) is None


@given(st.integers(2, 4), st.integers(0, 100))
def test_class_target_holds_out_some_of_each_class(n_classes, seed):
    encoded = np.arange(10 * n_classes) % n_classes
    target = ClassTarget(np.arange(n_classes))
    training, validation = target.split(encoded, 0.2, None, seed)
    assert np.bincount(encoded[validation]).tolist() == [2] * n_classes
    assert sorted([*training, *validation]) == list(range(10 * n_classes))


def test_class_target_can_be_stored_and_copied():
    target = ClassTarget.infer(["a", "b", "b"], class_weight="balanced", label_smoothing=0.1)
    for other in (pickle.loads(pickle.dumps(target)), copy.deepcopy(target)):
        target.check_same(other)
        np.testing.assert_array_equal(other.class_weight, target.class_weight)
        assert other.label_smoothing == 0.1


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array([True, False], object), r"objects of type bool, such as True.*dtype=bool"),
        ([datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)], r"type date.*str\(label\)"),
        (pd.Series(pd.PeriodIndex(["2020-01", "2020-02"], freq="M")), "type Period"),
    ],
    ids=["bool", "date", "period"],
)
def test_objects_that_are_no_labels_are_named(y, message):
    with pytest.raises(ValueError, match=message):
        ClassTarget.infer(y)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({"oak": 2, "firr": 3}, r"names 'firr', which y does not hold, and the classes \['fir'\]"),
        ({0: 2}, r"names 0, .*Expected some of the labels \['fir', 'oak'\]"),
        ({"oak": "2"}, r"holds the weight '2'\. Expected numbers"),
    ],
)
def test_weights_of_no_class_are_named(class_weight, message):
    with pytest.raises(ValueError, match=message):
        ClassTarget.infer(["oak", "fir"], class_weight=class_weight)
    # Classes that a fold lacks may have one.
    target = ClassTarget.infer(["oak", "fir"], class_weight={"oak": 2, "fir": 1, "yew": 9})
    assert target.class_weight.tolist() == [1, 2]
