"""Checking and reading the binary files."""

import numpy as np
import pytest

from skcnn.datasets._categories import FINE_NAMES
from skcnn.datasets._records import check_label_names, copy_images, open_records


def test_labels_and_pixels_come_from_their_places_in_the_record(tmp_path):
    raw = np.zeros((3, 3074), dtype=np.uint8)
    raw[:, 0], raw[:, 1] = (1, 4, 1), (1, 0, 91)
    raw[2, 2], raw[2, 2 + 33], raw[2, 2 + 1024], raw[2, 3073] = 10, 20, 30, 40
    raw.tofile(tmp_path / "train.bin")
    records = open_records(tmp_path / "train.bin")
    assert records.fine.tolist() == [1, 0, 91]
    images = np.empty((2, 32, 32, 3), dtype=np.uint8)
    copy_images(records, np.array([2, 0]), images)
    assert images[0, 0, 0].tolist() == [10, 30, 0]
    assert images[0, 1, 1].tolist() == [20, 0, 0]
    assert images[0, 31, 31].tolist() == [0, 0, 40]
    assert images[0].sum() == 100
    assert images[1].sum() == 0


def _record(coarse: int, fine: int) -> bytes:
    return bytes([coarse, fine]) + bytes(3072)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (_record(4, 0)[:-1], "has 3073 bytes, which is not a multiple of a record's 3074"),
        (_record(4, 0) + b"x", "has 3075 bytes"),
        (_record(4, 0) + _record(4, 100), "has fine label 100 in record 1, expected 0 to 99"),
        (_record(20, 0), "has coarse label 20 in record 0, expected 0 to 19"),
        (_record(4, 0) + _record(4, 1), "calls record 1 'aquarium_fish' .fine label 1. and"),
    ],
)
def test_damaged_records_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "test.bin"
    path.write_bytes(content)
    with pytest.raises(OSError, match=message) as caught:
        open_records(path)
    assert str(path) in str(caught.value)
    assert "Remove the folder" in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(OSError, match=r"lacks the file train\.bin"):
        open_records(tmp_path / "train.bin")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (FINE_NAMES[:-1], "contains 99 names instead of 100"),
        ((*FINE_NAMES, "yak"), "contains 101 names instead of 100"),
        (("apfel", *FINE_NAMES[1:]), "names 'apfel' in line 1, where 'apple' belongs"),
        ((), "contains 0 names"),
    ],
)
def test_label_names_must_be_the_official_ones(data_home, names, message):
    folder = data_home / "cifar-100-binary"
    check_label_names(folder)
    (folder / "fine_label_names.txt").write_text("\n".join(names))
    with pytest.raises(OSError, match=message) as caught:
        check_label_names(folder)
    assert str(folder / "fine_label_names.txt") in str(caught.value)


def test_label_names_must_be_there_and_be_text(data_home):
    path = data_home / "cifar-100-binary" / "coarse_label_names.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OSError, match="is not a text file"):
        check_label_names(path.parent)
    path.unlink()
    with pytest.raises(OSError, match=r"lacks the file coarse_label_names\.txt"):
        check_label_names(path.parent)
