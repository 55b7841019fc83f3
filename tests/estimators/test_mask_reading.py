"""Images and label images in every form, cut into pieces, and as files."""

import numpy as np
import pandas as pd
import pytest
import torch
from _squares import MASKS, MASKS_NEW, SIDE, X_NEW, X, small, squares
from PIL import Image
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skcnn import ConvNetSegmenter
from skcnn.masks import iou_score, mask_scorer
from skcnn.networks import ConvBlocks, UNet


@pytest.fixture(scope="module")
def fitted():
    return small().fit(X, MASKS)


def test_flattened_masks_come_back_flattened(fitted):
    flat = small().fit(X, MASKS.reshape(len(MASKS), -1))
    predicted = flat.predict(X_NEW)
    np.testing.assert_array_equal(predicted, fitted.predict(X_NEW).reshape(8, -1))
    assert flat.score(X_NEW, MASKS_NEW.reshape(8, -1)) == fitted.score(X_NEW, MASKS_NEW)


def test_flattened_images(fitted):
    seg = small(image_shape=(SIDE, SIDE, 3)).fit(X.reshape(len(X), -1), MASKS)
    np.testing.assert_array_equal(seg.predict(X_NEW.reshape(8, -1)), fitted.predict(X_NEW))


@pytest.mark.parametrize(
    "convert", [torch.from_numpy, lambda a: np.asfortranarray(a), list], ids=["torch", "F", "list"]
)
def test_the_same_images_give_the_same_network(fitted, convert):
    seg = small().fit(convert(X), convert(MASKS))
    np.testing.assert_array_equal(seg.predict(convert(X_NEW)), fitted.predict(X_NEW))


def test_channels_first(fitted):
    first = np.moveaxis(X, -1, 1)
    seg = small(data_format="channels_first").fit(first, MASKS)
    predicted = seg.predict(np.moveaxis(X_NEW, -1, 1))
    np.testing.assert_array_equal(predicted, fitted.predict(X_NEW))


def test_images_of_unequal_sizes_train_and_are_predicted_as_lists():
    sizes = [(20, 24), (12, 40), (24, 16), (9, 9)] * 4
    pairs = [squares(1, size, seed=n) for n, size in enumerate(sizes)]
    images, masks = [x[0] for x, _ in pairs], [mask[0] for _, mask in pairs]
    seg = small(max_epochs=8).fit(images, masks)
    assert seg.image_shape_ == (24, 40, 3)
    predicted = seg.predict(images)
    assert [mask.shape for mask in predicted] == sizes
    assert seg.score(images, masks) > 0.85
    assert [p.shape for p in seg.predict_proba(images)] == [(*size, 3) for size in sizes]
    alone = seg.predict([images[1]])
    np.testing.assert_array_equal(alone[0], predicted[1])


def test_large_images_are_cut_into_pieces():
    images, masks = squares(4, (70, 90))
    seg = small(image_shape=(32, 32), max_epochs=4).fit(images, masks)
    assert seg.image_shape_ == (32, 32, 3)
    assert len(seg.net_.history[-1]["batches"]) == 4 * 3 * 3 // 4
    assert iou_score(masks > 0, seg.predict(images) > 0) > 0.6
    tall = squares(1, (600, 40))
    assert small(max_epochs=1).fit(*tall).image_shape_ == (256, 40, 3)


def test_pieces_of_an_image_stay_on_one_side(monkeypatch):
    images, masks = squares(6, (32, 32))
    images[:] = np.arange(6)[:, None, None, None] * 40
    seg = small(image_shape=(16, 16), early_stopping=True, validation_fraction=0.3, max_epochs=1)
    seen = {}
    train = ConvNetSegmenter._train

    def spy(self, dataset, *args, validation, **kwargs):
        seen["training"] = set(np.unique(dataset.X[:]))
        seen["validation"] = set(np.unique(validation.X[:]))
        return train(self, dataset, *args, validation=validation, **kwargs)

    monkeypatch.setattr(ConvNetSegmenter, "_train", spy)
    seg.fit(images, masks)
    assert seen["training"]
    assert seen["validation"]
    assert not seen["training"] & seen["validation"]
    seg.fit(images, masks, groups=[0, 0, 0, 1, 1, 1])
    assert seen["training"] in ({0, 40, 80}, {120, 160, 200})


def test_weights_go_with_the_pieces_of_their_images():
    images, masks = squares(4, (32, 32))
    masks[2:] = 2 - masks[2:]
    weight = [1, 1, 0, 0]
    seg = small(image_shape=(16, 16), max_epochs=8).fit(images, masks, sample_weight=weight)
    right, wrong = seg.score(images[:2], masks[:2]), seg.score(images[2:], masks[2:])
    assert right > 0.8 > 0.4 > wrong


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_validation_images_are_cut_as_those_of_training(data_format):
    (images, masks), (new, true) = squares(4, (32, 40)), squares(2, (50, 33))
    if data_format == "channels_first":
        images, new = np.moveaxis(images, -1, 1), np.moveaxis(new, -1, 1)
    seg = small(image_shape=(16, 20), data_format=data_format, max_epochs=1)
    seg.fit(images, masks, X_val=list(new), y_val=list(true))
    assert seg.image_shape_ == (16, 20, 3)
    assert seg.history_.valid_iou.notna().all()


@pytest.mark.parametrize("what", ["sample_weight", "groups"])
def test_values_of_other_images_are_refused_where_images_are_cut(what):
    rng = np.random.RandomState(0)
    images = [rng.randint(256, size=(40, side, 3), dtype=np.uint8) for side in (40, 48)]
    masks = [(image.mean(axis=2) > 127).astype(int) for image in images]
    seg = ConvNetSegmenter(UNet(ConvBlocks((4, 8))), image_shape=(16, 16), max_epochs=1)
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[2, 5\]"):
        seg.fit(images, masks, **{what: np.ones(5)})


def test_pieces_for_validation_are_named_as_such():
    large = np.zeros((1, 600, 40, 3), np.uint8)
    with pytest.raises(ValueError, match=r"y_val has label images of shape \(600, 39\)"):
        small().fit(X, MASKS, X_val=large, y_val=np.zeros((1, 600, 39), int))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rows = []
    for number, (image, mask) in enumerate(zip(X, MASKS)):
        paths = folder / f"{number}.png", folder / f"{number}_mask.png"
        Image.fromarray(image).save(paths[0])
        Image.fromarray(mask).save(paths[1])
        rows.append(tuple(map(str, paths)))
    return [list(paths) for paths in zip(*rows)]


def test_files_give_the_same_network_as_arrays(fitted, files):
    images, masks = files
    seg = small().fit(images, masks)
    np.testing.assert_array_equal(seg.predict(images), fitted.predict(X))
    assert seg.score(images, masks) == fitted.score(X, MASKS)
    assert small().fit(X, masks).score(X, masks) == fitted.score(X, MASKS)
    score = cross_val_score(small(), np.array(images), masks, scoring=mask_scorer("dice"), cv=2)
    assert (score > 0.8).all()


def test_files_are_resized_with_their_masks(files):
    images, masks = files
    seg = small(image_shape=(24, 32)).fit(images, masks, X_val=images[:4], y_val=masks[:4])
    assert seg.predict(images[:2]).shape == (2, 24, 32)
    assert seg.score(images, masks) > 0.8
    assert seg.history_.valid_iou.iloc[-1] > 0.8


def test_boxes_of_images_are_those_of_their_masks(files):
    paths, mask_paths = files
    half = SIDE // 2
    table = pd.DataFrame({"path": paths, "box_x": 0.5, "box_y": 0.0})
    table = table.assign(box_width=0.5, box_height=0.5)
    by_box = small().fit(table, mask_paths, X_val=table[:8], y_val=mask_paths[:8])
    parts, masks = X[:, :half, half:], MASKS[:, :half, half:]
    cut = small().fit(parts, masks, X_val=parts[:8], y_val=masks[:8])
    np.testing.assert_array_equal(by_box.predict_proba(table), cut.predict_proba(parts))
    assert by_box.history_["valid_loss"].equals(cut.history_["valid_loss"])
    expected = cut.score(parts, masks)
    assert by_box.score(table, mask_paths) == expected
    assert mask_scorer()(by_box, table, mask_paths) == expected
    # The last step of a pipeline gets other columns than the pipeline.
    columns = {"file": "path"}
    chosen = FunctionTransformer(
        lambda t: t.drop(columns=["camera", "note"]).rename(columns=columns)
    )
    pipeline = make_pipeline(chosen, by_box)
    noted = table.rename(columns={"path": "file"}).assign(camera="A7", note="foggy")
    assert mask_scorer()(pipeline, noted, mask_paths) == expected


def test_files_that_cannot_be_read_are_skipped(files, tmp_path):
    images, masks = files
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    seg = small(on_error="skip")
    with pytest.warns(UserWarning, match="Left out 1 of 25"):
        seg.fit([str(broken), *images], [masks[0], *masks])
    assert len(seg.skipped_) == 1
    with pytest.warns(UserWarning, match="have no result"):
        predicted = seg.predict([images[0], str(broken), images[1]])
    assert predicted[1] is None
    np.testing.assert_array_equal(predicted[2], seg.predict([images[1]])[0])
    with pytest.warns(UserWarning, match="have no result"):
        assert seg.score([str(broken), *images], [masks[0], *masks]) == seg.score(images, masks)


def test_a_score_names_label_files_that_cannot_be_read(fitted, tmp_path):
    lost = str(tmp_path / "lost.png")
    with pytest.raises(ValueError, match=r"(?s)1 of 1 file\(s\) of y .*row 0: .*does not exist"):
        fitted.score(X_NEW[:1], [lost])
    with pytest.raises(ValueError, match="y has 1 label images for 2 images"):
        fitted.score(X_NEW[:2], [lost])
