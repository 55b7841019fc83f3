"""Layers of a compact transformer: tokens, attention, stochastic depth, sequence pooling."""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skcnn.networks._layers import Dropout


class Matrix(nn.Linear):
    """Linear layer between tokens, whose weights `Muon` steps as it does filters.

    The layer after it does not undo a change of its scale, as batch normalization does for
    filters, so that its weights decay and are never rescaled.
    """

    #: Whether `Muon` takes orthogonalized steps, as for filters of convolutions.
    steps_as_filters = True


class Positions(nn.Module):
    """Adds a trained vector for each place to feature maps, and makes tokens of them.

    For maps of another size, the table is resized.

    Parameters
    ----------
    width : int
        Channels of the maps, and values per token.
    sides : tuple of (height, width)
        Size of the maps.
    """

    def __init__(self, width: int, sides: tuple[int, int]) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(1, width, *sides))
        nn.init.trunc_normal_(self.table, std=0.02)

    def forward(self, maps: Tensor) -> Tensor:
        table: Tensor = self.table
        if maps.shape[2:] != table.shape[2:]:
            size = (maps.shape[2], maps.shape[3])
            table = F.interpolate(table, size=size, mode="bicubic", align_corners=False)
        tokens: Tensor = (maps + table).flatten(2).transpose(1, 2)
        return tokens


class AttentionProduct(nn.Module):
    """Sums of values, weighted by how well the query of a token matches each key.

    It has no parameters. In training, weights are dropped at random.

    Parameters
    ----------
    dropout : float
        Fraction of the weights that are dropped.

    References
    ----------
    Vaswani et al.: Attention is all you need. NeurIPS 2017.
    """

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Return sums of shape (n, heads, tokens, width), the shape of each argument."""
        dropout = self.dropout if self.training else 0.0
        sums: Tensor = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        return sums

    def weights(self, query: Tensor, key: Tensor) -> Tensor:
        """Return the weights of keys for each query, of shape (n, heads, tokens, tokens)."""
        matches: Tensor = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
        return matches.softmax(dim=-1)

    def multiply_adds(self, output: Tensor) -> int:
        """Multiply-adds of one image: of queries with keys, and of weights with values."""
        _, heads, tokens, width = output.shape
        return 2 * heads * tokens**2 * width


class StochasticDepth(nn.Module):
    """Leaves out a branch for random images in training, and scales it up for the others.

    Parameters
    ----------
    rate : float
        Fraction of the images for which the branch is left out.

    References
    ----------
    Huang, Sun, Liu, Sedra, Weinberger: Deep networks with stochastic depth. ECCV 2016.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        if not self.training:
            return branch
        shape = (len(branch), *[1] * (branch.ndim - 1))
        kept = torch.rand(shape, device=branch.device) >= self.rate
        return branch * (kept.to(branch.dtype) / (1 - self.rate))


class SelfAttention(nn.Module):
    """Multi-head attention of normalized tokens to each other.

    Parameters
    ----------
    width : int
        Values per token.
    heads : int
        Number of heads, among which the width is divided.
    dropout, attention_dropout, stochastic_depth : float
        Fractions of values, of attention weights and of images that are dropped in training.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        dropout: float,
        attention_dropout: float,
        stochastic_depth: float,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query = Matrix(width, width, bias=False)
        self.key = Matrix(width, width, bias=False)
        self.value = Matrix(width, width, bias=False)
        self.product = AttentionProduct(attention_dropout)
        self.output = Matrix(width, width)
        self.drop = _drop(dropout, stochastic_depth)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = self.norm(tokens)
        parts = (self._split(layer(tokens)) for layer in (self.query, self.key, self.value))
        sums = self.product(*parts)
        branch: Tensor = self.drop(self.output(sums.transpose(1, 2).flatten(2)))
        return branch

    def _split(self, values: Tensor) -> Tensor:
        n, tokens, width = values.shape
        return values.view(n, tokens, self.heads, width // self.heads).transpose(1, 2)


class EncoderLayer(nn.Module):
    """Attention between tokens, then dense layers on each token, each beside a shortcut.

    Parameters
    ----------
    width, heads, dropout, attention_dropout, stochastic_depth
        As in `SelfAttention`.
    hidden : int
        Units of the dense layer between.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        *,
        dropout: float,
        attention_dropout: float,
        stochastic_depth: float,
    ) -> None:
        super().__init__()
        self.attention = SelfAttention(
            width,
            heads,
            dropout=dropout,
            attention_dropout=attention_dropout,
            stochastic_depth=stochastic_depth,
        )
        self.dense = nn.Sequential(
            OrderedDict(
                norm=nn.LayerNorm(width),
                expand=Matrix(width, hidden),
                activation=nn.GELU(),
                reduce=Matrix(hidden, width),
                drop=_drop(dropout, stochastic_depth),
            )
        )

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(tokens)
        result: Tensor = tokens + self.dense(tokens)
        return result


def _drop(dropout: float, stochastic_depth: float) -> nn.Sequential:
    """Return what drops values and branches in training."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if dropout:
        layers["values"] = Dropout(dropout)
    if stochastic_depth:
        layers["branch"] = StochasticDepth(stochastic_depth)
    return nn.Sequential(layers)


class SequencePooling(nn.Module):
    """Mean of all tokens, weighted by a score that is learned.

    Parameters
    ----------
    width : int
        Values per token.

    References
    ----------
    Hassani, Walton, Shah, Abuduweili, Li, Shi: Escaping the big data paradigm with compact
    transformers. 2021, arXiv:2104.05704.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        weights = self.weights(self.score(tokens))
        features: Tensor = (weights.transpose(1, 2) @ tokens).squeeze(1)
        return features

    @staticmethod
    def weights(scores: Tensor) -> Tensor:
        """Return the weights of tokens (n, tokens, 1), which sum to 1 for each image."""
        return scores.softmax(dim=1)
