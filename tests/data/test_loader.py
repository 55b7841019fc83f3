"""Whole batches out of a data set."""

import itertools
import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Subset

from skcnn._data import _loader
from skcnn._data._arrays import Images
from skcnn._data._dataset import ImageDataset
from skcnn._data._loader import Batches
from skcnn._data._resize import resize
from skcnn._targets import ClassTarget
from skcnn.augmentation import CutMix, Flip, MixUp

CPU = torch.device("cpu")


def dataset(n=20, y=True, weight=False):
    """Images whose only pixel is their number, labeled by it."""
    X = np.arange(n, dtype=np.float32)[:, None, None, None]
    return ImageDataset(
        X, np.arange(n) if y else None, np.arange(n, dtype=np.float32) / 10 if weight else None
    )


def training(data, batch_size, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return Batches(data, batch_size, device=CPU, generator=generator, **options)


def numbers(batches):
    """The numbers of the images, a list for each batch."""
    return [X.flatten().int().tolist() for X, *_ in batches]


def flat(lists):
    return list(itertools.chain.from_iterable(lists))


@given(st.integers(1, 40), st.integers(1, 15))
def test_in_training_every_row_comes_once_an_epoch(n, batch_size):
    batches = training(dataset(n), batch_size)
    seen = numbers(batches)
    # A single image left over is no batch, unless it is all there is.
    left_out = n % batch_size == 1 and n > 1 and batch_size > 1
    assert len(seen) == len(batches)
    assert [len(batch) for batch in seen[:-1]] == [batch_size] * (len(seen) - 1)
    rows = flat(seen)
    assert len(rows) == len(set(rows)) == n - left_out
    assert set(rows) <= set(range(n))


@given(st.integers(1, 40), st.integers(1, 15))
def test_otherwise_every_row_comes_in_order(n, batch_size):
    batches = Batches(dataset(n), batch_size, device=CPU)
    seen = numbers(batches)
    assert flat(seen) == list(range(n))
    assert len(batches) == len(seen) == -(-n // batch_size)


def test_each_epoch_has_its_own_order():
    batches = training(dataset(), 8)
    epochs = [flat(numbers(batches)) for _ in range(3)]
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert epochs[0] != list(range(20))


def test_the_seed_decides_the_orders():
    def two_epochs(seed):
        batches = training(dataset(), 8, seed)
        return [numbers(batches), numbers(batches)]

    assert two_epochs(1) == two_epochs(1)
    assert two_epochs(1) != two_epochs(2)


def test_the_image_left_out_of_one_epoch_comes_in_others():
    batches = training(dataset(9), 4)
    left_out = {(set(range(9)) - set(flat(numbers(batches)))).pop() for _ in range(50)}
    assert left_out == set(range(9))


def test_orders_and_changes_come_from_one_generator():
    def add_noise(images, generator):
        return images + torch.rand(len(images), generator=generator)[:, None, None, None] / 2

    first = [X for X, *_ in training(dataset(), 8, augment=[add_noise])]
    again = [X for X, *_ in training(dataset(), 8, augment=[add_noise])]
    assert all(torch.equal(one, other) for one, other in zip(first, again))
    assert sorted(int(x) for X in first for x in X.flatten()) == list(range(20))
    assert len({float(x) % 1 for X in first for x in X.flatten()}) == 20


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_a_subset_of_a_subset_has_the_rows_it_names(is_training, kind):
    inner = Subset(dataset(weight=True), kind(range(5, 15)))
    outer = Subset(inner, [9, 0, 3, 3])
    batches = training(outer, 3) if is_training else Batches(outer, 3, device=CPU)
    seen = [
        (*row,)
        for X, y, weight, _ in batches
        for row in zip(X.flatten().tolist(), y.tolist(), weight.tolist())
    ]
    expected = [(n, n, pytest.approx(n / 10)) for n in (14, 5, 8, 8)]
    if is_training:
        # The fourth row would be alone.
        assert len(seen) == 3
        assert all(row in expected for row in seen)
    else:
        assert seen == expected
        assert batches.n_images == 4


def test_a_batch_has_the_weight_of_each_image():
    for batch in training(dataset(weight=True), 8):
        np.testing.assert_allclose(batch.weight, batch.target / 10)
        assert batch.pair == (batch.images, batch.target)


def test_a_batch_without_weights_says_so():
    assert all(batch.weight is None for batch in training(dataset(), 8))


def test_without_labels_there_are_zeros_in_their_place():
    batches = list(Batches(dataset(5, y=False), 3, device=CPU))
    assert [y.tolist() for _, y, *_ in batches] == [[0, 0, 0], [0, 0]]
    assert numbers(batches) == [[0, 1, 2], [3, 4]]


def test_batches_of_images_are_gathered_as_they_are(images):
    batches = list(Batches(ImageDataset(Images(images), np.arange(60)), 25, device=CPU))
    assert all(X.dtype == torch.uint8 for X, *_ in batches)
    assert all(y.dtype == torch.int64 for _, y, *_ in batches)
    np.testing.assert_array_equal(torch.cat([X for X, *_ in batches]), images)


def test_changing_a_batch_does_not_change_the_images():
    data = dataset()
    for X, y, *_ in Batches(data, 8, device=CPU):
        X.zero_()
        y.zero_()
    assert numbers(Batches(data, 20, device=CPU)) == [list(range(20))]
    assert data.y.tolist() == list(range(20))


def test_a_data_set_is_as_long_as_its_images():
    assert len(dataset(7)) == 7
    X, y = dataset(7)[3]
    assert (X.item(), y) == (3, 3)


# ---------------------------------------------------------------- where the images lie


def everything(batches):
    """All that an epoch yields, as lists."""
    return [
        (X.flatten().tolist(), y.tolist(), None if weight is None else weight.tolist())
        for X, y, weight, _ in batches
    ]


@given(n=st.integers(1, 40), batch_size=st.integers(1, 15), weight=st.booleans())
@pytest.mark.parametrize("where", ["resident", "ahead"])
def test_wherever_the_images_lie_the_batches_are_the_same(where, n, batch_size, weight):
    data = Subset(dataset(50, weight=weight), list(range(49, 49 - n, -1)))

    def epochs():
        given = training(data, batch_size), Batches(data, batch_size, device=CPU)
        return [everything(batches) for batches in given]

    here = epochs()

    def source(rows, device, resident):
        if where == "resident":
            return _loader._DeviceBatches(rows, device)
        staged = _loader._HostBatches(rows, device)
        staged.ahead = True
        return staged

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_loader, "_source", source)
        assert epochs() == here


def test_a_data_set_is_copied_to_a_device_in_parts(monkeypatch):
    monkeypatch.setattr(_loader, "_COPIED_BYTES", 12)
    rows = _loader._IndexedRows(dataset(20, weight=True), np.arange(19, 2, -1), 17)
    images, labels, weight = _loader._DeviceBatches(rows, CPU).tensors
    assert images.flatten().tolist() == labels.tolist() == list(range(19, 2, -1))
    np.testing.assert_allclose(weight, labels / 10)


@pytest.mark.parametrize(
    ("free", "resident", "kind"),
    [
        (10**6, True, _loader._DeviceBatches),
        (None, True, _loader._DeviceBatches),
        (10, True, _loader._HostBatches),
        (10**6, False, _loader._HostBatches),
    ],
    ids=["fits", "unknown", "too_large", "once"],
)
def test_a_data_set_goes_to_a_device_where_it_fits(free, resident, kind, monkeypatch):
    made = []
    monkeypatch.setattr(_loader, "free_bytes", lambda device: free)
    for name in ("_DeviceBatches", "_HostBatches"):
        original = getattr(_loader, name)
        monkeypatch.setattr(
            _loader, name, lambda rows, device, original=original: made.append(original)
        )
    _loader._source(_loader._IndexedRows(dataset(20), None, 20), torch.device("cuda"), resident)
    assert made == [kind]


def test_large_files_are_read_ahead_and_what_lies_in_memory_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(_loader, "_LARGE_FILE", 1000)
    path = tmp_path / "images"
    X = np.random.RandomState(0).randint(256, size=(40, 4, 4, 3)).astype(np.uint8)
    X.tofile(path)
    mapped = np.memmap(path, dtype=np.uint8, mode="r", shape=X.shape)
    views = [mapped, mapped[::-1], np.asarray(mapped).reshape(40, -1).reshape(X.shape)]
    for images in [*views, *map(Images, views)]:
        batches = Batches(ImageDataset(images, np.arange(40)), 8, device=CPU)
        assert batches._source.ahead
        np.testing.assert_array_equal(
            torch.cat([batch.images for batch in batches]), images[np.arange(40)]
        )
    for images in [X, Images(X), mapped[:20]]:
        monkeypatch.setattr(_loader, "_LARGE_FILE", 1000 if images is X else 2000)
        assert not Batches(ImageDataset(images), 8, device=CPU)._source.ahead


def test_what_fails_ahead_fails_when_its_turn_comes():
    def fail():
        raise OSError("the disk is gone")

    items = _loader._prefetch([lambda: 1, lambda: 2, fail, lambda: 4])
    assert next(items) == 1
    assert next(items) == 2
    with pytest.raises(OSError, match="the disk is gone"):
        next(items)


def test_reading_ahead_ends_with_the_reader():
    before = threading.active_count()
    items = _loader._prefetch([lambda: 1] * 100)
    assert next(items) == 1
    items.close()
    assert threading.active_count() == before


def test_mixed_images_come_with_the_labels_of_both():
    """Each image is its label all over, so that a mixture can be told from its pixels."""
    X = np.repeat(np.arange(20, dtype=np.float32), 16).reshape(20, 4, 4, 1)
    data = ImageDataset(X, np.arange(20), np.ones(20, np.float32))
    batches = training(
        data, 8, augment=[Flip(), MixUp(1.0), CutMix()], mix=ClassTarget(np.arange(20)).mix
    )
    seen = 0
    for images, targets, weight, _ in batches:
        expected = (targets * torch.arange(20)).sum(1)
        torch.testing.assert_close(images.mean((1, 2, 3)), expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(weight, torch.ones(len(images)))
        seen += (targets.count_nonzero(1) > 1).sum()
    assert seen > 15


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_images_are_scaled_down(dtype):
    ramp = torch.arange(0, 240, 10).view(1, 1, 24, 1).expand(2, 12, 24, 3).to(dtype)
    small = resize(ramp, 0.5)
    assert small.shape == (2, 6, 12, 3)
    # In the middle a linear ramp stays one, between the pixels that were there.
    torch.testing.assert_close(small[0, 3, 2:-2, 0], torch.arange(45.0, 205, 20))
    assert resize(ramp, 1.0) is ramp


@pytest.mark.parametrize(
    ("shape", "scale", "expected"),
    [((2, 1, 50, 1), 0.5, (2, 1, 25, 1)), ((2, 3, 5, 2), 0.1, (2, 1, 1, 2))],
)
def test_nothing_is_scaled_down_to_nothing(shape, scale, expected):
    assert resize(torch.rand(shape), scale).shape == expected


def test_batches_have_the_size_they_are_set_to():
    X = np.random.RandomState(0).rand(10, 8, 6, 3).astype(np.float32)
    batches = training(ImageDataset(X, np.arange(10)), 4)
    batches.scale = 0.5
    assert {tuple(X.shape[1:]) for X, *_ in batches} == {(4, 3, 3)}
    batches.scale = 1.0
    assert {tuple(X.shape[1:]) for X, *_ in batches} == {(8, 6, 3)}
