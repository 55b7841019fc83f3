"""What an ONNX file holds: a fitted network with what comes before and after it, and its names."""

import copy
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from skcnn._data._covariates import CovariateEncoder
from skcnn._estimators._base import ConvNetEstimator
from skcnn._estimators._feature_extractor import FeatureExtractor
from skcnn._targets import MaskTarget, Target
from skcnn._targets._several import SeveralTarget
from skcnn.networks._unet_network import UNetNetwork, UpBlock, reflect

Fitted = ConvNetEstimator | FeatureExtractor

#: Names of the inputs.
IMAGES, COVARIATES = "images", "covariates"


@dataclass(frozen=True)
class Output:
    """One output of a file.

    Attributes
    ----------
    name : str
        In the file.
    question : str or None
        Column of y, or task, that it answers; None where there is one answer.
    target : Target or None
        None for features.
    """

    name: str
    question: str | None
    target: Target | None


def outputs_of(estimator: Fitted) -> list[Output]:
    """Return the outputs of a fitted estimator."""
    if isinstance(estimator, FeatureExtractor):
        return [Output("features", None, None)]
    target = estimator._target
    if isinstance(target, SeveralTarget):
        each = zip(identifiers(target.names), target.names, target.targets)
        return [Output(*parts) for parts in each]
    name = "predictions" if target.kind == "regressor" else "probabilities"
    return [Output(name, None, target)]


def identifiers(names: Iterable[str]) -> list[str]:
    """Return a name for each, of letters, digits and underscores, as ONNX wants them.

    Examples
    --------
    >>> identifiers(["species", "a/b", "a b", "1", "images"])
    ['species', 'a_b', 'a_b_', 'output_1', 'images_']
    """
    taken = [IMAGES, COVARIATES]
    for name in names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        if not plain or plain[0].isdigit():
            plain = f"output_{plain}"
        while plain in taken:
            plain += "_"
        taken.append(plain)
    return taken[2:]


def free_sides(estimator: Fitted) -> tuple[int, ...]:
    """Return the axes of images (n, height, width, channels) whose length a file leaves open."""
    if not estimator.module_.takes_any_size:
        return ()
    # Layers leave a side of one pixel as it is.
    return tuple(axis for axis in (1, 2) if estimator.image_shape_[axis - 1] > 1)


class Program(nn.Module):
    """From images, and covariates as they were given, to what the estimator answers.

    Parameters
    ----------
    estimator : ConvNetEstimator or FeatureExtractor
        Fitted. Its network is copied.
    """

    def __init__(self, estimator: Fitted) -> None:
        super().__init__()
        self.network = copy.deepcopy(estimator.module_).cpu()
        self.target = None if isinstance(estimator, FeatureExtractor) else estimator._target
        self.encoder: CovariateEncoder | None = getattr(estimator, "_covariates", None)
        self.flips = getattr(estimator, "test_time_flip", False)
        for block in self.network.modules():
            if isinstance(block, UpBlock):
                block.enlarge = _Enlarge(scale_factor=block.enlarge.scale_factor)

    def forward(self, images: Tensor, covariates: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return features, probabilities or numbers: one tensor for each output."""
        if self.target is None:
            return (self.network.features(images),)
        beside = () if covariates is None else (self._encoded(covariates),)
        if isinstance(self.target, MaskTarget):
            return (self._of_pixels(images, self.target),)
        outputs = self._outputs(images, *beside)
        if self.flips:
            outputs = (outputs + self._outputs(images.flip(2), *beside)) / 2
        return self.target.answers(outputs)

    def _encoded(self, covariates: Tensor) -> Tensor:
        assert self.encoder is not None
        parts = self.encoder.encode_columns(covariates.T, torch)
        return torch.stack([part.float() for part in parts], dim=1)

    def _of_pixels(self, images: Tensor, target: MaskTarget) -> Tensor:
        probability = target.answer(self._maps(images))
        if self.flips:
            mirrored = target.answer(self._maps(images.flip(2)))
            probability = (probability + mirrored.flip(2)) / 2
        return probability

    def _maps(self, images: Tensor) -> Tensor:
        maps = self._outputs(self._extended(images))
        # Slices would have strides, for which the exporter asks how they relate.
        for axis, side in zip((2, 3), images.shape[1:3]):
            maps = maps.index_select(axis, torch.arange(side))
        return maps

    def _extended(self, images: Tensor) -> Tensor:
        """Extend images as the network does, but so that the exporter can follow their sizes."""
        if isinstance(self.network, UNetNetwork):
            for axis, step in zip((1, 2), self.network.body.stride):
                images = reflect(images, axis, (images.shape[axis] + step - 1) // step * step)
        return images

    def _outputs(self, images: Tensor, *beside: Tensor) -> Tensor:
        if self.network.takes_any_size:
            # Strides in the order of channels, height and width, for the same reason.
            images = images.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
        outputs: Tensor = self.network(images, *beside)
        return outputs


class _Enlarge(nn.Upsample):
    """What the class does, for maps of a size that is left open."""

    def forward(self, input: Tensor) -> Tensor:
        assert isinstance(self.scale_factor, tuple)
        rows, columns = (int(factor) for factor in self.scale_factor)
        size = rows * input.shape[2], columns * input.shape[3]
        enlarged: Tensor = nn.functional.interpolate(input, size)
        return enlarged


def rename_inner_values(model: Any, outputs: Iterable[Output]) -> None:
    """Rename what is computed on the way and has the name of an output, as names are unique."""
    names = {output.name for output in outputs}
    final = {id(value) for value in model.graph.outputs}
    for node in model.graph:
        for value in node.outputs:
            if value.name in names and id(value) not in final:
                value.name = f"{value.name}.inner"
