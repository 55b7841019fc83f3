"""What every loader returns: labels, groups, and which files are missing."""

import pytest
from _observations import counted, make, table
from sklearn.model_selection import GroupKFold, cross_val_score


def test_missing_files_are_named_before_anything_is_trained():
    rows = [(f"{i}.jpg", "fox", "labeled") for i in range(14)]
    frame = table(rows, problem=["", *["does not exist"] * 13], group="north")
    with pytest.raises(FileNotFoundError) as error:
        make(frame)
    message = str(error.value)
    assert "13 files listed in the table are not there (13 of 14 examples)" in message
    assert [f"  {i}.jpg: does not exist" in message for i in range(1, 14)] == [True] * 10 + [
        False
    ] * 3
    assert "... and 3 more" in message
    bunch = make(frame, missing="report")
    assert bunch.data.tolist() == ["0.jpg"]
    assert bunch.report.missing["path"].tolist() == [f"{i}.jpg" for i in range(1, 14)]
    assert bunch.report.missing["group"].tolist() == ["north"] * 13
    assert "13 more are not there" in str(bunch.report)


@pytest.mark.parametrize(
    ("labels", "kind"), [(["a", "b"], "U"), ([3, 5], "i"), ([True, False], "b"), ([1, "a"], "O")]
)
def test_labels_come_back_as_given(labels, kind):
    bunch = make(table([(str(i), label, "labeled") for i, label in enumerate(labels)]))
    assert bunch.target.tolist() == labels
    assert bunch.target.dtype.kind == kind


def test_a_bunch_goes_into_scikit_learn():
    from sklearn.dummy import DummyClassifier

    rows = [(str(i), "fox" if i % 2 else "hare", "labeled") for i in range(12)]
    bunch = make(table(rows, group=[f"site {i % 3}" for i in range(12)]))
    scores = cross_val_score(
        DummyClassifier(), bunch.data, bunch.target, groups=bunch.groups, cv=GroupKFold(3)
    )
    assert scores.shape == (3,)


def test_examples_without_a_group_are_told():
    frame = table([("a", "fox", "labeled"), ("b", "hare", "labeled")], group=["hill", None])
    bunch = make(frame)
    assert bunch.groups.tolist() == ["hill", None]
    assert counted(bunch) == {"examples without a group": 1}


def test_changed_copies_of_a_photograph_are_a_group():
    names = ["fox_1_jpg.rf.0aB.jpg", "fox_1_jpg.rf.Zz9.jpg", "hare-2_JPG.rf.77.jpg", "a.rf.1.jpg"]
    frame = table([(name, "fox", "labeled") for name in names])
    bunch = make(frame)
    assert bunch.groups.tolist() == ["fox_1_jpg", "fox_1_jpg", "hare-2_JPG", "a.rf.1.jpg"]
    assert counted(bunch) == {"changed copies of photographs": 1}
    # Sites that are known stay.
    bunch = make(frame.assign(group=["hill", "hill", "lake", "lake"]))
    assert bunch.groups.tolist() == ["hill", "hill", "lake", "lake"]
    # Without copies, each image is an example of its own.
    assert make(frame[1:]).groups is None
