"""Files are found by what tables say of them, and never taken for one another."""

import os
import sys
import unicodedata

import pytest

from skcnn.datasets._paths import FileFinder, folder_levels, is_absolute, join, media_type, tidy


@pytest.fixture
def tree(tmp_path):
    for name in ("site 1/IMG_1.JPG", "site 1/IMG_2.jpg", "site 2/IMG_1.JPG", "été.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def find(root, *names, chosen=False):
    return FileFinder(root, chosen).find_all(names)


@pytest.mark.parametrize(
    "name",
    [
        "site 1/IMG_1.JPG",
        "site 1\\IMG_1.JPG",
        " site 1/IMG_1.JPG ",
        "./site 1/IMG_1.JPG",
        "site 2/../site 1/IMG_1.JPG",
        "site 1/IMG_1.jpg",
        "Site 1/img_1.jpg",
        '"site 1/IMG_1.JPG"',
    ],
)
def test_one_file_by_many_names(tree, name):
    found = find(tree, name)
    assert found.paths[0] == str(tree / "site 1" / "IMG_1.JPG")
    assert found.problems[0] == ""


def test_absolute_paths_and_file_addresses(tree):
    path = tree / "site 1" / "IMG_2.jpg"
    found = find(tree / "site 2", str(path), path.as_uri())
    assert found.paths.tolist() == [str(path)] * 2


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_in_either_form(tree, form):
    found = find(tree, unicodedata.normalize(form, "été.jpg"))
    assert found.problems[0] == ""
    assert os.path.isfile(found.paths[0])


@pytest.mark.skipif(sys.platform != "linux", reason="names differ in case only on Linux")
def test_two_names_that_differ_in_case_are_not_guessed(tree):
    (tree / "a.jpg").write_bytes(b"x")
    (tree / "A.JPG").write_bytes(b"x")
    found = find(tree, "a.jpg", "a.JPG")
    assert found.problems.tolist() == ["", "does not exist"]


@pytest.mark.skipif(os.name == "nt", reason="a backslash separates folders there")
def test_a_name_may_contain_a_backslash(tree):
    (tree / "a\\b.jpg").write_bytes(b"x")
    assert find(tree, "a\\b.jpg").paths[0] == str(tree / "a\\b.jpg")


def test_what_is_not_there(tree):
    found = find(tree, "3.jpg", "site 1", "https://a.org/1.jpg", "gs://b/1.jpg", None, "")
    assert found.problems.tolist() == [
        "does not exist",
        "is a folder",
        "is on a server: download it",
        "is on a server: download it",
        "has no file name",
        "has no file name",
    ]
    assert found.paths[0] == str(tree / "3.jpg")
    assert found.paths[2] == "https://a.org/1.jpg"


def test_the_first_candidate_that_is_there(tree):
    finder = FileFinder(tree, chosen=False)
    found = finder.find_all(["https://a.org/IMG_1.JPG"], ["IMG_1.JPG"], ["site 2/IMG_1.JPG"])
    assert found.paths[0] == str(tree / "site 2" / "IMG_1.JPG")


@pytest.mark.parametrize("start", ["/home/kyra/photos/", "C:\\photos\\", "D:/x/", "//server/p/"])
def test_paths_of_another_machine(tree, start):
    names = [f"{start}{name}" for name in ("site 1/IMG_1.JPG", "site 2/IMG_1.JPG", "site 3/1.jpg")]
    found = find(tree, *names, chosen=True)
    assert found.paths[0] == str(tree / "site 1" / "IMG_1.JPG")
    assert found.paths[1] == str(tree / "site 2" / "IMG_1.JPG")
    assert found.problems.tolist() == ["", "", "does not exist"]
    assert find(tree, *names).problems.tolist() == ["does not exist"] * 3


def test_a_file_of_another_folder_is_not_taken_for_one_of_the_same_name(tree):
    # The user has passed the folder of one site: files of the other are not there.
    names = ["/old/site 1/IMG_1.JPG", "/old/site 1/IMG_2.jpg", "/old/site 2/IMG_1.JPG"]
    found = find(tree / "site 1", *names, chosen=True)
    assert found.problems.tolist() == ["", "", "does not exist"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.JPEG", "image"),
        ("a.tif", "image"),
        ("a.MP4", "video"),
        ("a.wav", "audio"),
        ("a", ""),
        ("https://a.org/b.jpg?size=2", "image"),
    ],
)
def test_media_types(name, kind):
    assert media_type(name) == kind


def test_paths_are_joined_like_folders():
    assert join("a\\b", None, "c.jpg") == "a/b/c.jpg"
    assert join("a", "C:\\b\\c.jpg") == "C:/b/c.jpg"
    assert join(None, "") == ""
    assert tidy("file:///C:/a%20b.jpg") == "C:/a b.jpg"
    assert [is_absolute(path) for path in ("/a", "C:/a", "a/b", "//s/a")] == [
        True,
        True,
        False,
        True,
    ]


def test_levels(tmp_path):
    paths = [str(tmp_path / "a" / "b" / "1.jpg"), str(tmp_path / "2.jpg"), "/elsewhere/3.jpg"]
    assert folder_levels(paths, tmp_path, 0).tolist() == ["a", None, None]
    assert folder_levels(paths, tmp_path, -1).tolist() == ["b", None, None]
