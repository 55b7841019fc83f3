"""Masks: how well a U-Net names pixels, with full masks and with few labels, and what tiles cost.

    python benchmarks/masks.py [classes] [tiles] [memory] [steps] [--seeds N] [--no-store]

Generated images of 96x96 pixels with organisms of three kinds on clutter, whose masks are known:
150 to train on and 50 to test on, new ones for each seed. Beside the U-Net stands a random forest
on scikit-image's features of pixels. Results go to results/masks_<job>.json. Takes about ten
minutes on one core.
"""

import argparse
import re
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch
from reporting import conditions, spread, store
from sklearn.ensemble import RandomForestClassifier

from skcnn import ConvNetSegmenter
from skcnn.datasets import make_scenes
from skcnn.masks import iou_score
from skcnn.networks import ConvBlocks, UNet

N_TRAINING, N_TEST = 150, 50
# Pixels of the training images that the forest learns from.
N_PIXELS = 50_000
SCRIBBLED = 0.02
NO_LABEL = 255
N_TURNS = 5


def scenes(seed, n_samples=N_TRAINING + N_TEST, image_size=96, count=(2, 12)):
    """Images with organisms of three kinds on the strongest clutter there is."""
    return make_scenes(
        n_samples,
        image_size=image_size,
        count=count,
        length=(14, 30),
        difficulty=1.0,
        random_state=seed,
    )


def pixel_features(images):
    """Intensity, edges and texture around each pixel, at five scales."""
    from skimage.feature import multiscale_basic_features

    features = [
        multiscale_basic_features(image, channel_axis=-1, sigma_min=1, sigma_max=16)
        for image in images
    ]
    return np.stack(features).astype(np.float32)


def forest(X, masks, X_test, seed):
    """Predict masks by a random forest on features of pixels."""
    rng = np.random.RandomState(seed)
    chosen = rng.choice(masks.size, N_PIXELS, replace=False)
    features = pixel_features(X)
    n_features = features.shape[-1]
    # As many trees as in scikit-image's example of a trainable segmentation, but grown in full.
    model = RandomForestClassifier(n_estimators=50, random_state=seed)
    model.fit(features.reshape(-1, n_features)[chosen], masks.ravel()[chosen])
    predicted = model.predict(pixel_features(X_test).reshape(-1, n_features))
    return predicted.reshape(len(X_test), *masks.shape[1:])


def classes(seed):
    """Mean IoU of the background and three kinds."""
    found = scenes(seed)
    X, X_test = found.data[:N_TRAINING], found.data[N_TRAINING:]
    masks, true = found.masks[:N_TRAINING], found.masks[N_TRAINING:]
    start = time.perf_counter()
    seg = ConvNetSegmenter(random_state=seed).fit(X, masks)
    seconds = time.perf_counter() - start
    strokes = np.random.RandomState(seed).random_sample(masks.shape) < SCRIBBLED
    few = ConvNetSegmenter(ignore_label=NO_LABEL, random_state=seed)
    few.fit(X, np.where(strokes, masks, NO_LABEL))
    scores = {
        "U-Net": iou_score(true, seg.predict(X_test)),
        "U-Net, 2% of the pixels labeled": iou_score(true, few.predict(X_test)),
        "random forest": iou_score(true, forest(X, masks, X_test, seed)),
    }
    lost = scores["U-Net"] - scores["U-Net, 2% of the pixels labeled"]
    return seg, {**scores, "lost by labelling 2%": lost, "seconds to train": seconds}


def tiles(seed):
    """An image of 1,000x1,300 pixels as a whole and in tiles, in turns; CPU times."""
    small = scenes(seed, 40)
    seg = ConvNetSegmenter(max_epochs=3, random_state=seed).fit(small.data, small.masks)
    large = scenes(seed + 50, 1, image_size=1300, count=(300, 300)).data[:, :1000]
    times = {None: [], "auto": []}
    outputs = {}
    for _ in range(3):
        for tile_size in times:
            start = time.process_time()
            outputs[tile_size] = seg.predict_proba(large, tile_size=tile_size)
            times[tile_size].append(time.process_time() - start)
    whole, tiled = (np.array(times[key]) for key in times)
    return seg, {
        "largest difference of a probability": np.abs(outputs[None] - outputs["auto"]).max(),
        "time in tiles / time as a whole": float(np.median(tiled / whole)),
        "seconds as a whole": float(np.median(whole)),
    }


def steps(seed):
    """An epoch of fit, and of a plain loop with the same network and loss; CPU times."""
    found = scenes(seed, 96)
    options = {"optimizer": "sgd", "augment": None, "lr_schedule": None, "lr": 0.01}
    seg = ConvNetSegmenter(**options, weight_decay=0, max_epochs=1, random_state=seed)
    seg.set_params(warm_start=True).fit(found.data, found.masks)
    network, target = seg.module_, seg._target
    codes = torch.from_numpy(target.encode(found.masks))
    images, device = torch.from_numpy(found.data), seg.device_
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.01, momentum=0.9, nesterov=True, fused=True
    )
    dtype = getattr(torch, seg.net_.precision)
    ratios = []
    for _ in range(N_TURNS):
        start = time.process_time()
        seg.fit(found.data, found.masks)
        ours = time.process_time() - start
        network.train()
        start = time.process_time()
        for rows in torch.randperm(len(images)).split(seg.batch_size):
            batch, labels = images[rows].to(device), codes[rows].to(device)
            optimizer.zero_grad()
            with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
                logits = network(batch)
            target.loss(logits.float(), labels, training=True).mean().backward()
            optimizer.step()
        ratios.append(ours / (time.process_time() - start))
    return seg, {"time of fit / time of a plain loop": float(np.median(ratios))}


def memory(seed):
    """Memory that predicting a memory map takes beside its result, for two sizes of the image."""
    small = scenes(seed, 20)
    seg = ConvNetSegmenter(
        UNet(ConvBlocks((8, 16), convs_per_block=1)), max_epochs=1, random_state=seed
    )
    seg.fit(small.data, small.masks)
    taken, start = {}, PeakMemory.now()
    with tempfile.TemporaryDirectory() as folder:
        for side in (2_000, 10_000):
            image = np.lib.format.open_memmap(
                f"{folder}/{side}.npy", "w+", np.uint8, (1, side, side, 3)
            )
            strip = np.tile(small.data[0], (1, side // 96 + 1, 1))[:, :side]
            for top in range(0, side, 96):
                image[0, top : top + 96] = strip[: side - top]
            image.flush()
            mapped = np.load(f"{folder}/{side}.npy", mmap_mode="r")
            with PeakMemory() as peak:
                result = seg.predict(mapped)
            taken[side] = (peak.bytes - start - result.nbytes) / 2**20
    return seg, {
        "MiB for 2,000x2,000 pixels": taken[2_000],
        "MiB for 10,000x10,000 pixels": taken[10_000],
    }


class PeakMemory:
    """The most memory of this process that no file is behind."""

    def __enter__(self):
        self.bytes = self.now()
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.stopped.set()
        self.thread.join()

    def _watch(self):
        while not self.stopped.wait(0.01):
            self.bytes = max(self.bytes, self.now())

    @staticmethod
    def now():
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return 1024 * int(re.search(r"RssAnon:\s+(\d+)", status)[1])


JOBS = {"classes": classes, "tiles": tiles, "memory": memory, "steps": steps}


def main():
    """Run the jobs, each over several seeds."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("jobs", nargs="*", default=[], help=", ".join(JOBS))
    arguments.add_argument("--seeds", type=int, default=2)
    arguments.add_argument("--no-store", action="store_true", help="only print")
    options = arguments.parse_args()
    for name in options.jobs or JOBS:
        runs = []
        for seed in range(options.seeds):
            seg, figures = JOBS[name](seed)
            runs.append(figures)
            print(name, seed, {key: float(f"{value:.3g}") for key, value in figures.items()})
            result = {
                "figures": {key: spread([run[key] for run in runs]) for key in runs[0]},
                **conditions(seg),
            }
            if not options.no_store:
                store(f"masks_{name}", result)


if __name__ == "__main__":
    main()
