"""Models of timm and torchvision: stand-ins with the same contract, and folders of timm."""

import json
import sys
from collections import OrderedDict
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_efficientnet_lite import package_weights
from torch import nn

from skcnn import ConvNetClassifier, FeatureExtractor
from skcnn.networks import Backbone
from skcnn.networks._efficientnet_lite import SIZES, build_stages, convert_weights
from skcnn.networks._model_libraries import resize_positions

CONFIG = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.25), "input_size": (3, 16, 16)}


class Transformer(nn.Module):
    """A vision transformer with the methods and attributes that timm's have."""

    num_prefix_tokens = 1

    def __init__(self, num_classes=10):
        super().__init__()
        self.patch_embed = nn.Module()
        self.patch_embed.patch_size = (4, 4)
        self.patch_embed.proj = nn.Conv2d(3, 8, 4, 4)
        self.cls_token = nn.Parameter(torch.randn(1, 1, 8))
        self.pos_embed = nn.Parameter(torch.randn(1, 17, 8))
        block = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8))
        self.blocks = nn.Sequential(block, nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)))
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, num_classes)
        self.pretrained_cfg = {"hf_hub_id": "someone/vit", **CONFIG}

    def set_input_size(self, img_size):
        grid = (img_size[0] // 4, img_size[1] // 4)
        self.pos_embed = nn.Parameter(resize_positions(self.pos_embed.data, grid, n_prefix=1))

    def forward_features(self, x):
        # Torch modules keep attributes, so that embedding runs through the module's layer.
        x = self.patch_embed.proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        return self.norm(self.blocks(x))

    def forward_head(self, x, pre_logits=False):
        return x[:, 0] if pre_logits else self.head(x[:, 0])

    def forward(self, x):
        return self.forward_head(self.forward_features(x))


def make(seed, **options):
    torch.manual_seed(seed)
    return Transformer(**options).eval()


@pytest.fixture
def timm(monkeypatch):
    """A module that answers as timm does, with weights of seed 1 as the pretrained ones."""

    def create_model(name, pretrained=False, pretrained_cfg_overlay=None, **options):
        library.asked.append(pretrained_cfg_overlay)
        if pretrained and name == "vit_offline":
            raise ConnectionError("no route to host")
        return make(int(pretrained), **options)

    library = ModuleType("timm")
    library.asked = []
    library.__spec__ = ModuleSpec("timm", None)
    library.is_model = lambda name: name.startswith("vit")
    library.create_model = create_model
    library.data = ModuleType("timm.data")
    library.data.resolve_model_data_config = lambda model: CONFIG
    monkeypatch.setitem(sys.modules, "timm", library)
    monkeypatch.setitem(sys.modules, "timm.data", library.data)
    return library


def expected_input(images, size):
    x = torch.from_numpy(np.array(images)).float().permute(0, 3, 1, 2) / 255
    x = nn.functional.interpolate(x, size, mode="bilinear", antialias=True)
    mean, std = (torch.tensor(CONFIG[name])[:, None, None] for name in ("mean", "std"))
    return (x - mean) / std


def expected(model, images, size=(16, 16)):
    with torch.inference_mode():
        return model.forward_features(expected_input(images, size))


def close(features, other):
    np.testing.assert_allclose(features, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["vit_tiny", "timm:vit_tiny"])
def test_a_model_of_timm_by_name(images, timm, name):
    features = FeatureExtractor(Backbone(name)).fit_transform(images)
    close(features, expected(make(1), images)[:, 0])


@pytest.mark.parametrize("pooling", ["auto", "average"])
def test_a_model_of_timm_as_a_module(images, pooling):
    # It brings its preprocessing along.
    features = FeatureExtractor(Backbone(make(1), pooling=pooling)).fit_transform(images)
    tokens = expected(make(1), images)
    close(features, tokens[:, 0] if pooling == "auto" else tokens[:, 1:].mean(1))


def test_other_features_of_a_transformer(images, timm):
    tokens = expected(make(1), images)
    mean = Backbone("vit_tiny", pooling="average")
    close(FeatureExtractor(mean).fit_transform(images), tokens[:, 1:].mean(1))
    layer = FeatureExtractor(Backbone("vit_tiny", layer="blocks.0")).fit_transform(images)
    assert not np.allclose(layer, tokens[:, 0], atol=0.1)


def test_positions_follow_the_size_of_images(images, timm):
    backbone = Backbone("vit_tiny", image_size=24)
    model = make(1)
    model.set_input_size((24, 24))
    close(
        FeatureExtractor(backbone).fit_transform(images), expected(model, images, (24, 24))[:, 0]
    )


def test_without_weights_or_with_those_of_a_file(images, timm, tmp_path):
    features = FeatureExtractor(Backbone("vit_tiny", weights=None)).fit_transform(images)
    assert not np.allclose(features, expected(make(1), images)[:, 0], atol=0.1)
    save_file(make(2).state_dict(), tmp_path / "w.safetensors")
    backbone = Backbone("vit_tiny", weights=str(tmp_path / "w.safetensors"))
    close(FeatureExtractor(backbone).fit_transform(images), expected(make(2), images)[:, 0])


def test_weights_of_timm_for_other_classes(images, timm, tmp_path, monkeypatch):
    def reset_classifier(model, num_classes):
        assert not num_classes
        model.head = nn.Identity()

    monkeypatch.setattr(Transformer, "reset_classifier", reset_classifier, raising=False)
    torch.save(make(3, num_classes=4).state_dict(), tmp_path / "w.pth")
    extractor = FeatureExtractor(Backbone("vit_tiny", weights=tmp_path / "w.pth"))
    close(extractor.fit_transform(images), expected(make(3), images)[:, 0])


def test_the_last_blocks_of_a_transformer_can_be_trained(images, labels, timm):
    module = Backbone("vit_tiny", unfreeze=1)
    clf = ConvNetClassifier(module=module, max_epochs=2, random_state=0).fit(images, labels)
    before, after = make(1), clf.module_.body[0].model
    assert torch.equal(before.blocks[0][1].weight, after.blocks[0][1].weight)
    assert not torch.equal(before.blocks[1][0].weight, after.blocks[1][0].weight)
    assert not torch.equal(before.norm.weight, after.norm.weight)
    assert torch.equal(before.head.weight, after.head.weight)
    assert torch.equal(before.patch_embed.proj.weight, after.patch_embed.proj.weight)


def test_offline_it_says_what_to_fetch(images, timm):
    with pytest.raises(OSError, match=r"no route to host.*huggingface.co/someone/vit.*source="):
        FeatureExtractor("vit_offline").fit(images)


def write_folder(folder, architecture, state, **pretrained):
    pretrained = {**CONFIG, **pretrained}
    config = {"architecture": architecture, "num_classes": 10, "pretrained_cfg": pretrained}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(state, folder / "model.safetensors")


def test_a_folder_of_timm(images, timm, tmp_path):
    write_folder(tmp_path, "vit_tiny", make(3).state_dict())
    close(FeatureExtractor(str(tmp_path)).fit_transform(images), expected(make(3), images)[:, 0])


def test_a_folder_of_timm_is_built_by_its_configuration(images, timm, tmp_path):
    told = {"input_size": [1, 16, 16], "fixed_input_size": True}
    write_folder(tmp_path, "vit_tiny", make(3).state_dict(), crop_pct=0.9, **told)
    FeatureExtractor(str(tmp_path)).fit(images)
    assert timm.asked == [told]


def test_a_folder_that_does_not_say_how_images_were_standardized(images, timm, tmp_path):
    write_folder(tmp_path, "vit_tiny", make(3).state_dict())
    contents = json.loads((tmp_path / "config.json").read_text())
    for pretrained, message in [
        ({"input_size": [3, 16, 16]}, r"config\.json has no entries `mean` and `std`"),
        ("none", r"config\.json has no entries `architecture` and `pretrained_cfg`"),
    ]:
        contents["pretrained_cfg"] = pretrained
        (tmp_path / "config.json").write_text(json.dumps(contents))
        with pytest.raises(ValueError, match=message):
            FeatureExtractor(str(tmp_path)).fit(images)


def test_a_folder_of_timm_without_timm(images, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    write_folder(tmp_path, "vit_tiny", make(3).state_dict())
    with pytest.raises(ImportError, match=r'pip install "skcnn\[timm\]"'):
        FeatureExtractor(str(tmp_path)).fit(images)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="no entries `architecture`"):
        FeatureExtractor(str(tmp_path)).fit(images)
    for content in (b"{", b"\xff\xfe{}"):
        (tmp_path / "config.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"config\.json is no JSON"):
            FeatureExtractor(str(tmp_path)).fit(images)


def timm_names(weights):
    """Weights of the package's lite0, with the names that timm gives them."""
    starts = [0, 1, 3, 5, 8, 11, 15, 16]
    renamed = {}
    for key, values in weights.items():
        parts = key.split(".")
        if parts[0] == "_blocks":
            number = int(parts[1])
            stage = max(n for n, start in enumerate(starts) if start <= number)
            names = {"_expand_conv": "conv_pw", "_depthwise_conv": "conv_dw"}
            names |= {"_project_conv": "conv_pwl", "_bn0": "bn1", "_bn1": "bn2", "_bn2": "bn3"}
            if stage == 0:
                names |= {"_project_conv": "conv_pw", "_bn1": "bn1", "_bn2": "bn2"}
            name = f"blocks.{stage}.{number - starts[stage]}.{names[parts[2]]}"
        else:
            tops = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head"}
            name = (tops | {"_bn1": "bn2", "_fc": "classifier"})[parts[0]]
        renamed[f"{name}.{parts[-1]}"] = values
    return renamed


def test_a_folder_of_the_built_in_network_needs_no_timm(images, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    weights = package_weights()
    of_timm = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "input_size": (3, 224, 224)}
    write_folder(tmp_path, "tf_efficientnet_lite0", timm_names(weights), **of_timm)
    fitted = FeatureExtractor(Backbone(tmp_path, image_size=32)).fit(images)
    own = convert_weights(weights, build_stages(SIZES["efficientnet_lite0"]))
    for name, values in fitted.module_.body.state_dict().items():
        assert torch.equal(values, own[name]), name
    file = Backbone("efficientnet_lite0", weights=tmp_path / "model.safetensors", image_size=32)
    for backbone in (file, Backbone(str(tmp_path), image_size=32)):
        again = FeatureExtractor(backbone).fit(images)
        np.testing.assert_array_equal(again.transform(images), fitted.transform(images))
    assert FeatureExtractor(str(tmp_path)).fit(images).module_.size == (224, 224)
    contents = json.loads((tmp_path / "config.json").read_text()) | {"pretrained_cfg": {}}
    (tmp_path / "config.json").write_text(json.dumps(contents))
    again = FeatureExtractor(Backbone(tmp_path, image_size=32)).fit(images)
    np.testing.assert_array_equal(again.transform(images), fitted.transform(images))


def test_a_built_in_network_that_was_trained_again_has_its_own_preprocessing(images, tmp_path):
    write_folder(tmp_path, "tf_efficientnet_lite0", timm_names(package_weights()))
    network = FeatureExtractor(str(tmp_path)).fit(images).module_
    for found, told in ((network.mean, CONFIG["mean"]), (network.scale, CONFIG["std"])):
        np.testing.assert_allclose(found / 255, told, rtol=1e-6)
    assert network.size == CONFIG["input_size"][1:]


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_libraries_that_are_missing_are_named(images, library, monkeypatch):
    for name in ("timm", "torchvision"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf'pip install "skcnn\[{library}\]"'):
        FeatureExtractor(f"{library}:resnet18").fit(images)
    with pytest.raises(ValueError, match=rf'resnet18.*pip install "skcnn\[{library}\]"'):
        FeatureExtractor("resnet18").fit(images)


# ------------------------------------------------------------------ torchvision


class Residual(nn.Module):
    """A network with the attributes that torchvision's have."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3)
        self.layer1 = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8))
        self.layer2 = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8))
        self.classifier = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 10))

    def forward(self, x):
        return self.classifier(self.layer2(self.layer1(self.conv1(x))).mean((2, 3)))


class PositionTransformer(nn.Module):
    """A vision transformer that takes one size, as torchvision's do."""

    def __init__(self):
        super().__init__()
        self.image_size, self.patch_size = 16, 4
        self.conv_proj = nn.Conv2d(3, 8, 4, 4)
        self.encoder = nn.Module()
        self.encoder.pos_embedding = nn.Parameter(torch.randn(1, 17, 8))
        self.class_token = nn.Parameter(torch.randn(1, 1, 8))
        self.heads = nn.Sequential(OrderedDict(head=nn.Linear(8, 10)))

    def forward(self, x):
        assert x.shape[2:] == (self.image_size, self.image_size)
        x = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1)
        return self.heads((x + self.encoder.pos_embedding).tanh().mean(1))


MODELS = {"resnet9": Residual, "vit_b": PositionTransformer}


@pytest.fixture
def torchvision(monkeypatch):
    def build(name, weights=None):
        torch.manual_seed(0)
        return MODELS[name]().eval()

    def published(name):
        def get_state_dict(**options):
            if library.offline:
                raise OSError("no route to host")
            assert options["check_hash"]
            assert options["weights_only"]
            torch.manual_seed(1)
            return MODELS[name]().state_dict()

        preset = SimpleNamespace(mean=CONFIG["mean"], std=CONFIG["std"], crop_size=[16])
        url = "https://download.example.org/resnet9-0123abcd.pth"
        default = SimpleNamespace(
            get_state_dict=get_state_dict, transforms=lambda: preset, url=url
        )
        return SimpleNamespace(DEFAULT=default)

    library = ModuleType("torchvision")
    library.__spec__ = ModuleSpec("torchvision", None)
    library.offline = False
    library.models = ModuleType("torchvision.models")
    # Of all modules, there are those that find objects, too.
    library.models.list_models = lambda module=None: [*MODELS, *([] if module else ["rcnn"])]
    library.models.get_model = build
    library.models.get_model_weights = published
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setitem(sys.modules, "torchvision", library)
    monkeypatch.setitem(sys.modules, "torchvision.models", library.models)
    return library


def vision(kind, images, size=16):
    torch.manual_seed(1)
    model = kind().eval()
    model.forward_features = model.forward
    if kind is Residual:
        model.classifier[2] = nn.Identity()
    else:
        model.heads.head = nn.Identity()
        table = model.encoder.pos_embedding.data
        table = resize_positions(table, (size // 4, size // 4), n_prefix=1)
        model.encoder.pos_embedding, model.image_size = nn.Parameter(table), size
    return expected(model, images, (size, size))


def test_a_model_of_torchvision_by_name(images, torchvision):
    features = FeatureExtractor("resnet9").fit_transform(images)
    close(features, vision(Residual, images))


@pytest.mark.parametrize("size", [16, 24])
def test_a_transformer_of_torchvision_for_images_of_other_sizes(images, torchvision, size):
    backbone = Backbone("torchvision:vit_b", image_size=size)
    close(
        FeatureExtractor(backbone).fit_transform(images), vision(PositionTransformer, images, size)
    )


def test_square_images_only(images, torchvision):
    with pytest.raises(ValueError, match="square images only"):
        FeatureExtractor("vit_b").fit(images[:, :4])


def test_stages_of_a_model_of_torchvision(images, labels, torchvision):
    module = Backbone("resnet9", unfreeze=1)
    clf = ConvNetClassifier(module=module, max_epochs=2, random_state=0).fit(images, labels)
    torch.manual_seed(1)
    before, after = Residual(), clf.module_.body[0]
    assert torch.equal(before.layer1[0].weight, after.layer1[0].weight)
    assert not torch.equal(before.layer2[0].weight, after.layer2[0].weight)
    assert not torch.equal(before.classifier[0].weight, after.classifier[0].weight)


@pytest.mark.parametrize("name", ["rcnn", "torchvision:rcnn", "torchvision:resnet19"])
def test_models_that_do_not_classify_are_refused(images, torchvision, name):
    with pytest.raises(ValueError, match="is not known"):
        FeatureExtractor(name).fit(images)


@pytest.mark.parametrize("name", ["resnet9", "vit_b"])
def test_weights_of_torchvision_for_other_classes(images, torchvision, tmp_path, name):
    expected = FeatureExtractor(name).fit_transform(images)
    torch.manual_seed(1)
    weights = MODELS[name]().state_dict()
    last = list(weights)[-2:]
    torch.save(weights | {key: weights[key][:4] for key in last}, tmp_path / "mine.pth")
    backbone = Backbone(name, weights=tmp_path / "mine.pth")
    close(FeatureExtractor(backbone).fit_transform(images), expected)
    torch.save({key: v for key, v in weights.items() if key not in last}, tmp_path / "mine.pth")
    close(FeatureExtractor(backbone).fit_transform(images), expected)


def test_models_that_transform_pixels_are_told_to(images, torchvision, monkeypatch):
    monkeypatch.setattr(Residual, "transform_input", False, raising=False)
    assert FeatureExtractor("resnet9").fit(images).module_.body[0].transform_input


def test_torchvision_offline(images, torchvision):
    torchvision.offline = True
    with pytest.raises(OSError, match=r"no route to host.*download this file.*weights="):
        FeatureExtractor("resnet9").fit(images)


class Permute(nn.Module):
    def forward(self, x):
        return x.permute(0, 3, 1, 2)


class ChannelsLast(nn.Module):
    """A network whose maps have the channels last, as those of Swin transformers."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 4, 4)
        self.layers = nn.Sequential(nn.Linear(8, 8), nn.GELU())
        self.head = nn.Linear(8, 10)

    def forward_features(self, x):
        return self.layers(self.conv(x).permute(0, 2, 3, 1))

    def forward(self, x):
        return self.head(self.forward_features(x).mean((1, 2)))


@pytest.mark.parametrize("library", ["timm", "torchvision"])
@pytest.mark.parametrize("shape", [(16, 16), (32, 32), (16, 24)])
def test_maps_with_channels_last_are_pooled_over_places(images, library, shape):
    # With images of 32x32, maps have as many channels as rows and columns.
    torch.manual_seed(0)
    model = ChannelsLast().eval()
    if library == "timm":
        model.output_fmt = "NHWC"
    else:
        model.permute = Permute()
    wide = np.resize(images, (len(images), *shape, 3))
    options = {name: CONFIG[name] for name in ("mean", "std")}
    maps = expected(model, wide, shape)
    extractor = FeatureExtractor(Backbone(model, layer="layers", **options))
    close(extractor.fit_transform(wide), maps.mean((1, 2)))
    # A donor brings its layout along.
    again = FeatureExtractor(Backbone(extractor)).fit_transform(wide)
    close(again, maps.mean((1, 2)))
    if shape != (32, 32):
        convolved = FeatureExtractor(Backbone(model, layer="conv", **options)).fit_transform(wide)
        close(convolved, model.conv(expected_input(wide, shape)).mean((2, 3)).detach())


@pytest.mark.parametrize("shape", [(6, 1, 8), (6, 8)])
def test_layers_that_return_other_rows_than_images_are_refused(images, shape):
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.rows = nn.Linear(3, 8)

        def forward(self, x):
            return self.rows(x.mean((2, 3))).expand(shape)

    backbone = Backbone(Rows(), layer="", mean=(0.5,) * 3, std=(0.5,) * 3)
    with pytest.raises(ValueError, match="6 rows for one image"):
        FeatureExtractor(backbone).fit(images)


def test_positions_of_the_same_grid_stay():
    table = torch.randn(1, 1 + 16, 8)
    torch.testing.assert_close(resize_positions(table, (4, 4), n_prefix=1), table)
    larger = resize_positions(table, (8, 8), n_prefix=1)
    assert torch.equal(larger[:, 0], table[:, 0])
    torch.testing.assert_close(larger[:, 1:].mean(1), table[:, 1:].mean(1), atol=0.05, rtol=0)


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("name", ["test_vit3", "test_convnext", "test_efficientnet"])
def test_features_are_those_of_timm_itself(images, tmp_path, name, channels):
    library = pytest.importorskip("timm")
    images = images[..., :channels]
    torch.manual_seed(0)
    model = library.create_model(name, in_chans=channels).eval()
    config = library.data.resolve_model_data_config(model)
    config |= {key: config[key][:channels] for key in ("mean", "std")}
    config["input_size"] = (channels, *config["input_size"][1:])
    contents = {"architecture": name, "num_classes": model.num_classes, "pretrained_cfg": config}
    (tmp_path / "config.json").write_text(json.dumps(contents))
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    x = torch.from_numpy(np.array(images)).float().permute(0, 3, 1, 2) / 255
    size = config["input_size"][1:]
    x = nn.functional.interpolate(x, size, mode="bilinear", antialias=True)
    mean, std = (torch.tensor(config[key])[:, None, None] for key in ("mean", "std"))
    with torch.inference_mode():
        theirs = model.forward_head(model.forward_features((x - mean) / std), pre_logits=True)
    close(FeatureExtractor(str(tmp_path)).fit_transform(images), theirs)
