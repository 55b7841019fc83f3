"""The compact transformer: what it computes, its parts, its parameters."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch.nn import functional as F

from skcnn import ConvNetClassifier
from skcnn._engine._parameter_groups import parameter_groups
from skcnn.networks import CompactTransformer
from skcnn.networks._attention import (
    AttentionProduct,
    Positions,
    SelfAttention,
    SequencePooling,
    StochasticDepth,
)

SMALL = {"depth": 2, "width": 16, "heads": 2}


def test_attention_is_that_of_torch():
    torch.manual_seed(0)
    own = SelfAttention(8, 2, dropout=0, attention_dropout=0, stochastic_depth=0).eval()
    theirs = torch.nn.MultiheadAttention(8, 2, bias=False, batch_first=True).eval()
    with torch.no_grad():
        stacked = torch.cat([own.query.weight, own.key.weight, own.value.weight])
        theirs.in_proj_weight.copy_(stacked)
        theirs.out_proj.weight.copy_(own.output.weight)
        own.output.bias.zero_()
        tokens = torch.randn(3, 5, 8)
        normalized = own.norm(tokens)
        torch.testing.assert_close(own(tokens), theirs(normalized, normalized, normalized)[0])


def test_attention_weights_are_those_that_are_used():
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 4, 5) for _ in range(3))
    product = AttentionProduct(0.0)
    weights = product.weights(query, key)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 4))
    torch.testing.assert_close(product(query, key, value), weights @ value)


def test_attention_weights_are_dropped_in_training_only():
    torch.manual_seed(0)
    product = AttentionProduct(0.5)
    parts = [torch.randn(1, 1, 6, 4) for _ in range(3)]
    assert not torch.equal(product(*parts), product(*parts))
    product.eval()
    assert torch.equal(product(*parts), product(*parts))


def test_stochastic_depth_leaves_out_whole_images_and_keeps_the_mean():
    torch.manual_seed(0)
    layer = StochasticDepth(0.25)
    kept = layer(torch.ones(4000, 2, 3))
    assert kept.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert (kept == kept[:, :1, :1]).all()
    assert kept.mean().item() == pytest.approx(1, abs=0.05)
    assert layer.eval()(torch.ones(5)).tolist() == [1] * 5


def test_stochastic_depth_grows_with_depth():
    network = CompactTransformer(depth=4, width=8, heads=1, stochastic_depth=0.2).build(
        (8, 8, 3), 2
    )
    rates = [m.rate for m in network.modules() if isinstance(m, StochasticDepth)]
    np.testing.assert_allclose(rates, np.repeat([0.05, 0.1, 0.15, 0.2], 2))


def test_positions_tell_places_apart_and_fit_other_sizes():
    torch.manual_seed(0)
    positions = Positions(4, (2, 3))
    tokens = positions(torch.zeros(1, 4, 2, 3))
    assert tokens.shape == (1, 6, 4)
    assert len({tuple(token.tolist()) for token in tokens[0]}) == 6
    assert positions(torch.zeros(1, 4, 5, 5)).shape == (1, 25, 4)


def test_sequence_pooling_is_a_weighted_mean():
    torch.manual_seed(0)
    pooling = SequencePooling(4)
    tokens = torch.randn(2, 5, 4)
    weights = F.softmax(tokens @ pooling.score.weight[0] + pooling.score.bias, dim=1)
    torch.testing.assert_close(pooling(tokens), torch.einsum("nt,ntw->nw", weights, tokens))


def test_summary_counts_the_multiply_adds_of_attention():
    clf = ConvNetClassifier(module=CompactTransformer(**SMALL))
    layers = {layer.name: layer for layer in clf.summary((16, 16, 3), 2).layers}
    product = layers["layer1.attention.product"]
    assert product.role == "attention"
    # 4x4 tokens: each of 16 meets 16, twice, in 16 values.
    assert product.multiply_adds == 2 * 16 * 16 * 16
    assert layers["layer1.attention.query"].multiply_adds == 16 * 16 * 16
    assert layers["head"].role == "output"


def test_matrices_are_stepped_as_filters_and_never_rescaled():
    network = CompactTransformer(**SMALL).build((16, 16, 3), 2)
    groups = {
        (group["role"], group.get("keeps_norm")): group["params"]
        for group in parameter_groups(network)
    }
    layer = network.body.layer1
    matrices = {
        id(matrix.weight)
        for matrix in (layer.attention.query, layer.attention.output, layer.dense.expand)
    }
    assert matrices <= {id(p) for p in groups["filters", False]}
    assert {id(p) for p in groups["filters", True]} == {
        id(network.body.tokenizer1.convolution.weight),
        id(network.body.tokenizer2.convolution.weight),
    }
    others = {id(p) for key in [("weights", None)] for p in groups[key]}
    assert {id(network.head.weight), id(network.body.positions.table)} <= others


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_learns_and_repeats(images, labels, optimizer):
    clf = ConvNetClassifier(
        module=CompactTransformer(**SMALL),
        optimizer=optimizer,
        lr=0.02 if optimizer == "muon" else 0.003,
        max_epochs=25,
        batch_size=16,
        random_state=0,
    )
    clf.fit(images, labels)
    assert clf.score(images, labels) > 0.9
    again = clone(clf).fit(images, labels)
    np.testing.assert_array_equal(clf.predict_proba(images), again.predict_proba(images))


def test_each_parameter_changes_the_network():
    shape, default = (16, 16, 3), CompactTransformer(**SMALL)
    base = repr(default.build(shape, 2))
    changes = {
        "depth": 3,
        "width": 18,
        "heads": 4,
        "mlp_ratio": 3.0,
        "tokenizer_layers": 1,
        "kernel_size": 5,
        "dropout": 0.2,
    }
    for name, value in changes.items():
        network = clone(default).set_params(**{name: value}).build(shape, 2)
        heads = [m.heads for m in network.modules() if isinstance(m, SelfAttention)]
        assert repr(network) != base or heads != [2, 2], name
    network = clone(default).set_params(attention_dropout=0.4).build(shape, 2)
    assert network.body.layer1.attention.product.dropout == 0.4


def test_search_reaches_the_parameters(images, labels):
    clf = ConvNetClassifier(module=CompactTransformer(**SMALL), max_epochs=1, random_state=0)
    search = GridSearchCV(clf, {"module__depth": [1, 2]}, cv=2, error_score="raise").fit(
        images, labels
    )
    assert search.best_estimator_.module.depth == search.best_params_["module__depth"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"heads": 3, "width": 16}, r"width=16 and heads=3.*width=18"),
        ({"kernel_size": 4}, r"kernel_size=4.*odd"),
        ({"depth": 0}, r"'depth'.*0"),
        ({"stochastic_depth": 1.0}, r"'stochastic_depth'.*1\.0"),
        ({"tokenizer_layers": 5}, r"tokenizer_layers=5.*8x8.*tokenizer_layers=3"),
    ],
    ids=["heads", "kernel", "depth", "rate", "tokenizer"],
)
def test_wrong_values(images, labels, parameters, message):
    clf = ConvNetClassifier(module=CompactTransformer(**parameters))
    with pytest.raises(ValueError, match=message):
        clf.fit(images, labels)


def test_images_of_one_pixel_on_a_side_are_refused_with_a_way_out(images, labels):
    rows = images[:, :1]
    clf = ConvNetClassifier(module=CompactTransformer(tokenizer_layers=1))
    with pytest.raises(ValueError, match=r"1x8.*Give images of at least 2 pixels on each side"):
        clf.fit(rows, labels)
