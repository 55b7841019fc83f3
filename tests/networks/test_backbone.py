"""Pretrained networks with a new head: sources, preprocessing, frozen and trained stages."""

import pickle
from collections import OrderedDict
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from torch import nn

from skcnn import ConvNetClassifier, ConvNetSegmenter, FeatureExtractor
from skcnn.networks import Backbone, ConvBlocks, UNet
from skcnn.networks._backbone_network import Pool, Preprocessing

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)


class Stage(nn.Sequential):
    """A convolution with batch normalization that counts the images it sees."""

    n_images = 0

    def __init__(self, channels, filters):
        super().__init__(nn.Conv2d(channels, filters, 3, 2, 1), nn.BatchNorm2d(filters), nn.ReLU())

    def forward(self, x):
        Stage.n_images += len(x)
        return super().forward(x)


def tiny(seed=0):
    """Two stages whose batch statistics are not those that they begin with."""
    torch.manual_seed(seed)
    network = nn.Sequential(OrderedDict(first=Stage(3, 8), second=Stage(8, 16)))
    network(torch.randn(64, 3, 16, 16))
    return network.eval()


def backbone(source=None, **options):
    source = tiny() if source is None else source
    return Backbone(source, **{"layer": "", "mean": MEAN, "std": STD, **options})


def classifier(module, **options):
    return ConvNetClassifier(module=module, **{"max_epochs": 3, "random_state": 0, **options})


def plain_features(network, images, size=None):
    x = torch.from_numpy(np.array(images)).float().permute(0, 3, 1, 2) / 255
    x = x if size is None else nn.functional.interpolate(x, size, mode="bilinear", antialias=True)
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    with torch.inference_mode():
        return network.eval()((x - mean) / std).mean((2, 3)).numpy()


def test_features_are_those_of_the_module_itself(images, labels):
    clf = classifier(backbone()).fit(images, labels)
    expected = plain_features(tiny(), images)
    np.testing.assert_allclose(clf.transform(images), expected, rtol=1e-4, atol=1e-5)


def test_images_are_resized_inside(images, labels):
    clf = classifier(backbone(image_size=20)).fit(images, labels)
    expected = plain_features(tiny(), images, (20, 20))
    np.testing.assert_allclose(clf.transform(images), expected, rtol=1e-4, atol=1e-5)


def test_pixels_of_0_to_1_mean_the_same(images, labels):
    of_bytes = classifier(backbone()).fit(images, labels)
    of_one = classifier(backbone()).fit(images / 255, labels)
    np.testing.assert_allclose(
        of_one.transform(images / 255), of_bytes.transform(images), rtol=1e-3, atol=1e-4
    )


def test_whole_numbers_and_small_excesses_over_one_are_taken(images):
    for pixels in (images // 64, (images // 64).astype(float), images / images.max() * 1.005):
        assert FeatureExtractor(backbone()).fit_transform(pixels).shape == (60, 16)


def test_gray_images_are_gray_colors(images, labels):
    gray = images[..., :1]
    of_gray = classifier(backbone()).fit(gray, labels).transform(gray)
    expected = plain_features(tiny(), np.repeat(gray, 3, axis=3))
    np.testing.assert_allclose(of_gray, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.astype(float) * 257, "16 bits by 257"),
        (lambda x: x / 100 - 1, "do not standardize"),
        (lambda x: x / 127.5, r"neither from 0 to 1 nor.*Divide them by the highest"),
        (lambda x: np.concatenate([0 * x[:1], x[1:] / 200]), "neither from 0 to 1 nor"),
        (lambda x: np.concatenate([x, x[..., :1]], axis=3), r"4 channels.*takes 1 or 3"),
    ],
)
def test_other_pixels_are_refused(images, labels, change, message):
    with pytest.raises(ValueError, match=message):
        classifier(backbone()).fit(change(images), labels)


def test_frozen_stages_run_once_per_image(images, labels):
    def n_images(**options):
        # Batches of smaller images would be filled up with copies of the last one.
        module = backbone(image_size=64)
        Stage.n_images = 0
        classifier(module, max_epochs=6, **options).fit(images, labels)
        return Stage.n_images / 2

    # Besides a few images that show shapes.
    assert 60 <= n_images() < 70
    assert 60 <= n_images(early_stopping=True) < 70
    assert n_images(augment="flip") > 6 * 60


def test_random_changes_to_images_reach_frozen_stages(images, labels):
    changed = classifier(backbone(), augment="cutout").fit(images, labels)
    unchanged = classifier(backbone()).fit(images, labels)
    assert not np.allclose(changed.loss_curve_, unchanged.loss_curve_, rtol=1e-3)


def states(module):
    return {name: values.clone() for name, values in module.state_dict().items()}


@pytest.mark.parametrize("options", [{}, {"augment": "flip"}, {"weight_averaging": 0.5}], ids=str)
def test_frozen_stages_stay_as_they_are(images, labels, options):
    clf = classifier(backbone(), **options).fit(images, labels)
    for name, values in states(tiny()).items():
        assert torch.equal(clf.module_.body.state_dict()[name], values), name
    assert clf.module_.head.weight.abs().max() > 0


class Explosion(Callback):
    """Raises the learning rate before the fourth epoch."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 4:
            net.set_lr(1e37)


@pytest.mark.parametrize("unfreeze", [0, 1])
def test_the_best_weights_so_far_come_with_the_frozen_ones(images, labels, unfreeze):
    module = backbone(unfreeze=unfreeze, head_first=False)
    common = {"lr_schedule": None, "lr": 0.01}
    plain = classifier(module, **common).fit(images, labels)
    clf = classifier(module, max_epochs=9, callbacks=[Explosion()], **common)
    with pytest.raises(ValueError, match="best weights so far are those after epoch 3") as caught:
        clf.fit(images, labels)
    found = caught.value.estimator.predict_proba(images)
    np.testing.assert_array_equal(found, plain.predict_proba(images))


@pytest.mark.parametrize("augment", ["auto", "flip"])
def test_the_last_stages_can_be_trained(images, labels, augment):
    clf = classifier(backbone(unfreeze=1), augment=augment).fit(images, labels)
    before, after = states(tiny()), clf.module_.body.state_dict()
    for name, values in before.items():
        is_trained = name in (
            "second.0.weight",
            "second.0.bias",
            "second.1.weight",
            "second.1.bias",
        )
        assert torch.equal(after[name], values) != is_trained, name


def test_trained_stages_have_a_rate_of_their_own(images, labels):
    module = backbone(unfreeze=2, lr_factor=0.25)
    clf = classifier(module, lr=0.1, bias_lr_factor=2, optimizer="sgd").fit(images, labels)
    rates = {id(p): g["lr"] for g in clf.net_.optimizer_.param_groups for p in g["params"]}
    layer = clf.module_.body[0][0]
    assert rates[id(layer.weight)] == pytest.approx(0.025)
    assert rates[id(layer.bias)] == pytest.approx(0.05)
    assert rates[id(clf.module_.head.weight)] == pytest.approx(0.1)


@pytest.mark.parametrize("get", [lambda donor: donor, lambda donor: donor.module_])
@pytest.mark.parametrize("as_encoder", [False, True])
def test_rates_of_a_donors_own_training_are_forgotten(images, labels, get, as_encoder):
    source = nn.Sequential(*tiny(), nn.Sequential(Stage(16, 8), Stage(8, 8)))
    module = backbone(source, unfreeze=1, lr_factor=1e-6)
    donor = classifier(module, max_epochs=1).fit(images, labels)
    module = Backbone(get(donor), unfreeze=1, lr_factor=0.25)
    if as_encoder:
        masks = (images.mean(3) > 100).astype(int)
        net = ConvNetSegmenter(module=UNet(module), max_epochs=1, random_state=0)
        net.fit(images, masks)
    else:
        net = classifier(module, max_epochs=1).fit(images, labels)
    factors = {group["part_factor"] for group in net.net_.optimizer_.param_groups}
    assert factors == {1.0, 0.25}


@pytest.mark.parametrize("optimizer", ["muon", "sgd", "adamw"])
def test_no_optimizer_rescales_pretrained_filters(images, labels, optimizer):
    module = backbone(unfreeze=2, lr_factor=1e-9)
    clf = classifier(module, optimizer=optimizer, lr=0.01).fit(images, labels)
    for name, values in states(tiny()).items():
        torch.testing.assert_close(clf.module_.body.state_dict()[name], values, msg=name)


class FirstHead(Callback):
    """Notes the head that training begins with."""

    seen: ClassVar[list[torch.Tensor]] = []

    def on_train_begin(self, net, **kwargs):
        FirstHead.seen.append(net.module_.head.weight.detach().clone())


@pytest.mark.parametrize(
    ("head_first", "unfreeze", "expected"), [(True, 1, True), (False, 1, False), (True, 0, False)]
)
def test_the_head_is_trained_first(images, labels, head_first, unfreeze, expected):
    FirstHead.seen = []
    module = backbone(unfreeze=unfreeze, head_first=head_first)
    classifier(module, callbacks=[FirstHead]).fit(images, labels)
    (weight,) = FirstHead.seen
    assert bool(weight.any()) is expected
    if expected:
        alone = classifier(backbone()).fit(images, labels)
        torch.testing.assert_close(weight, alone.module_.head.weight)


def test_more_stages_than_there_are(images, labels):
    with pytest.raises(ValueError, match=r"unfreeze=3, but Sequential has 2 stages"):
        classifier(backbone(unfreeze=3)).fit(images, labels)


def test_a_search_over_unfrozen_stages(images, labels):
    search = GridSearchCV(classifier(backbone()), {"module__unfreeze": [0, 1]}, cv=2)
    search.fit(images, labels)
    assert search.best_score_ > 0.6
    assert list(search.cv_results_["param_module__unfreeze"]) == [0, 1]


def test_features_of_an_earlier_layer(images, labels):
    clf = classifier(backbone(layer="first.0")).fit(images, labels)
    expected = plain_features(tiny().first[0], images)
    np.testing.assert_allclose(clf.transform(images), expected, rtol=1e-4, atol=1e-5)


def test_an_unknown_layer_is_named(images, labels):
    with pytest.raises(ValueError, match=r"layer='third' is no layer.*first, second"):
        classifier(backbone(layer="third")).fit(images, labels)


class Whole(nn.Module):
    """A classifier as users write them, which does not say what its features are."""

    def __init__(self):
        super().__init__()
        self.stages = tiny()
        self.last = nn.Linear(16, 5)

    def forward(self, x):
        return self.last(self.stages(x).mean((2, 3)))


def test_a_module_that_does_not_say_what_its_features_are(images, labels):
    with pytest.raises(ValueError, match=r"does not say what its features are.*layer="):
        classifier(backbone(Whole(), layer=None)).fit(images, labels)


@pytest.mark.parametrize("unfreeze", [0, 1])
def test_a_layer_inside_of_a_module(images, labels, unfreeze):
    module = backbone(Whole(), layer="stages.second", unfreeze=unfreeze)
    clf = classifier(module).fit(images, labels)
    if unfreeze:
        layers = clf.module_.body[0].module
        assert torch.equal(layers.stages[0][0].weight, tiny()[0][0].weight)
        assert not torch.equal(layers.stages[1][0].weight, tiny()[1][0].weight)
    else:
        expected = plain_features(tiny(), images)
        np.testing.assert_allclose(clf.transform(images), expected, rtol=1e-4, atol=1e-5)


def test_mean_and_std_are_not_guessed(images, labels):
    with pytest.raises(ValueError, match="does not say which mean and standard deviation"):
        classifier(backbone(mean=None, std=None)).fit(images, labels)
    with pytest.raises(ValueError, match="mean= without std="):
        classifier(backbone(std=None)).fit(images, labels)


def test_a_class_that_makes_the_module(images, labels):
    module = Backbone(tiny, layer="", mean=MEAN, std=STD)
    expected = plain_features(tiny(), images)
    features = classifier(module).fit(images, labels).transform(images)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="already built"):
        classifier(backbone(weights=None)).fit(images, labels)


def test_a_function_may_return_the_same_module_each_time(images, labels):
    network = tiny()
    module = Backbone(lambda: network, layer="", mean=MEAN, std=STD, unfreeze=2)
    expected = classifier(module).fit(images, labels).predict_proba(images)
    again = classifier(module).fit(images, labels)
    np.testing.assert_array_equal(again.predict_proba(images), expected)
    for name, values in states(tiny()).items():
        assert torch.equal(network.state_dict()[name], values), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mean": (123.7, 116.3, 103.5), "std": (58.4, 57.1, 57.4)}, "pixels from 0 to 1"),
        ({"mean": (0, 0, 0), "std": (255, 255, 255)}, "pixels from 0 to 1"),
        ({"mean": (0.5, 0.5, np.nan)}, "pixels from 0 to 1"),
        ({"mean": (0.5, 0.5)}, "one value per channel in each"),
        ({"mean": [[0.5, 0.5, 0.5]]}, "one value per channel in each"),
        ({"std": (0.5, 0.5, 0)}, "values above 0"),
        ({"mean": ("a", "b", "c")}, "Expected numbers in both"),
    ],
    ids=str,
)
def test_statistics_of_other_pixels_are_refused(images, options, message):
    with pytest.raises(ValueError, match=message):
        FeatureExtractor(backbone(**options)).fit(images)


def test_a_network_of_other_channels_than_its_mean(images):
    module = backbone(nn.Conv2d(1, 8, 3))
    with pytest.raises(ValueError, match=r"8x8 pixels with 3 channels: .*one value of mean="):
        FeatureExtractor(module).fit(images)


def test_gray_networks_take_no_colors(images):
    module = backbone(nn.Conv2d(1, 8, 3), mean=(0.5,), std=(0.2,))
    with pytest.raises(ValueError, match=r"takes 1 channel\. Make gray images"):
        FeatureExtractor(module).fit(images)
    gray = images.mean(axis=3)
    assert FeatureExtractor(module).fit_transform(gray).shape == (60, 8)


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(9)), "8x8"),
        (nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5), nn.ReLU()), "8x8"),
    ],
    ids=["too small", "another size"],
)
def test_images_of_a_size_that_the_network_does_not_take(images, labels, network, shape):
    with pytest.raises(ValueError, match=f"does not run on images of {shape}.*Set image_size="):
        classifier(backbone(network)).fit(images, labels)
    assert FeatureExtractor(backbone(network, image_size=32)).fit_transform(images).shape[1] > 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_networks_of_other_precisions(images, dtype):
    found = FeatureExtractor(backbone(tiny().to(dtype))).fit_transform(images)
    expected = FeatureExtractor(backbone()).fit_transform(images)
    np.testing.assert_allclose(found, expected, rtol=0.1, atol=0.02)


class Returns(nn.Module):
    """A network whose outputs are no single tensor with a row for each image."""

    def __init__(self, what):
        super().__init__()
        self.inner, self.what = tiny(), what

    def forward(self, x):
        features = self.inner(x).mean((2, 3))
        return {"tuple": (features, 3), "dict": {"features": features}}.get(
            self.what, features.squeeze()
        )


@pytest.mark.parametrize(
    ("what", "message"),
    [("tuple", "of tuple"), ("dict", "of dict"), ("squeezed", r"of shape \(16,\)")],
)
def test_outputs_that_are_no_features(images, what, message):
    with pytest.raises(ValueError, match=rf"features {message}, expected one tensor.*layer="):
        FeatureExtractor(backbone(Returns(what))).fit(images)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_networks_without_weights_of_their_own_or_compiled(images):
    with pytest.raises(ValueError, match=r"without weights, LazyConv2d.*Run the module on one"):
        FeatureExtractor(backbone(nn.Sequential(nn.LazyConv2d(8, 3)))).fit(images)
    with pytest.raises(TypeError, match=r"source of Backbone has a part that torch\.jit"):
        FeatureExtractor(backbone(torch.jit.script(nn.Conv2d(3, 8, 3)))).fit(images)


def test_a_fitted_net_of_skorch(images, labels):
    pixels = np.moveaxis(images, 3, 1).astype(np.float32) / 255
    net = NeuralNetClassifier(Whole, criterion=nn.CrossEntropyLoss, max_epochs=1, verbose=0)
    net.fit(pixels, (labels == "down").astype(np.int64))
    found = FeatureExtractor(backbone(net, layer="stages")).fit_transform(images)
    np.testing.assert_allclose(
        found, plain_features(net.module_.stages, images), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("network", "pooling", "message"),
    [
        (tiny(), "class_token", "makes maps"),
        (nn.Sequential(nn.Conv2d(3, 8, 8), nn.Flatten()), "max", "no effect: .* ends in features"),
    ],
    ids=["maps", "features"],
)
def test_poolings_without_effect_are_refused(images, network, pooling, message):
    with pytest.raises(ValueError, match=message):
        FeatureExtractor(backbone(network, pooling=pooling)).fit(images)


def test_no_network_at_all(images, labels):
    with pytest.raises(TypeError, match="source=3 of Backbone is no network"):
        classifier(Backbone(3)).fit(images, labels)
    with pytest.raises(ValueError, match="source='resnet1000' of Backbone is not known"):
        classifier(Backbone("resnet1000")).fit(images, labels)


# ------------------------------------------------------------------ donors


@pytest.fixture(scope="module")
def donor(images, labels):
    return ConvNetClassifier(filters=(8, 16), max_epochs=4, random_state=0).fit(images, labels)


@pytest.mark.parametrize("get", [lambda donor: donor, lambda donor: donor.module_])
def test_a_fitted_network_as_a_donor(images, labels, donor, get):
    before = states(donor.module_)
    clf = classifier(Backbone(get(donor))).fit(images, labels == "down")
    np.testing.assert_allclose(
        clf.transform(images), donor.transform(images), rtol=1e-3, atol=1e-4
    )
    assert clf.score(images, labels == "down") > 0.9
    for name, values in states(donor.module_).items():
        assert torch.equal(values, before[name])


def test_features_of_an_earlier_block_of_a_donor(images, labels, donor):
    clf = classifier(Backbone(donor, layer="block1")).fit(images, labels)
    assert clf.transform(images).shape == (60, 8)


@pytest.mark.parametrize("pooling", ["average", "max", "average_max"])
def test_a_donor_pools_as_it_was_trained_unless_told_otherwise(images, pooling):
    source = FeatureExtractor(backbone(pooling=pooling)).fit(images)
    found = FeatureExtractor(Backbone(source)).fit_transform(images)
    np.testing.assert_allclose(found, source.transform(images), rtol=1e-5, atol=1e-6)
    found = FeatureExtractor(Backbone(source, pooling="max")).fit_transform(images)
    expected = FeatureExtractor(backbone(pooling="max")).fit_transform(images)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_layer_of_the_name_pooling_stays(images):
    torch.manual_seed(0)
    layers = [("first", nn.Conv2d(3, 8, 3)), ("pooling", nn.MaxPool2d(3)), ("relu", nn.ReLU())]
    for n_layers in (2, 3):
        network = nn.Sequential(OrderedDict(layers[:n_layers]))
        features = FeatureExtractor(backbone(network)).fit_transform(images)
        expected = plain_features(network, images)
        np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)


def test_a_donor_of_pixels_from_0_to_1(images, labels, donor):
    same = ConvNetClassifier(filters=(8, 16), max_epochs=4, random_state=0)
    same.fit(images / 255, labels)
    clf = classifier(Backbone(same)).fit(images, labels)
    np.testing.assert_allclose(
        clf.transform(images), same.transform(images / 255), rtol=1e-3, atol=1e-4
    )


def test_a_donor_of_dark_images(images, labels):
    dark = images // 200
    dark[:, 3, 3] = images[:, 3, 3]
    source = ConvNetClassifier(filters=8, max_epochs=1, random_state=0).fit(dark, labels)
    assert source.module_.mean.max() < 10
    with torch.no_grad():
        # As of images that are darker still.
        source.module_.mean[:] = 0.5
    found = FeatureExtractor(Backbone(source)).fit_transform(dark)
    np.testing.assert_allclose(found, source.transform(dark), rtol=1e-3, atol=1e-4)
    source = FeatureExtractor(backbone(mean=(0, 0, 0), std=(1, 1, 1))).fit(images)
    for get in (source, source.module_):
        found = FeatureExtractor(Backbone(get)).fit_transform(images)
        np.testing.assert_allclose(found, source.transform(images), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("change", [lambda x: x * 257.0, lambda x: x / 64 - 2])
def test_a_donor_of_other_pixels_is_refused(images, labels, change):
    source = ConvNetClassifier(filters=8, max_epochs=1, random_state=0)
    source.fit(change(images), labels)
    with pytest.raises(ValueError, match=r"ConvNetClassifier, was trained on pixels from .* 257"):
        classifier(Backbone(source)).fit(images, labels)


def test_a_size_that_the_donor_does_not_take(images, labels):
    flat = ConvNetClassifier(filters=8, global_pool=None, max_epochs=1, random_state=0)
    flat.fit(images, labels)
    with pytest.raises(ValueError, match=r"image_size=16, but ConvNetClassifier .* 8x8 pixels"):
        classifier(Backbone(flat, image_size=16)).fit(images, labels)
    assert classifier(Backbone(flat, image_size=8)).fit(images, labels).score(images, labels) > 0


def test_clones_keep_the_donor(images, labels, donor):
    module = clone(classifier(Backbone(donor, unfreeze=1))).module
    assert module.source is donor
    assert module.unfreeze == 1
    clf = classifier(module).set_params(module__unfreeze=0)
    assert (module.unfreeze, clf.module.unfreeze) == (1, 0)


def test_a_donor_that_takes_one_size_only(images, labels):
    flat = ConvNetClassifier(filters=8, global_pool=None, max_epochs=1, random_state=0)
    flat.fit(images, labels)
    larger = np.repeat(np.repeat(images, 2, axis=1), 2, axis=2)
    clf = classifier(Backbone(flat)).fit(larger, labels)
    pixels = torch.from_numpy(larger).float().permute(0, 3, 1, 2)
    small = nn.functional.interpolate(pixels, (8, 8), mode="bilinear", antialias=True)
    expected = flat.transform(small.permute(0, 2, 3, 1).numpy())
    np.testing.assert_allclose(clf.transform(larger), expected, rtol=1e-3, atol=1e-3)


def test_a_donor_that_is_not_fitted(images, labels):
    with pytest.raises(ValueError, match="ConvNetClassifier that is not fitted"):
        classifier(Backbone(ConvNetClassifier())).fit(images, labels)
    with pytest.raises(ValueError, match=r"a Pipeline that .*pipeline\[-1\]"):
        classifier(Backbone(make_pipeline(ConvNetClassifier()))).fit(images, labels)


def test_a_search_over_donors(images, labels, donor):
    clf = ConvNetClassifier(module=Backbone(donor), max_epochs=1, random_state=0)
    over_sources = GridSearchCV(clf, {"module__source": [donor]}, cv=2, error_score="raise")
    with pytest.raises(ValueError, match=r'search over \{"module": \[Backbone\(donor\)'):
        over_sources.fit(images, labels)
    search = GridSearchCV(clf, {"module": [Backbone(donor)]}, cv=2, error_score="raise")
    assert search.fit(images, labels).best_params_["module"].source is donor


def test_a_state_dict_is_no_source(images, donor):
    with pytest.raises(TypeError, match=r"network\.load_state_dict\(weights\)"):
        FeatureExtractor(Backbone(donor.module_.state_dict())).fit(images)


@pytest.mark.parametrize("spec", [ConvBlocks((4,)), Backbone("efficientnet_lite0")])
def test_what_describes_a_network_is_no_source(images, labels, spec):
    with pytest.raises(TypeError, match=r"has no weights yet\. Pass it as module= itself"):
        classifier(Backbone(spec)).fit(images, labels)


@pytest.mark.parametrize("kind", [Backbone, ConvBlocks])
def test_a_class_of_descriptions_is_no_description(images, labels, kind):
    name = kind.__name__
    with pytest.raises(TypeError, match=rf"module={name} is a class.*module={name}\(\.\.\.\)"):
        classifier(kind).fit(images, labels)


def test_a_donor_with_weights_from_elsewhere(images, labels, donor):
    with pytest.raises(ValueError, match="a fitted source, which has weights of its own"):
        classifier(Backbone(donor, weights="file.pth")).fit(images, labels)


# ------------------------------------------------------------------ the estimator around it


def test_fitted_estimators_can_be_stored(images, labels):
    clf = classifier(backbone(unfreeze=1)).fit(images, labels)
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.predict_proba(images), clf.predict_proba(images))


def test_the_same_number_gives_the_same_network(images, labels):
    first, second = (classifier(backbone(unfreeze=1)).fit(images, labels) for _ in range(2))
    np.testing.assert_array_equal(first.predict_proba(images), second.predict_proba(images))


def test_training_continues(images, labels):
    clf = classifier(backbone(), warm_start=True).fit(images, labels)
    statistics = clf.module_.head.feature_mean.clone()
    clf.fit(images[:30], labels[:30])
    assert clf.n_iter_ == 6
    assert torch.equal(clf.module_.head.feature_mean, statistics)
    batch = classifier(backbone())
    for _ in range(2):
        batch.partial_fit(images, labels)
    assert batch.n_iter_ == 2


@pytest.mark.parametrize("unfreeze", [0, 1])
def test_training_continues_with_the_same_source_only(images, labels, unfreeze):
    clf = classifier(backbone(unfreeze=unfreeze), warm_start=True).fit(images, labels)
    # The same weights in another object, as after a file was read again.
    clf.set_params(module__source=tiny(), module__unfreeze=np.int64(unfreeze))
    assert clf.fit(images, labels).n_iter_ == 6
    clf.set_params(module__source=tiny(seed=9))
    with pytest.raises(ValueError, match="source has changed"):
        clf.fit(images, labels)
    first, second = (
        ConvNetClassifier((4,), max_epochs=1, random_state=seed).fit(images, labels)
        for seed in (0, 1)
    )
    clf = classifier(Backbone(first), warm_start=True).fit(images, labels)
    clf.set_params(module__source=second)
    with pytest.raises(ValueError, match="source has changed"):
        clf.fit(images, labels)


def test_validation_images_are_features_too(images, labels):
    clf = classifier(backbone()).fit(images, labels, X_val=images, y_val=labels)
    assert clf.history_["valid_accuracy"].iloc[-1] == pytest.approx(
        clf.score(images, labels), abs=0.05
    )


def test_a_summary_loads_nothing(monkeypatch):
    from skcnn.networks import _weights

    monkeypatch.setattr(_weights, "find_spec", lambda name: pytest.fail("looked for weights"))
    clf = ConvNetClassifier(module=Backbone("efficientnet_lite0", image_size=32))
    summary = clf.summary((32, 32, 3), n_classes=5)
    assert summary.n_parameters == 1281 * 5
    assert summary.output_shape == (5,)


# ------------------------------------------------------------------ parts


def test_pooling_of_maps_and_tokens():
    maps = torch.arange(24.0).view(1, 2, 3, 4)
    assert Pool("auto", 0)(maps).tolist() == [[5.5, 17.5]]
    assert Pool("max", 0)(maps).tolist() == [[11, 23]]
    assert Pool("average_max", 0)(maps).tolist() == [[8.25, 20.25]]
    tokens = torch.arange(8.0).view(1, 4, 2)
    assert Pool("auto", 1)(tokens).tolist() == [[0, 1]]
    assert Pool("auto", 0)(tokens).tolist() == [[3, 4]]
    assert Pool("average", 1)(tokens).tolist() == [[4, 5]]
    assert Pool("class_token", 1)(tokens).tolist() == [[0, 1]]


@pytest.mark.parametrize("size", [(32, 48), (224, 224), (500, 250)])
def test_sides_are_multiples_of_patches(size):
    inside = Preprocessing(MEAN, STD, 224, multiple=14).size_of(size)
    assert all(side % 14 == 0 for side in inside)
    assert min(inside) >= 224
    assert inside[0] / inside[1] == pytest.approx(size[0] / size[1], rel=0.05)
