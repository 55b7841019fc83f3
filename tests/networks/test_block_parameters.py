"""Parameters of single blocks."""

from skcnn.networks import ConvBlocks
from skcnn.networks._block_parameters import BlockParameters, _per_block, block_parameters


def test_per_block_takes_a_word_for_a_single_value():
    assert _per_block("pool", "max", 3) == ["max"] * 3


def test_each_block_has_its_own_parameters():
    spec = ConvBlocks(
        convs_per_block=(1, 2),
        kernel_size=(3, 5),
        pool=("max", None),
        pool_size=(2, 4),
        normalization=(None, "ghost"),
        residual=(True, False),
    )
    assert block_parameters(spec, (8, 16)) == [
        BlockParameters(8, 1, 3, "max", 2, None, True),
        BlockParameters(16, 2, 5, None, 4, "ghost", False),
    ]
