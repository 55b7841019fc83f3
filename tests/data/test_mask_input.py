"""Label images as y: every form, and every error."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageOps

from skcnn._data._label_numbers import read_numbers
from skcnn._data._masks import fit_labels, read_masks
from skcnn._data._paths import Paths
from skcnn._decode import UnreadableImageError

MASKS = np.arange(2 * 4 * 6).reshape(2, 4, 6) % 5
SIZE = (4, 6)


def decode_labels(path, size=None, resize="stretch", **more):
    return fit_labels(read_numbers(path).values, size, resize, **more)


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
    cropped = decode_labels(folder / "gray.png", (4, 4), "crop", image="a.jpg")
    np.testing.assert_array_equal(cropped, MASKS[0, :, 1:5])
    padded = decode_labels(folder / "gray.png", (6, 6), "pad", image="a.jpg")
    np.testing.assert_array_equal(padded[1:5], MASKS[0])
    np.testing.assert_array_equal(np.ma.getmaskarray(padded).all(axis=1), [1, 0, 0, 0, 0, 1])
    images = Paths(np.array(["a.jpg", "b.jpg"]))
    masks, _ = read_masks([str(folder / "gray.png")] * 2, 2, (6, 6), "pad", images=images)
    assert np.ma.getmaskarray(masks).sum() == 24


def test_the_box_of_an_image_is_that_of_its_mask(folder):
    box = np.array([1 / 3, 0.5, 0.5, 0.5])
    part = decode_labels(folder / "gray.png", (2, 3), box=box)
    np.testing.assert_array_equal(part, MASKS[0, 2:4, 2:5])
    images = Paths(np.array(["a.jpg", "b.jpg"]), np.stack([box, np.full(4, np.nan)]))
    y = [folder / "gray.png"] * 2
    masks, _ = read_masks(y, 2, (2, 3), "stretch", images=images)
    np.testing.assert_array_equal(masks, [MASKS[0, 2:4, 2:5], MASKS[0, 1::2, 1::2]])


def test_a_mask_of_the_box_alone_is_refused(tmp_path):
    Image.fromarray(np.zeros((40, 60, 3), dtype=np.uint8)).save(tmp_path / "photograph.png")
    for name, shape in {"box": (20, 20), "half": (20, 30), "whole": (40, 60)}.items():
        Image.fromarray(np.ones(shape, dtype=np.uint8)).save(tmp_path / f"{name}.png")
    box = np.array([0.1, 0.25, 1 / 3, 0.5])
    images = Paths(np.array([tmp_path / "photograph.png"]), box[None])
    for name in ("half", "whole"):
        masks, _ = read_masks([tmp_path / f"{name}.png"], 1, (8, 8), "stretch", images=images)
        assert (masks == 1).all()
    with pytest.raises(
        ValueError, match=r"box\.png is 20 pixels high and 20 wide, as large as the box.*40 high"
    ):
        read_masks([tmp_path / "box.png"], 1, (8, 8), "stretch", images=images)


def test_a_turned_mask_is_turned(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(MASKS[0].astype(np.uint8)).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(decode_labels(tmp_path / "turned.png"), np.rot90(MASKS[0], -1))


def test_masks_of_photographs_on_their_side_are_refused(tmp_path, folder):
    exif = Image.Exif()
    exif[274] = 6
    photograph = Image.fromarray(np.zeros((4, 6, 3), dtype=np.uint8))
    photograph.save(tmp_path / "turned.jpg", exif=exif)
    photograph.save(tmp_path / "upright.jpg")
    (tmp_path / "broken.jpg").write_text("This is no photograph.")
    names = ["upright.jpg", "broken.jpg", "turned.jpg"]
    images = Paths(np.array([tmp_path / name for name in names]))
    y = [folder / "gray.png"] * 3
    masks, _ = read_masks(y[:2], 2, SIZE, "stretch", images=images.take(slice(2)))
    np.testing.assert_array_equal(masks, [MASKS[0]] * 2)
    with pytest.raises(
        ValueError, match=r"(?s)1 of 3 .*row 2.*4 pixels high and 6 wide.*is 6 high.*Turn the mask"
    ):
        read_masks(y, 3, SIZE, "stretch", images=images)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_are_of_the_photographs_as_they_are_shown(tmp_path, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    photograph = Image.fromarray(np.zeros((4, 6, 3), dtype=np.uint8))
    photograph.save(tmp_path / "photograph.jpg", exif=exif)
    shown = ImageOps.exif_transpose(Image.open(tmp_path / "photograph.jpg")).size[::-1]
    labels = np.arange(24).reshape(shown).astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / "mask.png")
    images = Paths(np.array([tmp_path / "photograph.jpg"]))
    masks, _ = read_masks([tmp_path / "mask.png"], 1, shown, "pad", images=images)
    np.testing.assert_array_equal(masks, [labels])


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((30, 40), None),  # as large
        ((90, 120), None),  # before the photograph was reduced
        ((13, 18), None),  # reduced, and rounded
        ((91, 121), None),
        ((32, 48), "is 32 pixels high and 48 wide, and its image is 30 high and 40 wide: it was"),
        ((40, 40), r"mask\.resize\(\(40, 30\), Image\.Resampling\.NEAREST\)"),
        ((20, 15), "is 20 pixels high and 15 wide.*Turn the mask"),
    ],
)
def test_masks_of_other_proportions_are_refused(tmp_path, shape, message, resize):
    Image.fromarray(np.zeros((30, 40, 3), dtype=np.uint8)).save(tmp_path / "photograph.png")
    Image.fromarray(np.ones(shape, dtype=np.uint8)).save(tmp_path / "mask.png")
    images = Paths(np.array([tmp_path / "photograph.png"]))
    # Files of photographs get any size; arrays have theirs.
    for size, more in (((8, 8), {"images": images}), ((30, 40), {})):
        y = [tmp_path / "mask.png"]
        if message is None:
            assert (read_masks(y, 1, size, resize, **more)[0] == 1).all()
            continue
        with pytest.raises(ValueError, match=f"(?s)1 of 1 .*{message}"):
            read_masks(y, 1, size, resize, **more)


def test_files_that_are_no_masks_are_named(folder):
    with pytest.raises(UnreadableImageError, match="is a color image"):
        decode_labels(folder / "colors.png")
    y = [folder / "gray.png", folder / "colors.png", folder / "text.png"]
    with pytest.raises(ValueError, match=r"(?s)2 of 3 file\(s\) of y.*row 1.*row 2.*palette"):
        read_masks(y, 3, SIZE, "stretch")


def test_jpeg_files_are_no_masks(tmp_path):
    mask = np.zeros((16, 16), dtype=np.uint8)
    mask[3:9, 4:13] = 255
    Image.fromarray(mask).save(tmp_path / "mask.jpg")
    with pytest.raises(UnreadableImageError, match=r"is a JPEG file.*Export masks as PNG"):
        decode_labels(tmp_path / "mask.jpg")
    Image.fromarray(mask).save(tmp_path / "a PNG after all.jpg", format="png")
    np.testing.assert_array_equal(decode_labels(tmp_path / "a PNG after all.jpg"), mask)


def test_the_first_of_many_files_are_named(tmp_path):
    y = [str(tmp_path / f"{row}.png") for row in range(13)]
    with pytest.raises(ValueError, match=r"(?s)13 of 13 .*row 9: \S*9\.png does.*and 3 more\n"):
        read_masks(y, 13, SIZE, "stretch")
