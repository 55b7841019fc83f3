"""The pictures of a report: which part of a photograph lies under a map."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from skcnn._data._files import FileImages
from skcnn._data._paths import read_paths
from skcnn._report._figures import Thumbnails


@pytest.mark.parametrize("resize", ["pad", "stretch", "crop"])
@pytest.mark.parametrize("is_upright", [False, True])
def test_a_map_lies_on_what_it_was_made_of(resize, is_upright, tmp_path):
    # A white bar, from 40% to 60% of the longer side, is what the network sees and the map marks.
    photograph = np.zeros((60, 100, 3), dtype=np.uint8)
    photograph[:, 40:60] = 255
    photograph = photograph.swapaxes(0, 1) if is_upright else photograph
    Image.fromarray(photograph).save(tmp_path / "a.png")
    images = FileImages(read_paths([str(tmp_path / "a.png")]), (40, 40, 3), resize)
    map_ = np.asarray(images[:1])[0, ..., 0] / 255
    thumbnails = Thumbnails(SimpleNamespace(resize=resize), images)
    picture, shown = thumbnails.picture(0), thumbnails.with_map(0, map_)
    assert picture.shape == ((40, 40, 3) if resize == "crop" else photograph.shape)
    # Marked pixels are yellow, where blue is lowest beside red; the others purple.
    marked = shown[..., 0].astype(int) - shown[..., 2] > 60
    white = picture[..., 0] > 128
    assert white.any()
    assert not white.all()
    assert (marked == white).mean() >= 0.95


def test_a_file_that_is_gone_is_an_error_of_its_images(tmp_path):
    names = [str(tmp_path / "a.png")]
    Image.new("RGB", (8, 6)).save(names[0])
    images = FileImages(read_paths(names), (4, 4, 3), "pad")
    thumbnails = Thumbnails(SimpleNamespace(resize="pad"), images)
    assert thumbnails.picture(0).shape == (6, 8, 3)
    (tmp_path / "a.png").unlink()
    with pytest.raises(ValueError, match="does not exist"):
        thumbnails.picture(0)
