"""Label images as y: every form, every error, and pieces of large images."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from skcnn._data._decode import UnreadableImageError
from skcnn._data._masks import (
    cut_pieces,
    decode_labels,
    image_list,
    piece_size,
    read_masks,
    starts_of,
)

MASKS = np.arange(2 * 4 * 6).reshape(2, 4, 6) % 5
SIZE = (4, 6)


@pytest.mark.parametrize(
    ("y", "is_flat"),
    [
        (MASKS, False),
        (MASKS.tolist(), False),
        (list(MASKS), False),
        (MASKS[..., None], False),
        (list(MASKS[..., None]), False),
        (torch.from_numpy(MASKS), False),
        (list(torch.from_numpy(MASKS)), False),
        (MASKS.reshape(2, -1), True),
        (pd.DataFrame(MASKS.reshape(2, -1)), True),
    ],
)
def test_label_images_in_memory(y, is_flat):
    masks, flat = read_masks(y, 2, SIZE, "stretch")
    np.testing.assert_array_equal(masks, MASKS)
    assert flat is is_flat


def test_labels_of_any_type_stay():
    names = np.array(["a", "b", "c", "d", "e"])[MASKS]
    masks, _ = read_masks(names, 2, SIZE, "stretch")
    np.testing.assert_array_equal(masks, names)
    masked = np.ma.array(MASKS, mask=MASKS == 2)
    for y in (masked, list(masked)):
        masks, _ = read_masks(y, 2, SIZE, "stretch")
        np.testing.assert_array_equal(np.ma.getmaskarray(masks), MASKS == 2)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed"),
        ([0, 1], "one label per image, use ConvNetClassifier"),
        (MASKS[:1], "y has 1 label images for 2 images"),
        (MASKS[:, :3], r"of shape \(3, 6\), but the images are 4 pixels high and 6 wide"),
        ([MASKS[0], MASKS[1, :3]], r"of shape \(3, 6\) in row 1"),
        (MASKS.reshape(2, -1)[:, :-1], "y has 23 pixels per row.*rows of 24 pixels"),
        (np.eye(5)[MASKS], r"y\.argmax\(axis=3\)"),
        (np.array(["oak", "fir"]), "does not exist"),
    ],
)
def test_what_is_no_label_image_is_refused(y, message):
    with pytest.raises(ValueError, match=message):
        read_masks(y, 2, SIZE, "stretch")


@pytest.fixture
def folder(tmp_path):
    labels = MASKS[0].astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / "gray.png")
    palette = Image.new("P", (6, 4))
    palette.putdata(labels.ravel().tolist())
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9, 200, 1, 1])
    palette.save(tmp_path / "palette.png")
    Image.fromarray(labels.astype(np.uint16) * 1000).save(tmp_path / "deep.png")
    Image.fromarray(labels > 2).save(tmp_path / "bits.png")
    Image.fromarray(np.repeat(labels[..., None], 3, axis=2)).save(tmp_path / "equal.png")
    colors = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(colors).save(tmp_path / "colors.png")
    (tmp_path / "text.png").write_text("no image")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gray", MASKS[0]),
        ("palette", MASKS[0]),
        ("deep", MASKS[0] * 1000),
        ("bits", MASKS[0] > 2),
        ("equal", MASKS[0]),
    ],
)
def test_numbers_in_files_are_labels(folder, name, expected):
    labels = decode_labels(folder / f"{name}.png")
    np.testing.assert_array_equal(labels, expected)
    masks, _ = read_masks([folder / f"{name}.png"] * 2, 2, SIZE, "stretch")
    np.testing.assert_array_equal(masks, [expected] * 2)


def test_files_are_enlarged_and_reduced_without_new_labels(folder):
    labels = decode_labels(folder / "gray.png", (8, 12))
    np.testing.assert_array_equal(labels, MASKS[0].repeat(2, axis=0).repeat(2, axis=1))
    small = decode_labels(folder / "deep.png", (2, 3))
    np.testing.assert_array_equal(small, MASKS[0, 1::2, 1::2] * 1000)


def test_files_are_cut_and_padded_as_images_are(folder):
    cropped = decode_labels(folder / "gray.png", (4, 4), "crop")
    np.testing.assert_array_equal(cropped, MASKS[0, :, 1:5])
    padded = decode_labels(folder / "gray.png", (6, 6), "pad")
    np.testing.assert_array_equal(padded[1:5], MASKS[0])
    np.testing.assert_array_equal(np.ma.getmaskarray(padded).all(axis=1), [1, 0, 0, 0, 0, 1])
    masks, _ = read_masks([str(folder / "gray.png")] * 2, 2, (6, 6), "pad")
    assert np.ma.getmaskarray(masks).sum() == 24


def test_a_turned_mask_is_turned(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(MASKS[0].astype(np.uint8)).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(decode_labels(tmp_path / "turned.png"), np.rot90(MASKS[0], -1))


def test_files_that_are_no_masks_are_named(folder):
    with pytest.raises(UnreadableImageError, match="is a color image"):
        decode_labels(folder / "colors.png")
    y = [folder / "gray.png", folder / "colors.png", folder / "text.png"]
    with pytest.raises(ValueError, match=r"(?s)2 of 3 file\(s\) of y.*row 1.*row 2.*palette"):
        read_masks(y, 3, SIZE, "stretch")


# ---------------------------------------------------------------------- pieces


def test_images_of_unequal_sizes_are_listed():
    gray, color = np.zeros((4, 6)), np.zeros((3, 5, 3))
    assert [image.shape for image in image_list([gray, gray.T], "auto")] == [(4, 6, 1), (6, 4, 1)]
    first = image_list([color.transpose(2, 0, 1)] * 2, "channels_first")
    assert [image.shape for image in first] == [(3, 5, 3)] * 2
    assert image_list(torch.zeros(2, 4, 6, 3), "auto")[0].shape == (4, 6, 3)
    assert image_list(np.zeros((2, 24)), "auto") is None
    assert image_list(["a.jpg", "b.jpg"], "auto") is None
    assert image_list([], "auto") is None


def test_small_images_of_one_size_are_not_cut():
    images = [np.zeros((512, 400, 3))] * 2
    assert piece_size(images, None) is None
    assert piece_size(images, (512, 400)) is None
    assert piece_size(images, (64, 64)) == (64, 64)
    assert piece_size([np.zeros((513, 400, 3))], None) == (256, 256)


@pytest.mark.parametrize("side", [5, 64, 65, 200])
def test_pieces_cover_a_side(side):
    starts = starts_of(side, 64)
    assert starts[0] == 0
    assert {n for start in starts for n in range(start, start + 64)} >= set(range(side))
    assert max(starts) + 64 <= max(side, 64)


def test_pieces_hold_the_pixels_of_their_images():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (20, 30, 3)), rng.integers(0, 255, (9, 16, 3))]
    masks = [image[..., 0] % 3 for image in images]
    pieces = cut_pieces(images, masks, (12, 16), None)
    assert pieces.images.shape == (5, 12, 16, 3)
    assert pieces.rows.tolist() == [0, 0, 0, 0, 1]
    np.testing.assert_array_equal(pieces.images[3], images[0][8:, 14:])
    known = ~np.ma.getmaskarray(pieces.masks)
    np.testing.assert_array_equal(pieces.masks[known], (pieces.images[..., 0] % 3)[known])
    # What was added to the small image has no label.
    np.testing.assert_array_equal(known[4].all(axis=1), np.arange(12) < 9)
    np.testing.assert_array_equal(pieces.images[4, 9:], images[1][7:4:-1])


def test_pieces_without_a_label_are_dropped():
    image, mask = np.zeros((20, 20, 1)), np.full((20, 20), 255)
    mask[15, 3] = 1
    pieces = cut_pieces([image, image], [mask, mask.T], (10, 10), 255)
    assert pieces.rows.tolist() == [0, 1]
    with pytest.raises(ValueError, match="no pixel with a label"):
        cut_pieces([image], [np.full((20, 20), 255)], (10, 10), 255)


def test_files_of_masks_are_cut_in_their_own_size(folder):
    pieces = cut_pieces([np.zeros((4, 6, 3))], [folder / "gray.png"], (4, 4), None)
    np.testing.assert_array_equal(pieces.masks[1], MASKS[0, :, 2:])
    with pytest.raises(ValueError, match="A file of y cannot be read: it is a color image"):
        cut_pieces([np.zeros((4, 6, 3))], [folder / "colors.png"], (4, 4), None)


def test_pieces_refuse_what_does_not_fit():
    image = np.zeros((20, 20, 3))
    with pytest.raises(ValueError, match=r"shape \(20, 19\) in row 1"):
        cut_pieces([image, image], [np.zeros((20, 20)), np.zeros((20, 19))], (8, 8), None)
    with pytest.raises(ValueError, match="X holds images with 1 and 3 channels"):
        cut_pieces([image, image[..., :1]], [np.zeros((20, 20))] * 2, (8, 8), None)
    with pytest.raises(ValueError, match="y has 1 label images for 2 images"):
        cut_pieces([image, image], [np.zeros((20, 20))], (8, 8), None)
    with pytest.raises(ValueError, match="y is None"):
        cut_pieces([image], None, (8, 8), None)
