"""imbalanced-learn samples rows of images, paths and flattened images."""

import numpy as np
import pandas as pd
from _ecosystem import needs, run_example
from _helpers import small_net, stripes
from _image_files import write_images

needs("imblearn")


def test_each_class_comes_as_often():
    names = run_example("from imblearn.over_sampling import RandomOverSampler")
    rows, y = names["rows"], names["y"]
    assert len(np.unique(np.bincount(y[rows]))) == 1
    assert set(rows) == set(names["few"])
    assert names["clf"].score(names["X_test"], names["y_test"]) > 0.8


def test_paths_are_sampled_and_flattened_images_in_a_pipeline(tmp_path):
    from imblearn.over_sampling import RandomOverSampler
    from imblearn.pipeline import make_pipeline

    X, y = stripes(90)
    few = np.flatnonzero((y != 2) | (np.arange(90) % 4 == 0))
    paths = pd.DataFrame({"path": [str(path) for path in write_images(tmp_path, X)]})
    sampler = RandomOverSampler(random_state=0)
    sampled, labels = sampler.fit_resample(paths.iloc[few], y[few])
    assert len(np.unique(np.bincount(labels))) == 1
    by_path = small_net().fit(sampled, labels)
    flat = X.reshape(len(X), -1)
    pipeline = make_pipeline(sampler, small_net()).fit(flat[few], y[few])
    np.testing.assert_array_equal(by_path.predict(paths), pipeline.predict(flat))
