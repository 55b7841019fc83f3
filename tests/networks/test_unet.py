"""The U-Net: its halves, images of any size, and what it refuses."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from skcnn import ConvNetClassifier, ConvNetSegmenter
from skcnn.networks import Backbone, ConvBlocks, UNet
from skcnn.networks._copy import structural_copy
from skcnn.networks._summary import summarize
from skcnn.networks._unet_network import pad_to_multiple

SMALL = ConvBlocks((4, 6, 8))


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 255


def backbone(**parameters):
    return Backbone("efficientnet_lite0", **{"weights": None, **parameters})


class Residual(nn.Module):
    """A network of stages with a stem, as those of other libraries are."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2))
        self.layers = nn.Sequential(self._layer(4, 6, 1), self._layer(6, 8, 2))
        self.fc = nn.Linear(8, 2)

    def _layer(self, channels, filters, stride):
        return nn.Sequential(
            nn.Sequential(nn.Conv2d(channels, filters, 3, stride, 1), nn.BatchNorm2d(filters)),
            nn.Sequential(nn.Conv2d(filters, filters, 3, 1, 1), nn.BatchNorm2d(filters)),
        )

    def forward_features(self, images):
        return self.layers(self.stem(images))

    def forward(self, images):
        return self.fc(self.forward_features(images).mean((2, 3)))


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (1, 20), (3, 2), (1, 1)])
def test_outputs_have_the_size_of_the_image(size):
    network = UNet(SMALL).build((*size, 3), n_outputs=5).eval()
    assert network(noise(2, *size, 3)).shape == (2, 5, *size)


@pytest.mark.parametrize("axis", [1, 2])
def test_pixels_keep_their_places(axis):
    """What is below and to the right does not move what is above and to the left."""
    torch.manual_seed(0)
    network = UNet(ConvBlocks((4, 6))).build((64, 64, 3), n_outputs=2).eval()
    images = noise(1, 64, 64, 3)
    cut = images.narrow(axis, 0, 45)
    whole, part = network(images).narrow(axis + 1, 0, 24), network(cut).narrow(axis + 1, 0, 24)
    # Maps of another size are added up in another order.
    torch.testing.assert_close(part, whole, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(part, whole.roll(1, axis + 1), atol=1e-3)


@pytest.mark.parametrize(("side", "multiple"), [(5, 8), (8, 8), (9, 8), (2, 8), (1, 4), (3, 16)])
def test_images_are_extended_by_reflection(side, multiple):
    images = torch.arange(float(side)).view(1, 1, 1, side).expand(1, 2, 3, side)
    padded = pad_to_multiple(images, (4, multiple))
    assert padded.shape[2] == 4
    expected = np.pad(np.arange(float(side)), (0, -side % multiple), mode="reflect")
    np.testing.assert_array_equal(padded[0, 1, 0], expected)
    torch.testing.assert_close(padded[:, :, 3], padded[:, :, 1])


def test_the_encoder_is_that_of_the_blocks_and_the_decoder_mirrors_it():
    layers = {
        layer.name: layer
        for layer in summarize(UNet(SMALL).build((24, 24, 3), 2), (24, 24, 3)).layers
    }
    assert [layers[f"encoder.block{n}.1"].output_shape for n in (1, 2, 3)] == [
        (24, 24, 4),
        (12, 12, 6),
        (6, 6, 8),
    ]
    assert [layers[f"decoder.block{n}.convolve.1"].output_shape for n in (2, 1)] == [
        (12, 12, 6),
        (24, 24, 4),
    ]
    assert layers["head"].role == "output"
    assert layers["head"].multiply_adds == 24 * 24 * 4 * 2


def test_decoder_filters_are_as_given():
    for given, expected in ((7, (7, 7)), ((9, 5), (9, 5)), ("auto", (6, 4))):
        network = UNet(SMALL, decoder_filters=given).build((24, 24, 3), 2)
        widths = [block.reduce.out_channels for block in network.body.decoder.values()]
        assert tuple(widths) == expected


def test_pooling_of_the_encoder_sets_the_stride():
    cases = [
        (2, ConvBlocks((4, 6), pool_size=2)),
        (6, ConvBlocks((4, 6, 8), pool_size=(2, 3, 4))),
        (2, ConvBlocks((4, 6, 8), pool=(None, "average", "max"))),
    ]
    for stride, blocks in cases:
        network = UNet(blocks).build((24, 24, 3), 2)
        assert network.stride == (stride, stride)
        assert network(noise(1, 25, 24, 3)).shape == (1, 2, 25, 24)


def test_dropout_of_the_blocks_acts_in_training_only():
    network = UNet(ConvBlocks((4, 6), dropout=0.5, normalization=None)).build((16, 16, 3), 2)
    images = noise(1, 16, 16, 3)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


def test_features_are_means_of_the_coarsest_maps():
    network = UNet(SMALL).build((24, 24, 3), 2).eval()
    features = network.features(noise(3, 24, 30, 3))
    assert features.shape == (3, 8)
    maps = network.body.encoder(network.standardize(noise(3, 24, 32, 3)[:, :, :24]))
    torch.testing.assert_close(
        network.features(noise(3, 24, 32, 3)[:, :, :24]), maps[-1].mean((2, 3))
    )


def test_a_backbone_passes_on_maps_of_each_size_and_stays_frozen():
    network = UNet(backbone()).build((64, 48, 3), 4)
    encoder = network.body.encoder
    assert encoder.tapped == ("stage1", "stage2", "stage3", "stage4", "stage5")
    assert [level.stride[0] for level in encoder.levels] == [1, 2, 4, 8, 16, 32]
    assert not any(p.requires_grad for p in encoder.parameters())
    assert all(p.requires_grad for p in network.body.decoder.parameters())
    assert network(noise(2, 50, 41, 3)).shape == (2, 4, 50, 41)
    assert network(noise(1, 32, 32, 1)).shape == (1, 4, 32, 32)
    network.train()
    assert not any(m.training for m in encoder.stages.modules())


def test_unfrozen_stages_of_a_backbone_learn_at_their_own_rate():
    network = UNet(backbone(unfreeze=1, lr_factor=0.3)).build((32, 32, 3), 2)
    trained = {n for n, p in network.body.encoder.named_parameters() if p.requires_grad}
    assert {name.split(".")[1] for name in trained} == {"stage5"}
    factors = [getattr(m, "lr_factor", None) for m in network.modules()]
    assert factors.count(0.3) == 1


def test_a_module_of_ones_own_is_an_encoder():
    source = Backbone(Residual(), mean=(0.5,) * 3, std=(0.2,) * 3)
    network = UNet(source, decoder_filters=(6, 4)).build((32, 32, 3), 3)
    assert [level.stride[0] for level in network.body.encoder.levels] == [1, 4, 8]
    assert [level.channels for level in network.body.encoder.levels] == [3, 6, 8]
    assert network(noise(1, 33, 35, 3)).shape == (1, 3, 33, 35)


def test_a_backbone_may_end_at_an_earlier_layer():
    network = UNet(backbone(layer="stage3", unfreeze=1)).build((40, 40, 3), 2)
    assert [level.stride[0] for level in network.body.encoder.levels] == [1, 2, 4, 8]
    trained = {n for n, p in network.body.encoder.named_parameters() if p.requires_grad}
    assert {name.split(".")[1] for name in trained} == {"stage3"}
    own = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 6, 3, 2, 1), nn.ReLU())
    unet = UNet(Backbone(own, layer="", mean=(0.5,) * 3, std=(0.2,) * 3))
    assert unet.build((20, 20, 3), 2)(noise(1, 20, 22, 3)).shape == (1, 2, 20, 22)


def test_a_network_without_maps_is_no_encoder():
    flat = nn.Sequential(nn.Flatten(), nn.LazyLinear(4), nn.Linear(4, 2))
    source = Backbone(flat, mean=(0.5,) * 3, std=(0.2,) * 3)
    with pytest.raises(ValueError, match="no feature maps that are smaller"):
        UNet(source).build((32, 32, 3), 2)


def test_a_fitted_u_net_is_no_encoder():
    X, masks = noise(4, 16, 16, 3).numpy(), np.arange(4 * 256).reshape(4, 16, 16) % 2
    segmenter = ConvNetSegmenter(module=UNet(ConvBlocks((4, 6))), max_epochs=1, random_state=0)
    encoder = Backbone(segmenter.fit(X, masks))
    with pytest.raises(ValueError, match="smaller than the image: it ends in maps of its size"):
        UNet(encoder).build((16, 16, 3), 2)


@pytest.mark.parametrize("module", [SMALL, backbone()])
def test_a_network_for_images_is_none_for_pixels(module):
    X, masks = noise(4, 32, 32, 3).numpy(), np.arange(4 * 1024).reshape(4, 32, 32) % 2
    with pytest.raises(ValueError, match=r"one answer per pixel.*module=UNet\(ConvBlocks"):
        ConvNetSegmenter(module=module, max_epochs=1).fit(X, masks)
    with pytest.raises(ValueError, match=r"one answer per pixel, as a U-Net.*inside of the U-Net"):
        ConvNetClassifier(module=UNet(module), max_epochs=1).fit(X, [0, 1, 0, 1])


def test_threads_run_one_network_with_maps_of_their_own():
    network = UNet(backbone()).build((32, 32, 3), 2).eval()
    batches = [noise(1, 32, 32, 3, seed=seed) for seed in range(6)]
    with torch.inference_mode():
        alone = [network(batch) for batch in batches]

    def run(batch):
        with torch.inference_mode():
            return network(batch)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, batches))
    for one, other in zip(alone, together):
        torch.testing.assert_close(one, other)


def test_copies_and_pickles_say_the_same():
    network = UNet(backbone()).build((32, 32, 3), 2).eval()
    images = noise(1, 32, 32, 3)
    expected = network(images)
    for other in (structural_copy(network), pickle.loads(pickle.dumps(network))):
        torch.testing.assert_close(other.eval()(images), expected)


def test_without_an_encoder_filters_follow_the_size_of_the_image():
    for side, filters in ((96, (16, 32, 64, 128)), (4, (16, 32))):
        network = UNet().build((side, side, 3), 2)
        assert tuple(level.channels for level in network.body.encoder.levels) == filters


def test_parameters_are_searched_through_the_encoder():
    unet = UNet(ConvBlocks((4, 8)))
    changed = clone(unet).set_params(encoder__filters=(6,), decoder_filters=3)
    assert (changed.encoder.filters, changed.decoder_filters) == ((6,), 3)
    assert unet.encoder.filters == (4, 8)
    assert unet.get_params()["encoder__residual"] is True
    with pytest.raises(ValueError, match="encoder=None has no parameters of its own"):
        UNet().set_params(encoder__filters=(6,))
    assert UNet().set_params(encoder=ConvBlocks(), encoder__filters=(6,)).encoder.filters == (6,)


@pytest.mark.parametrize(
    ("unet", "message"),
    [
        (UNet("resnet18"), "'encoder' parameter of UNet must be"),
        (UNet(decoder_filters=0), "'decoder_filters' parameter of UNet must be"),
        (UNet(decoder_filters=(8, 0)), "'decoder_filters' parameter of UNet must be"),
        (UNet(ConvBlocks(dense_units=8)), "ConvBlocks with dense_units=8"),
        (UNet(ConvBlocks(global_pool="max")), "ConvBlocks with global_pool='max'"),
        (UNet(ConvBlocks(symmetry="mirror")), "ConvBlocks with symmetry='mirror'"),
        (UNet(ConvBlocks(stem="whitening")), "ConvBlocks with stem='whitening'"),
        (UNet(ConvBlocks(())), r"ConvBlocks\(filters=\(\)\)"),
        (UNet(ConvBlocks((0,))), "'filters' parameter of ConvBlocks"),
        (UNet(backbone(image_size=64)), "Backbone with image_size=64"),
        (UNet(backbone(pooling="max")), "Backbone with pooling='max'"),
        (UNet(backbone(unfreeze=-1)), "'unfreeze' parameter of Backbone"),
    ],
)
def test_wrong_parameters_are_named(unet, message):
    with pytest.raises(ValueError, match=message):
        unet.check()


def test_a_wrong_number_of_decoder_filters_names_what_was_expected():
    with pytest.raises(ValueError, match=r"has 3 values, but the encoder pools 2 times.*\(6, 4\)"):
        UNet(SMALL, decoder_filters=(8, 4, 2)).build((24, 24, 3), 2)
