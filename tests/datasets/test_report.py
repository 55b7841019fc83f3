"""The report finds what is wrong with files, and reads them only where it may."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from skcnn import ImageLoader
from skcnn.datasets import _report as report_module
from skcnn.datasets import load_image_folder, load_image_table
from skcnn.datasets._scan import MOST_BITS, difference_hash, image_size, near_sets


def section(report, name):
    frame = report.to_frame()
    return frame[frame["section"] == name].set_index("item")


@pytest.fixture
def photos(pictures):
    """A folder with all kinds of files, as site/species."""
    root = pictures({"n/fox/1.jpg": 1, "n/hare/2.jpg": 2, "s/fox/3.jpg": 3, "n/fox/5.png": 5})
    large = Image.open(root / "n/fox/5.png").resize((160, 120), Image.Resampling.BICUBIC)
    large.save(root / "n/fox/5.png")
    large.resize((100, 75)).save(root / "s/fox/small.jpg")  # near duplicate at another site
    (root / "s/hare").mkdir()
    (root / "s/hare/copy.jpg").write_bytes((root / "n/fox/1.jpg").read_bytes())
    (root / "n/fox/again.jpg").write_bytes((root / "n/fox/1.jpg").read_bytes())
    Image.fromarray(np.arange(768, dtype=np.uint16).reshape(24, 32) * 80).save(
        root / "n/hare/16.png"
    )
    content = (root / "s/fox/3.jpg").read_bytes()
    (root / "s/fox/cut.jpg").write_bytes(content[: len(content) * 2 // 3])
    (root / "s/fox/zero.jpg").write_bytes(b"")
    (root / "s/fox/text.jpg").write_bytes(b"hello")
    return root


def test_all_sections(photos):
    report = load_image_folder(photos, label=1, group=0).report
    root = str(photos)
    classes = section(report, "classes")
    assert classes["n"].to_dict() == {"fox": 8, "hare": 3}
    assert classes["groups"].to_dict() == {"fox": 2, "hare": 2}
    assert section(report, "sizes")["n"].to_dict() == {
        "32x24": 6,
        "160x120": 1,
        "100x75": 1,
    }
    # Pillow before 11 has one name for all gray images of more than 8 bits.
    modes = section(report, "modes")["n"].rename({"I": "I;16"})
    assert modes.to_dict() == {"RGB": 7, "I;16": 1}
    unreadable = section(report, "unreadable files")["detail"]
    assert unreadable[f"{root}/s/fox/zero.jpg"] == "is empty (0 bytes)"
    not_an_image = "is not an image in a format that Pillow can read"
    assert unreadable[f"{root}/s/fox/text.jpg"] == not_an_image
    assert "truncated" in unreadable[f"{root}/s/fox/cut.jpg"].lower()
    same = section(report, "exact duplicates")
    assert same["n"].tolist() == [3]
    assert "in several groups" in same["detail"].iloc[0]
    different = section(report, "duplicates with different labels")
    assert f"hare: {root}/s/hare/copy.jpg" in different["detail"].iloc[0]
    near = section(report, "near duplicates across groups")
    assert f"{root}/s/fox/small.jpg (s)" in near["detail"].iloc[0]
    assert report.files["problem"].ne("").sum() == 3
    assert set(report.files.columns) == {"path", "width", "height", "mode", "n_bytes", "problem"}


def test_it_prints_well(photos):
    report = load_image_folder(photos, label=1, group=0).report
    text, page = str(report), report._repr_html_()
    assert "11 examples from 11 files in" in text
    assert "2 classes, 2 groups" in text
    assert max(map(len, text.splitlines())) < 220
    for shown in ("unreadable files", "s/fox/zero.jpg", "is empty", "in 2 groups"):
        assert shown in text
        assert shown in page
    assert page.count("<table>") == page.count("</table>") == 1


def test_names_are_escaped_in_notebooks(pictures):
    root = pictures({"<b>fox/1.jpg": 1, "hare & co/2.jpg": 2})
    page = load_image_folder(root).report._repr_html_()
    assert "&lt;b&gt;fox" in page
    assert "hare &amp; co" in page
    assert "<b>fox" not in page


def test_long_sections_are_cut(pictures):
    root = pictures({f"class {i:02}/1.png": i for i in range(25)})
    text = str(load_image_folder(root).report)
    assert "... 15 more in to_frame()" in text
    assert "class 09" in text
    assert "class 10" not in text


def test_loading_reads_no_file(pictures, monkeypatch):
    root = pictures({"fox/1.png": 1, "hare/2.png": 2})
    opened = []
    monkeypatch.setattr(Image, "open", lambda path, *_: opened.append(path))
    photos = load_image_folder(root)
    assert opened == []
    monkeypatch.setattr(report_module, "_FEW_FILES", 1)
    assert "The files were not read: scan()" in str(photos.report)
    assert "not read" in photos.report._repr_html_()
    assert photos.report.files is None
    assert opened == []


def test_many_bytes_are_read_only_on_demand(pictures, monkeypatch):
    photos = load_image_folder(pictures({"fox/1.png": 1, "hare/2.png": 2}))
    monkeypatch.setattr(report_module, "_FEW_BYTES", 100)
    assert "not read" in str(photos.report)
    report = photos.report.scan(n_threads=1)
    assert report is photos.report
    assert "sizes" in str(report)
    assert len(report.files) == 2


def test_files_are_read_once(pictures, monkeypatch):
    photos = load_image_folder(pictures({"fox/1.png": 1, "hare/2.png": 2}))
    first = photos.report.scan().files
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("read again"))
    assert photos.report.scan().files is first


def test_a_class_of_one_group_is_told(pictures):
    photos = load_image_folder(
        pictures({"n/fox/1.png": 1, "s/hare/2.png": 2, "n/hare/3.png": 3}), label=1, group=0
    )
    details = section(photos.report, "classes")["detail"]
    assert "never in training and test" in details["fox"]
    assert details["hare"] == ""


def test_duplicates_of_one_path_with_two_boxes_are_no_contradiction(pictures):
    root = pictures({"1.png": 1, "2.png": 1})
    table = pd.DataFrame(
        {
            "path": ["1.png", "1.png", "2.png", "2.png"],
            "label": ["fox", "hare", "hare", "fox"],
            "x": [0, 0.5, 0, 0.5],
            "size": [0.5] * 4,
        }
    )
    bunch = load_image_table(
        table, root=root, box=["x", "x", "size", "size"], box_format="xywh", box_unit="fraction"
    )
    assert len(section(bunch.report, "exact duplicates")) == 1
    assert len(section(bunch.report, "duplicates with different labels")) == 0


@given(
    hashes=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=8, unique=True),
    flips=st.lists(
        st.tuples(st.integers(0, 7), st.sets(st.integers(0, 63), min_size=1, max_size=4)),
        max_size=6,
    ),
)
def test_near_sets_are_those_of_all_pairs(hashes, flips):
    for i, bits in flips:
        value = hashes[i % len(hashes)]
        for bit in bits:
            value ^= 1 << bit
        if value not in hashes:
            hashes.append(value)
    n = len(hashes)
    linked = np.array(
        [[(a ^ b).bit_count() <= MOST_BITS for b in hashes] for a in hashes], dtype=bool
    )
    reach = np.linalg.matrix_power(linked.astype(np.float64), n) > 0
    expected = sorted({tuple(np.flatnonzero(row).tolist()) for row in reach})
    found = near_sets(np.array(hashes, dtype=np.uint64))
    assert sorted(map(tuple, found)) == expected


def test_hashes_survive_resizing_and_tell_images_apart():
    rng = np.random.RandomState(0)
    images = [
        Image.fromarray(rng.randint(0, 256, (6, 8, 3)).astype(np.uint8)).resize((320, 240))
        for _ in range(20)
    ]
    hashes = [difference_hash(image) for image in images]
    for image, value in zip(images, hashes):
        other = difference_hash(image.resize((100, 80)))
        assert (value ^ other).bit_count() <= MOST_BITS
    assert len(set(hashes)) == 20
    distances = [(a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(distances) > MOST_BITS


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "CMYK", "I", "F", "I;16", "LA"])
def test_hashes_of_every_mode(mode):
    ramp = np.tile(np.linspace(250, 0, 64), (32, 1))
    if mode in ("I", "F", "I;16"):
        dtype = {"I": np.int32, "F": np.float32, "I;16": np.uint16}[mode]
        image = Image.fromarray((ramp * 200).astype(dtype))
    else:
        image = Image.fromarray(ramp.astype(np.uint8)).convert(mode)
    assert image.mode == mode
    assert difference_hash(image) == 0 if mode != "1" else difference_hash(image) is not None
    assert difference_hash(Image.new("L", (8, 8), 3)) is None


def test_sizes_are_those_shown(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "turned.jpg", exif=exif)
    assert image_size(str(tmp_path / "turned.jpg")) == (30, 40)
    (tmp_path / "bad.jpg").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"bad\.jpg: the size of the image is needed"):
        image_size(str(tmp_path / "bad.jpg"))


def test_it_names_the_files_that_fit_cannot_read(tmp_path):
    """Pillow opens more files than those whose black and white are known."""
    (tmp_path / "a").mkdir()
    readable = Image.new("RGB", (32, 24), "red")
    readable.convert("LAB").save(tmp_path / "a/lab.tif")
    # Older versions of Pillow do not know it.
    suffix = ".avif" if ".avif" in Image.registered_extensions() else ".png"
    readable.save(tmp_path / f"a/photo{suffix}")
    Image.fromarray(np.zeros((24, 32), np.float32)).save(tmp_path / "a/floats.tif")
    readable.save(tmp_path / "a/targa.jpg", format="TGA")
    (tmp_path / "a/phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    photos = load_image_folder(tmp_path)
    assert len(photos.data) == 5
    named = section(photos.report, "unreadable files")["detail"].to_dict()
    with pytest.raises(ValueError, match="3 of 5 image file") as error:
        ImageLoader((8, 8)).fit_transform(photos.data)
    assert len(named) == 3
    for path, reason in named.items():
        assert f"{path} {reason}" in str(error.value)
    assert "pillow-heif" in named[str(tmp_path / "a/phone.HEIC")]
