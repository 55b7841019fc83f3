"""Images of unequal or large sizes, cut into pieces."""

import numpy as np
import pytest
import torch
from PIL import Image

from skcnn._data._pieces import cut_pieces, image_list, piece_size, starts_of


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


def test_files_of_masks_are_cut_in_their_own_size(tmp_path):
    labels = np.arange(24, dtype=np.uint8).reshape(4, 6) % 5
    paths = [tmp_path / name for name in ("gray.png", "colors.png")]
    Image.fromarray(labels).save(paths[0])
    Image.fromarray(np.stack([labels, labels, 9 - labels], axis=2)).save(paths[1])
    images = [np.zeros((4, 6, 3))] * 2
    pieces = cut_pieces(images[:1], paths[:1], (4, 4), None)
    np.testing.assert_array_equal(pieces.masks[1], labels[:, 2:])
    with pytest.raises(ValueError, match=r"(?s)1 of 2 file.*row 1: \S*colors.png is a color"):
        cut_pieces(images, paths, (4, 4), None)


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
    with pytest.raises(ValueError, match=r"y_val has label images of shape \(20, 19\) in row 0"):
        cut_pieces([image], [np.zeros((20, 19))], (8, 8), None, "_val")
