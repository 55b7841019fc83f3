"""What becomes a training example: the rules, the same for every loader."""

import itertools
import unicodedata

import numpy as np
import pandas as pd
import pytest
from _observations import STATUSES, counted, examples, make, table
from sklearn.utils.multiclass import type_of_target

from skcnn.datasets._rules import Rules


def test_drop():
    bunch = make()
    assert examples(bunch) == [("a", "fox"), ("c", "blank"), ("i", "fox")]
    assert bunch.frame["status"].tolist() == ["labeled", "blank", "labeled"]
    assert counted(bunch) == {
        "repeated labels": 1,
        "images or boxes with several labels": 3,  # b, f and h
        "images of something unknown": 1,
        "images or boxes without a label": 1,
        "images that a program could not read": 1,
    }


def test_first():
    bunch = make(several_labels="first")
    assert examples(bunch) == [
        ("a", "fox"),
        ("b", "hare"),
        ("c", "blank"),
        ("f", "fox"),
        ("h", "blank"),
        ("i", "fox"),
    ]


def test_rows_and_their_groups():
    bunch = make(several_labels="rows")
    assert examples(bunch) == [
        ("a", "fox"),
        ("b", "hare"),
        ("b", "fox"),
        ("c", "blank"),
        ("f", "fox"),
        ("h", "blank"),
        ("h", "fox"),
        ("i", "fox"),
    ]
    # Two examples of one image must not be separated, and no site is known.
    assert bunch.groups.tolist() == bunch.frame["path"].tolist()


def test_multilabel():
    bunch = make(several_labels="multilabel")
    assert bunch.target_names.tolist() == ["fox", "hare"]
    assert bunch.frame["path"].tolist() == list("abcfhi")
    assert bunch.target.tolist() == [[1, 0], [1, 1], [0, 0], [1, 0], [1, 0], [1, 0]]
    assert bunch.frame["label"].tolist()[1] == ("hare", "fox")
    assert bunch.frame["status"].tolist()[2] == "blank"
    assert type_of_target(bunch.target) == "multilabel-indicator"
    assert str(bunch.report).count("fox") == 1


@pytest.mark.parametrize(
    "keep", [keep for n in range(5) for keep in itertools.combinations(STATUSES, n)]
)
def test_four_things_are_kept_apart(keep):
    bunch = make(keep=keep)
    expected = {"c": "blank", "d": "unknown", "e": None, "g": None}
    of_status = dict(zip("cdeg", STATUSES))
    for path, label in expected.items():
        rows = bunch.frame[bunch.frame["path"] == path]
        assert len(rows) == (of_status[path] in keep)
        if len(rows):
            assert rows["status"].tolist() == [of_status[path]]
            assert bunch.target[rows.index[0]] == label
    # What is kept is not counted as left out.
    left_out = {
        "blank": "blank images",
        "unknown": "images of something unknown",
        "unclassified": "images or boxes without a label",
        "failed": "images that a program could not read",
    }
    assert {status for status in STATUSES if left_out[status] in counted(bunch)} == set(
        STATUSES
    ) - set(keep)


def test_keep_may_be_one_name():
    assert len(make(keep="unknown").frame) == 3
    with pytest.raises(ValueError, match=r"'keep' parameter of load contains 'empty'"):
        Rules(keep="empty").check("load")
    with pytest.raises(ValueError, match="keeps images without a label"):
        Rules(keep=["failed"], several_labels="multilabel").check("load")
    with pytest.raises(ValueError, match="several_labels"):
        Rules(several_labels="all").check("load")


MACHINE = [("a", "fox", "labeled"), ("b", "hare", "labeled"), ("b", "fox", "labeled")]


@pytest.mark.parametrize("asked", [False, True])
def test_labels_by_a_machine(asked):
    frame = table([*MACHINE, ("c", "owl", "labeled")], machine=[True, True, False, False])
    bunch = make(frame.assign(probability=[0.9, 0.8, np.nan, np.nan]), machine_labels=asked)
    # A label by a human goes before that by a machine.
    expected = [("a", "fox")] if asked else []
    assert examples(bunch) == [*expected, ("b", "fox"), ("c", "owl")]
    assert counted(bunch).get("labels by a machine") == (None if asked else 2)
    unlabeled = make(frame, keep=["unclassified"]).frame
    assert unlabeled["label"].isna().tolist() == [True, False, False]
    assert "probability" not in unlabeled


@pytest.mark.parametrize("asked", [False, True])
def test_labels_of_events(asked):
    rows = [("a", None, "blank"), ("a", "fox", "labeled"), ("b", "fox", "labeled")]
    bunch = make(table(rows, event_level=[False, True, True]), event_labels=asked)
    # The animal of an event is not in its blank frame, even if labels of events are used.
    assert examples(bunch) == [("a", "blank"), *([("b", "fox")] if asked else [])]


BOXED = [
    ("a", "fox", "labeled", 0.1),
    ("a", "hare", "labeled", 0.5),
    ("a", "owl", "labeled", np.nan),
    ("b", "fox", "labeled", np.nan),
]


def boxed(rows=BOXED):
    frame = pd.DataFrame(rows, columns=["path", "label", "status", "box_x"])
    size = np.where(frame["box_x"].isna(), np.nan, 0.25)
    return frame.assign(box_y=size, box_width=size, box_height=size)


def test_boxes_are_examples():
    bunch = make(boxed())
    assert examples(bunch) == [("a", "fox"), ("a", "hare"), ("b", "fox")]
    assert list(bunch.data.columns) == ["path", "box_x", "box_y", "box_width", "box_height"]
    assert bunch.data.iloc[2].tolist() == ["b", 0.0, 0.0, 1.0, 1.0]  # the whole image
    assert bunch.groups.tolist() == ["a", "a", "b"]
    assert counted(bunch) == {"labels without a box": 1}


def test_without_boxes_images_are_examples():
    bunch = make(boxed(), boxes=False, several_labels="multilabel")
    assert bunch.target_names.tolist() == ["fox", "hare", "owl"]
    assert bunch.target.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert bunch.data.tolist() == ["a", "b"]
    assert "box_x" not in bunch.frame


def test_one_box_with_two_labels_has_several():
    frame = boxed([("a", "fox", "labeled", 0.1), ("a", "hare", "labeled", 0.1)])
    assert make(frame, several_labels="first").target.tolist() == ["fox"]
    with pytest.raises(ValueError, match="1 images or boxes with several labels"):
        make(frame)


def test_boxes_without_area_are_left_out():
    frame = boxed()
    frame.loc[0, "box_width"] = 0
    bunch = make(frame)
    assert examples(bunch) == [("a", "hare"), ("b", "fox")]
    assert counted(bunch)["boxes"] == 1


def test_counts_of_a_species_are_added():
    frame = table(count=[1, 2, *[1] * 12])
    assert make(frame).frame["count"].tolist()[0] == 3


def test_files_that_no_rule_keeps_need_not_be_there():
    frame = table([("a", "fox", "labeled"), ("b", None, "unknown")], problem=["", "gone"])
    assert examples(make(frame)) == [("a", "fox")]


def test_other_media_are_counted():
    rows = [("a.jpg", "fox", "labeled"), ("b.mp4", "fox", "labeled"), ("b.mp4", "cat", "labeled")]
    bunch = make(table(rows, media=["image", "video", "video"]))
    assert examples(bunch) == [("a.jpg", "fox")]
    assert counted(bunch) == {"videos": 1}


def test_nothing_left_says_why():
    with pytest.raises(ValueError, match=r"2 images of something unknown \(keep=\['unknown'\]"):
        make(table([("a", None, "unknown"), ("b", None, "unknown")]))
    with pytest.raises(ValueError, match="Left out: nothing, it is empty"):
        make(table([]))


def test_accents_are_written_in_one_way():
    split = unicodedata.normalize("NFD", "Füchse")
    frame = table([("a", "Füchse", "labeled"), ("b", split, "labeled")], group=[split, "Füchse"])
    bunch = make(frame)
    assert bunch.target_names.tolist() == ["Füchse"]
    assert len(set(bunch.groups)) == 1


@pytest.mark.parametrize("several_labels", ["drop", "multilabel"])
def test_labels_that_look_alike_are_told(several_labels):
    labels = ["Red fox", "red_fox", "red  fox", "hare"]
    frame = table([(str(i), label, "labeled") for i, label in enumerate(labels)])
    bunch = make(frame, several_labels=several_labels)
    assert len(bunch.target_names) == 4
    assert counted(bunch) == {"labels that look alike": 3}
    assert "'Red fox', 'red  fox', 'red_fox'" in bunch.report.notes["remark"].iloc[0]
