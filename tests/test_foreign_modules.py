"""Modules and settings of torch that come from elsewhere: they train as in plain torch."""

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
import torch
from _helpers import small_multi_task, small_net, small_regressor, stripes
from torch import nn

import skcnn
from skcnn.augmentation import Augmentation, Flip, MixUp, Shift
from skcnn.networks._spec import OwnModule

X, Y = stripes(90)


def fit(**parameters):
    return small_net(max_epochs=2, **parameters).fit(X, Y)


class Plain(nn.Module):
    """A small network, whose outputs a subclass may wrap."""

    def __init__(self, n_channels, n_classes):
        super().__init__()
        self.convolution = nn.Conv2d(n_channels, 6, 3)
        self.output = nn.Linear(6, n_classes)

    def forward(self, x):
        return self.wrap(self.output(self.convolution(x).relu().mean((2, 3))))

    def wrap(self, outputs):
        return outputs


class Auxiliary(Plain):
    def wrap(self, outputs):
        return (outputs, -outputs) if self.training else outputs


class Pair(Plain):
    def wrap(self, outputs):
        return outputs, None


class Named(Plain):
    def wrap(self, outputs):
        return {"hidden": -outputs, "logits": outputs}


class Output(NamedTuple):
    hidden: torch.Tensor
    logits: torch.Tensor


@dataclass
class Answer:
    logits: torch.Tensor


class NamedPair(Plain):
    def wrap(self, outputs):
        return Output(-outputs, outputs)


class Object(Plain):
    def wrap(self, outputs):
        return Answer(outputs)


class Double(Plain):
    def wrap(self, outputs):
        return outputs.double()


@pytest.mark.parametrize("module", [Auxiliary, Pair, Named, NamedPair, Object, Double])
def test_the_main_output_is_trained(module):
    expected = fit(module=Plain).predict_proba(X)
    np.testing.assert_allclose(fit(module=module).predict_proba(X), expected, atol=1e-6)


@pytest.mark.parametrize("returned", [None, (), {"scores": torch.zeros(1, 3)}], ids=repr)
def test_a_module_without_outputs_is_refused(returned):
    class Wrong(Plain):
        def wrap(self, outputs):
            return returned

    message = rf"\(Wrong\) returned {type(returned).__name__}\. Expected a tensor of outputs"
    with pytest.raises(TypeError, match=message):
        fit(module=Wrong)


@pytest.mark.parametrize("cut", ["detach", "no_grad"])
def test_outputs_without_a_gradient_are_refused(cut):
    class Cut(Plain):
        def forward(self, x):
            if cut == "detach":
                return super().forward(x).detach()
            with torch.no_grad():
                return super().forward(x)

    with pytest.raises(ValueError, match=r"no gradient.*leave out torch\.no_grad\(\)"):
        fit(module=Cut)


def test_arguments_that_fit_does_not_know_are_named():
    def build(in_channels, num_classes, width=3):
        raise AssertionError

    with pytest.raises(TypeError, match=r"in_channels, num_classes, which fit does not.*n_chann"):
        fit(module=build)


def test_modules_of_torch_jit_are_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(Plain(3, 3))

    with pytest.raises(TypeError, match=r"torch\.jit has compiled.*compile=True"):
        fit(module=lambda: scripted)


@pytest.mark.parametrize("normalize", [nn.utils.weight_norm, nn.utils.spectral_norm])
@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_weights_that_hooks_compute_can_be_trained_further(normalize):
    def build(n_channels, n_classes):
        module = Plain(n_channels, n_classes)
        normalize(module.convolution)
        return module

    clf = fit(module=build, warm_start=True)
    first = clf.loss_curve_[-1]
    assert clf.fit(X, Y).loss_curve_[-1] < first


def test_a_function_may_return_the_same_module_each_time():
    network = Plain(3, 3)
    before = [values.clone() for values in network.parameters()]
    clf = fit(module=lambda: network)
    expected = clf.predict_proba(X)
    again = fit(module=lambda: network)
    np.testing.assert_array_equal(again.predict_proba(X), expected)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)
    for values, same in zip(network.parameters(), before):
        assert torch.equal(values, same)


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_group_normalization_of_what_is_not_trained(frozen):
    def build(n_channels, n_classes):
        module = nn.Sequential(
            nn.GroupNorm(1, n_channels),
            nn.Conv2d(n_channels, 6, 3),
            nn.GroupNorm(2, 6),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(6, n_classes),
        )
        module[:frozen].requires_grad_(False)
        return module

    assert fit(module=build).loss_curve_[-1] > 0


class View(nn.Module):
    """Flattens as many tutorials do, which torch refuses in channels-last layout."""

    def __init__(self, n_channels, n_classes):
        super().__init__()
        self.convolution = nn.Conv2d(n_channels, 6, 3)
        self.output = nn.Linear(6 * 36, n_classes)

    def flatten(self, x):
        return x.view(len(x), -1)

    def forward(self, x):
        return self.output(self.flatten(self.convolution(x).relu()))


class Flatten(View):
    def flatten(self, x):
        return x.flatten(1)


def test_a_module_may_flatten_by_view(tmp_path):
    expected = fit(module=Flatten).predict_proba(X)
    clf = fit(module=View)
    np.testing.assert_allclose(clf.predict_proba(X), expected, atol=1e-4)
    # The pass that failed leaves no rows behind.
    assert str(clf.summary()) == str(fit(module=Flatten).summary())
    skcnn.save(clf, tmp_path / "view.skcnn")
    again = skcnn.load(tmp_path / "view.skcnn", custom_objects={"View": View})
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))


def test_a_module_is_built_without_a_pass():
    passes = []

    class Counted(Plain):
        def forward(self, x):
            passes.append(x.shape)
            return super().forward(x)

    OwnModule(Counted).build((8, 8, 3), 3)
    assert not passes


def test_a_module_may_store_more_than_tensors(tmp_path):
    class Extra(Plain):
        def get_extra_state(self):
            return {"version": 1}

        def set_extra_state(self, state):
            assert state == {"version": 1}

    expected = fit(module=Plain, early_stopping=True).predict_proba(X)
    clf = fit(module=Extra, early_stopping=True)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)
    skcnn.save(clf, tmp_path / "extra.skcnn")
    again = skcnn.load(tmp_path / "extra.skcnn", custom_objects={"Extra": Extra})
    np.testing.assert_array_equal(again.predict_proba(X), expected)


@pytest.mark.parametrize("optimizer", ["muon", "sgd", "adam"])
def test_parameters_that_an_optimizer_cannot_step_are_told(optimizer):
    class Fourier(Plain):
        def __init__(self, n_channels, n_classes):
            super().__init__(n_channels, n_classes)
            self.filter = nn.Parameter(torch.ones(n_channels, 8, 5, dtype=torch.cfloat))

        def forward(self, x):
            filtered = torch.fft.rfft2(x) * self.filter
            return super().forward(torch.fft.irfft2(filtered, s=x.shape[2:]))

    with pytest.raises(ValueError, match=r"complex parameters.*optimizer=torch\.optim\.SGD"):
        fit(module=Fourier, optimizer=optimizer)
    assert fit(module=Fourier, optimizer=torch.optim.SGD).loss_curve_[-1] > 0


def test_a_module_that_ends_in_a_softmax_is_warned_of():
    class Softmax(Plain):
        def wrap(self, outputs):
            return outputs.softmax(1)

    with pytest.warns(UserWarning, match="seems to return probabilities"):
        fit(module=Softmax)


@pytest.mark.parametrize(
    ("estimator", "y", "wanted"),
    [
        (small_net, np.eye(3, dtype=int)[Y], "Return logits, without"),
        (small_regressor, Y, "Return numbers of any sign, without"),
        (small_multi_task, {"label": Y}, "Return logits, and numbers of any sign, without"),
    ],
    ids=["labels", "numbers", "questions"],
)
@pytest.mark.parametrize("last", ["sigmoid", "relu", "softplus", "softmax", "tanh", "exp", "cos"])
def test_a_module_whose_last_step_limits_its_outputs_is_warned_of(last, estimator, y, wanted):
    class Limited(nn.Module):
        def __init__(self, n_outputs):
            super().__init__()
            self.output = nn.Linear(3, n_outputs)

        def forward(self, x):
            outputs = self.output(x.mean((2, 3)))
            function = getattr(torch, last, getattr(nn.functional, last, None))
            return function(outputs, 1) if last == "softmax" else function(outputs)

    tasks = {"tasks": {"label": "classification"}} if isinstance(y, dict) else {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator(module=Limited, max_epochs=1, **tasks).fit(X, y)
    said = [str(w.message) for w in caught if "network of module=" in str(w.message)]
    assert len(said) == (last != "cos")
    for words in said:
        if "sum to 1" not in words:
            assert f"ends in {last}, so that" in words
            assert wanted in words


def test_a_module_may_keep_a_tensor_of_its_first_pass():
    class Cached(Plain):
        scale = None

        def forward(self, x):
            if self.scale is None:
                self.scale = x.new_ones(1)
            return super().forward(x) * self.scale

    expected = fit(module=Plain).predict_proba(X)
    np.testing.assert_allclose(fit(module=Cached).predict_proba(X), expected, atol=1e-6)


class Frozen(nn.Module):
    """A frozen trunk with batch normalization, as people fine-tune it."""

    def __init__(self, n_channels, n_classes):
        super().__init__()
        trunk = nn.Sequential(nn.Conv2d(n_channels, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        self.trunk = trunk.requires_grad_(False)
        self.trunk[1].running_mean.fill_(0.3)
        self.own = nn.BatchNorm2d(8)
        self.output = nn.Linear(8, n_classes)

    def train(self, mode=True):
        super().train(mode)
        self.trunk.eval()
        return self

    def forward(self, x):
        return self.output(self.own(self.trunk(x)).mean((2, 3)))


@pytest.mark.parametrize("averaging", [0.0, 0.5])
def test_frozen_batch_normalization_keeps_its_statistics(averaging):
    module = fit(module=Frozen, weight_averaging=averaging).module_.own
    assert module.trunk[1].running_mean.tolist() == pytest.approx([0.3] * 8)
    assert module.own.running_mean.abs().max() > 0
    assert module.own.momentum == 0.1


@pytest.mark.parametrize("optimizer", ["muon", "sgd", "adamw"])
def test_at_a_rate_of_nearly_nothing_weights_stay_as_they_are(optimizer):
    weights = {name: value.clone() for name, value in Plain(3, 3).state_dict().items()}

    def pretrained(n_channels, n_classes):
        module = Plain(n_channels, n_classes)
        module.load_state_dict(weights)
        return module

    clf = fit(module=pretrained, optimizer=optimizer, lr=1e-10)
    for name, value in clf.module_.own.state_dict().items():
        torch.testing.assert_close(value, weights[name], atol=1e-6, rtol=1e-6)


# ---------------------------------------------------------------- settings of the caller


def test_a_callers_autocast_changes_nothing():
    expected = fit()
    probability = expected.predict_proba(X)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_array_equal(expected.predict_proba(X), probability)
        inside = fit()
    np.testing.assert_array_equal(inside.predict_proba(X), probability)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_callers_gradient_mode_changes_nothing(mode):
    probability = fit().predict_proba(X)
    with mode():
        inside = fit()
        assert not torch.is_grad_enabled()
    np.testing.assert_array_equal(inside.predict_proba(X), probability)
    # What was trained there can be trained further outside.
    assert inside.partial_fit(X, Y).loss_curve_[-1] > 0


def test_a_callers_default_dtype_changes_nothing():
    expected = fit()
    torch.set_default_dtype(torch.float64)
    try:
        inside = fit()
        assert torch.get_default_dtype() == torch.float64
        assert str(small_net().summary((8, 8, 3), 3)) == str(expected.summary())
        found = inside.predict_proba(X)
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(found, expected.predict_proba(X))


def test_a_callers_default_device_is_not_asked_for():
    probability = fit().predict_proba(X)
    with torch.device("meta"):
        inside = fit()
        found = inside.predict_proba(X)
    np.testing.assert_array_equal(found, probability)


# ---------------------------------------------------------------- augmentations


@pytest.mark.parametrize(
    ("function", "got"),
    [
        (lambda images, generator: None, "NoneType"),
        (lambda images, generator: images[:, 1:], r"\(16, 7, 8, 3\)"),
        (lambda images, generator: images[..., :1], r"\(16, 8, 8, 1\)"),
    ],
)
def test_an_augmentation_that_returns_something_else_is_named(function, got):
    with pytest.raises(ValueError, match=rf"<lambda> in augment= returned {got} for images of"):
        fit(augment=function)


class Scaled(Augmentation):
    def __call__(self, images, generator):
        return images / 255


class ScaledFlip(Flip):
    def apply(self, images, drawn):
        return super().apply(images, drawn) / 255


class ScaledMixUp(MixUp):
    def mix(self, images, generator):
        mixed, *rest = super().mix(images, generator)
        return mixed / 255, *rest


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda images, generator: images / 255, "<lambda>"),
        (Scaled(), r"<.*Scaled object"),
        (ScaledFlip(), r"ScaledFlip\(probability=0.5"),
        (ScaledMixUp(), r"ScaledMixUp\(alpha=0.2"),
    ],
)
def test_an_augmentation_that_scales_pixels_to_floats_is_named(change, name):
    words = r" in augment= returned float32 up to .* for images of uint8 up to .* 0 to 255"
    with pytest.raises(ValueError, match=rf"{name}.*{words}"):
        fit(augment=["flip", change])
    # Behind what returns floats of the right range, too.
    with pytest.raises(ValueError, match=rf"{name}.*{words}"):
        fit(augment=[lambda images, generator: images + 0.5, change])


def test_an_augmentation_may_return_floats_in_the_range_of_integers():
    black = np.concatenate([X, np.zeros_like(X[:1])]), np.append(Y, Y[0])
    settings = {"max_epochs": 1, "random_state": 0, "batch_size": 1, "normalization": None}
    as_floats = lambda images, generator: images.float()  # noqa: E731
    expected = small_net(augment=None, **settings).fit(*black)
    found = small_net(augment=as_floats, **settings).fit(*black)
    np.testing.assert_allclose(found.predict_proba(X), expected.predict_proba(X), atol=1e-4)
    small_net(augment=lambda images, generator: images.float() * 0, **settings).fit(X[:3], Y[:3])


def test_an_augmentation_must_not_return_integers_for_floats():
    change = lambda images, generator: (images * 255).to(torch.uint8)  # noqa: E731
    with pytest.raises(ValueError, match="returned uint8 up to 255 for images of float32 up to 1"):
        small_net(augment=change, max_epochs=1).fit(X / 255, Y)


def test_an_augmentation_may_return_floats_of_another_size_for_floats():
    expected = small_net(augment=None, max_epochs=1, random_state=0).fit(X / 255, Y)
    change = lambda images, generator: images.double()  # noqa: E731
    found = small_net(augment=change, max_epochs=1, random_state=0).fit(X / 255, Y)
    np.testing.assert_allclose(found.predict_proba(X / 255), expected.predict_proba(X / 255))


@pytest.mark.parametrize(
    ("augment", "words"),
    [
        (lambda images: images, r"<lambda> in augment= takes \(images\). Expected two arguments"),
        (("flip", lambda: None), r"<lambda> in augment= takes \(\). Expected two arguments"),
        (Shift, r"holds the class Shift. Expected an object of it: Shift\(\)"),
    ],
)
def test_what_does_not_take_images_and_a_generator_is_no_augmentation(augment, words):
    with pytest.raises(ValueError, match=words):
        fit(augment=augment)


# ---------------------------------------------------------------- numbers of others


@pytest.mark.parametrize("kind", [np.int64, np.float64, float, np.int16])
def test_whole_numbers_of_any_type_are_taken(kind):
    expected = fit(batch_size=30, filters=(8, 16), dropout=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = small_net(
            max_epochs=kind(2), batch_size=kind(30), filters=(kind(8), kind(16)), dropout=kind(0)
        ).fit(X, Y)
    np.testing.assert_array_equal(found.predict_proba(X), expected.predict_proba(X))
