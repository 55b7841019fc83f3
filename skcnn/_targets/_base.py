"""The contract for y: everything about a kind of target that training and prediction need."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score
from torch import Tensor

from skcnn._targets._columns import check_none_missing
from skcnn._targets._split import Rows, Seed, random_split
from skcnn._targets._weights import combine_weights

Outputs = npt.NDArray[np.float64]


class Target(ABC):
    """A kind of y: how it is encoded, learned from, split, and read from a network's outputs.

    An estimator makes its target from y in `fit`. The training loop, the batches and early
    stopping ask the target, and know nothing else about y. A subclass is a small object without
    references to data, since it is stored with the fitted net.

    Attributes
    ----------
    kind : {"classifier", "regressor"} or None
        What scikit-learn calls estimators of such targets.
    score_name : str or None
        Name of the figure that `score` computes during validation, such as "accuracy".
    lower_score_is_better : bool
        Whether that figure is an error, which training lowers. The history of the net says which
        epoch was the best so far, for callbacks such as skorch's `Checkpoint`.
    part_names : tuple of str
        Names of the parts of the loss that `part_losses` computes, if it has parts.
    """

    kind: ClassVar[str | None] = None
    score_name: ClassVar[str | None] = None
    lower_score_is_better: ClassVar[bool] = False
    part_names: tuple[str, ...] = ()

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Number of outputs that the network needs for this target."""

    def output_shape(self, image_shape: tuple[int, int, int]) -> tuple[int, ...]:
        """Return the shape of the outputs that the network needs for one image."""
        return (self.n_outputs,)

    @property
    def description(self) -> str:
        """The outputs in words, for error messages."""
        return "1 output" if self.n_outputs == 1 else f"{self.n_outputs} outputs"

    @abstractmethod
    def encode(self, y: npt.ArrayLike, name: str = "y") -> npt.NDArray[Any]:
        """Return y as the numbers that the loss takes, one row per image."""

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return outputs as `predict_proba` of the skorch net has them."""
        return outputs

    def answer(self, outputs: Tensor) -> Tensor:
        """Return what other programs get for outputs: probabilities, or numbers in their unit."""
        return self.probabilities(outputs)

    def answers(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """Return `answer` of each question, of which most targets have one."""
        return (self.answer(outputs),)

    @abstractmethod
    def predict(self, outputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the encoded prediction for each row of outputs."""

    @abstractmethod
    def decode(self, encoded: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return encoded values as the user gave them."""

    @abstractmethod
    def loss(self, outputs: Tensor, encoded: Tensor, *, training: bool) -> Tensor:
        """Return the loss of each image, of shape (n,)."""

    def part_losses(self, outputs: Tensor, encoded: Tensor, *, training: bool) -> Tensor:
        """Return the loss of each part, (n, n_parts); NaN where an image says nothing about it."""
        raise NotImplementedError

    def score(self, outputs: Tensor, encoded: Tensor) -> Tensor:
        """Return the score of each image, of shape (n,), whose mean validation reports."""
        raise NotImplementedError

    @property
    def n_columns(self) -> int:
        """Number of columns of `as_columns`."""
        return 1

    def as_columns(self, encoded: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return encoded values as columns, which `loss` and `score` take as well."""
        return np.reshape(encoded, (len(encoded), self.n_columns)).astype(np.float32)

    @abstractmethod
    def check(self, y: npt.ArrayLike, n_images: int, name: str) -> npt.NDArray[Any]:
        """Check a y that comes beside the training images, such as `y_val`."""

    def continued(self, new: Self) -> Self:
        """Return the target with which training continues, where y alone would make `new`.

        A target that was computed from y, such as its mean, stays that of the first y: the
        network has learned it.

        Raises
        ------
        ValueError
            If training cannot continue with this y.
        """
        self.check_same(new)
        return self

    @abstractmethod
    def check_same(self, other: Self) -> None:
        """Raise a ValueError unless training can continue from this target to another one."""

    def mix(
        self, partner: Tensor, own: Tensor, encoded: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Mix the targets of images that were mixed, and their weights.

        Parameters
        ----------
        partner : torch.Tensor of shape (n,), int64
            Index of the image that each image was mixed with.
        own : torch.Tensor of shape (n,)
            Fraction of the image itself in the mixture.
        encoded : torch.Tensor of shape (n, ...)
        weight : torch.Tensor of shape (n,) or None

        Returns
        -------
        encoded : torch.Tensor of shape (n, ...)
        weight : torch.Tensor of shape (n,) or None
        """
        raise ValueError(
            f"augment= mixes images with each other, but {type(self).__name__} cannot mix their "
            "targets. Leave out MixUp and CutMix."
        )

    def moved(self, encoded: Tensor, move: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the targets of images whose pixels were moved.

        Parameters
        ----------
        encoded : torch.Tensor of shape (n, ...)
        move : callable
            Moves masks (n, height, width, channels) as the images were moved.

        Returns
        -------
        encoded : torch.Tensor of shape (n, ...)
            The same where a target has no places in the image.
        """
        return encoded

    def weights(
        self, sample_weight: npt.ArrayLike | None, encoded: npt.NDArray[Any]
    ) -> npt.NDArray[np.float64] | None:
        """Return the weight of each image in the loss; None where all weigh the same."""
        return combine_weights(sample_weight, None, encoded)

    def split(
        self,
        encoded: npt.NDArray[Any],
        fraction: float,
        groups: npt.ArrayLike | None,
        random_state: Seed,
    ) -> tuple[Rows, Rows]:
        """Split rows for training and validation, both in ascending order."""
        return random_split(len(encoded), fraction, groups, random_state)


class ClassifierTarget(Target):
    """A kind of y that a classifier predicts, with probabilities.

    The methods take the outputs of the network as float64.
    """

    kind = "classifier"
    score_name = "accuracy"

    classes: Any

    @abstractmethod
    def predict_proba(self, outputs: Outputs) -> Any:
        """Return the probabilities, in the form that scikit-learn has for this kind of y."""

    @abstractmethod
    def predict_log_proba(self, outputs: Outputs) -> Any:
        """Return the logarithms of the probabilities."""

    @abstractmethod
    def decision_function(self, outputs: Outputs) -> Any:
        """Return the logits, in the form that scikit-learn has for this kind of y."""

    def accuracy(
        self, y: npt.ArrayLike, labels: npt.ArrayLike, sample_weight: npt.ArrayLike | None
    ) -> float:
        """Return the weighted fraction of images whose predicted labels are those of y."""
        check_none_missing(y)
        return float(accuracy_score(y, labels, sample_weight=sample_weight))
