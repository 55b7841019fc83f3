"""Batches of images and targets, gathered as a whole rather than row by row."""

import mmap
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor
from torch.utils.data import Subset

from skcnn._compute._device_memory import free_bytes
from skcnn._compute._fork import computing
from skcnn._compute._process_group import ProcessGroup
from skcnn._data._dataset import Batch
from skcnn._data._resize import resize
from skcnn._targets._mixing import blend
from skcnn.augmentation import GeometricAugmentation, MixingAugmentation
from skcnn.augmentation._names import check_changed

# Sizes of batches, each with the fewest images that it is for: 60 batches per epoch for 128 and
# 64, and 500 images for 32, below which its steps were measured to be too few.
_AUTO_SIZES = {128: 7_680, 64: 3_840, 32: 500, 16: 0}
# Fraction of a device's free memory that a data set may take there.
_RESIDENT_FRACTION = 0.5
_COPIED_BYTES = 2**26
# Smaller files stay in the system's page cache.
_LARGE_FILE = 2**30
_READ_AHEAD = 2

Inputs = tuple[Tensor, ...]
Rows = npt.NDArray[np.intp]
Item = TypeVar("Item")


def choose_batch_size(n_images: int) -> int:
    """Take 16, or 32 for 500 images, 64 for 3,840, and 128 for 7,680 or more.

    Examples
    --------
    >>> choose_batch_size(30_500), choose_batch_size(5_000)
    (128, 64)
    >>> choose_batch_size(1_000), choose_batch_size(200)
    (32, 16)
    """
    return next(size for size, fewest in _AUTO_SIZES.items() if n_images >= fewest)


class Batches:
    """Iterate over a data set in whole batches on a device.

    On a device other than the CPU the data set is copied there once, if it fits; a batch is then
    one gather on the device. Otherwise, and where images are read from a disk, the next batches
    are read while the device computes.

    Parameters
    ----------
    dataset : skorch Dataset or a Subset of one
    batch_size : int
    device : torch.device
        Device of the batches.
    generator : torch.Generator, default=None
        Source of the order of the rows and of their augmentation. Without one the rows come in
        order, complete and unchanged.
    augment : sequence of callables, default=()
        Applied to each batch in turn, see `skcnn.augmentation`.
    mix, moved : callable, default=None
        Those of the `Target`, for augmentations that mix images or move their pixels.
    resident : bool, default=True
        Whether the data set may be copied to the device, where it is read many times.
    group : ProcessGroup, default=None
        Processes that share each batch, once it is complete and augmented.

    Attributes
    ----------
    augment_rng : torch.Generator or None
        Source of the augmentation, on the device where that has generators.
    scale : float
        Fraction of its sides that each image is reduced to, after everything else.

    Notes
    -----
    A last training batch of a single image, in each process, is left out: batch normalization
    cannot take it, and the next epoch has another order.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        *,
        device: torch.device,
        generator: Generator | None = None,
        augment: Sequence[Callable[[Tensor, Generator], Tensor]] = (),
        mix: Callable[..., tuple[Tensor, Tensor | None]] | None = None,
        moved: Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor] | None = None,
        resident: bool = True,
        group: ProcessGroup | None = None,
    ) -> None:
        rows: Rows | None = None
        while isinstance(dataset, Subset):
            indices = np.asarray(dataset.indices)
            rows = indices if rows is None else indices[rows]
            dataset = dataset.dataset
        self.batch_size = batch_size
        self.generator = generator
        self.augment = augment
        self.mix = mix
        self.moved = moved
        self.group = group
        self.scale = 1.0
        self.n_images = len(dataset) if rows is None else len(rows)
        indexed = _IndexedRows(dataset, rows, self.n_images)
        self._has_covariates = indexed.covariates is not None
        self._source = _source(indexed, device, resident)
        self.augment_rng = generator
        if generator is not None and device.type != "cpu":
            self.augment_rng = Generator(device).manual_seed(generator.initial_seed())

    @property
    def rngs(self) -> list[Generator]:
        """Generators of order and augmentation: one for both on the CPU."""
        own = [
            self.generator,
            self.augment_rng if self.augment_rng is not self.generator else None,
        ]
        return [generator for generator in own if generator is not None]

    def __len__(self) -> int:
        full, rest = divmod(self.n_images, self.batch_size)
        smallest = 2 if self.group is None else self.group.min_batch_size()
        dropped = self.generator is not None and 0 < rest < smallest and full > 0
        return full + (rest > 0) - dropped

    def __iter__(self) -> Iterator[Batch]:
        for inputs in self.inputs():
            yield self.load(*inputs)

    def inputs(self) -> Iterator[Inputs]:
        """Iterate over the arguments of `load`, one tuple per batch."""
        if self.generator is None:
            order = torch.arange(self.n_images)
        else:
            order = torch.randperm(self.n_images, generator=self.generator)
        return self._source.inputs(torch.split(order, self.batch_size)[: len(self)])

    def load(self, *inputs: Tensor) -> Batch:
        """Make a batch from one of `inputs`, augmented where it is for training.

        All of it happens on the device, and the CPU does not wait for it.
        """
        with computing():
            return self._load(*inputs)

    def _load(self, *inputs: Tensor) -> Batch:
        images, target, *rest = self._source.load(*inputs)
        covariates = rest.pop() if self._has_covariates else None
        weight = rest[0] if rest else None
        if self.augment_rng is not None:
            before = images
            for change in self.augment:
                if isinstance(change, MixingAugmentation):
                    images, partner, own = change.mix(images, self.augment_rng)
                    assert self.mix is not None
                    target, weight = self.mix(partner, own, target, weight)
                    if covariates is not None:
                        covariates, _ = blend(partner, own, covariates)
                elif isinstance(change, GeometricAugmentation) and self.moved is not None:
                    drawn = change.draw(images, self.augment_rng)
                    images = change.apply(images, drawn)
                    target = self.moved(target, partial(change.apply, drawn=drawn))
                else:
                    images = change(images, self.augment_rng)
                images = check_changed(change, before, images)
        if self.group is not None:
            images, target, weight, covariates = self.group.shard(
                images, target, weight, covariates
            )
        # Rows of features have no sides.
        images = images if self.scale == 1 else resize(images, self.scale)
        return Batch(images, target, weight, covariates)


class _IndexedRows:
    """Rows of a data set, gathered in the memory of the CPU."""

    def __init__(self, dataset: Any, rows: Rows | None, n_rows: int) -> None:
        self.dataset = dataset
        self.rows = rows
        self.n_rows = n_rows

    @property
    def covariates(self) -> npt.NDArray[np.float32] | None:
        """Numbers beside the images of the data set."""
        covariates: npt.NDArray[np.float32] | None = getattr(self.dataset.X, "covariates", None)
        return covariates

    def gather(self, numbers: Rows) -> Inputs:
        rows = numbers if self.rows is None else self.rows[numbers]
        images = torch.from_numpy(np.ascontiguousarray(self.dataset.X[rows]))
        y = self.dataset.y
        # skorch unpacks a batch into X and y: without targets, zeros as in its own data set.
        labels = torch.zeros(len(rows)) if y is None else torch.from_numpy(np.asarray(y)[rows])
        weight = getattr(self.dataset, "sample_weight", None)
        beside = [part for part in (weight, self.covariates) if part is not None]
        return images, labels, *(torch.from_numpy(part[rows]) for part in beside)

    @property
    def takes_time(self) -> bool:
        """Whether each batch may have to wait for the disk, or for files to be decoded."""
        if getattr(self.dataset.X, "decodes", False):
            return True
        array = getattr(self.dataset.X, "pixels", self.dataset.X)
        while array is not None and not isinstance(array, mmap.mmap):
            array = getattr(array, "base", None)
        return array is not None and len(array) > _LARGE_FILE


def _source(
    rows: _IndexedRows, device: torch.device, resident: bool
) -> "_HostBatches | _DeviceBatches":
    if resident and device.type != "cpu":
        free = free_bytes(device)
        needed = rows.n_rows * sum(tensor.nbytes for tensor in rows.gather(np.arange(1)))
        if free is None or needed <= _RESIDENT_FRACTION * free:
            return _DeviceBatches(rows, device)
    return _HostBatches(rows, device)


class _HostBatches:
    """Gathers each batch on the CPU and copies it to the device, ahead of use where that helps."""

    def __init__(self, rows: _IndexedRows, device: torch.device) -> None:
        self.rows = rows
        self.device = device
        self.ahead = device.type != "cpu" or rows.takes_time

    def inputs(self, batches: Sequence[Tensor]) -> Iterator[Inputs]:
        jobs = [partial(self._gather, batch.numpy()) for batch in batches]
        gathered = _prefetch(jobs) if self.ahead and len(jobs) > 1 else (job() for job in jobs)
        for batch in gathered:
            yield tuple(tensor.to(self.device, non_blocking=True) for tensor in batch)

    def load(self, *inputs: Tensor) -> Inputs:
        return inputs

    def _gather(self, numbers: Rows) -> Inputs:
        gathered = self.rows.gather(numbers)
        if self.device.type != "cuda":
            return gathered
        # A copy overlaps with computation only from pinned memory.
        return tuple(tensor.pin_memory() for tensor in gathered)


class _DeviceBatches:
    """Holds all rows on the device; a batch is a tensor of row numbers."""

    def __init__(self, rows: _IndexedRows, device: torch.device) -> None:
        self.device = device
        sample = rows.gather(np.arange(1))
        self.tensors = tuple(
            torch.empty((rows.n_rows, *tensor.shape[1:]), dtype=tensor.dtype, device=device)
            for tensor in sample
        )
        n_at_once = max(1, _COPIED_BYTES // sample[0].nbytes)
        for numbers in torch.split(torch.arange(rows.n_rows), n_at_once):
            for tensor, part in zip(self.tensors, rows.gather(numbers.numpy())):
                tensor[numbers[0] : numbers[-1] + 1] = part

    def inputs(self, batches: Sequence[Tensor]) -> Iterator[Inputs]:
        order = torch.cat([*batches]).to(self.device)
        return ((rows,) for rows in torch.split(order, len(batches[0])))

    def load(self, *inputs: Tensor) -> Inputs:
        return tuple(tensor.index_select(0, *inputs) for tensor in self.tensors)


def _prefetch(jobs: Sequence[Callable[[], Item]]) -> Iterator[Item]:
    """Yield the results of jobs, while a thread already runs the next ones."""
    with ThreadPoolExecutor(1) as pool:
        pending: deque[Any] = deque()
        for job in jobs:
            pending.append(pool.submit(job))
            if len(pending) > _READ_AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
