"""Write docs/inventories: the addresses of the pages of other projects that are linked to.

    python docs/make_inventories.py

Without them, Sphinx downloads a list of all names of these projects for every build. These hold
only the names that are linked to, so that the documentation can be built offline and always looks
the same. If a link to a name is missing, add the name here.
"""

import zlib
from pathlib import Path

FOLDER = Path(__file__).parent / "inventories"

_SKLEARN = "modules/generated/{name}.html"
_NUMPY = "reference/generated/{name}.html"
_PANDAS = "reference/api/{name}.html"
_TORCH = "generated/{name}.html"

# The address of each project, and of each of its names: (name, kind, page).
PROJECTS = {
    "scikit-learn": (
        "https://scikit-learn.org/stable/",
        [
            *(
                (name, "class", _SKLEARN)
                for name in (
                    "sklearn.base.BaseEstimator",
                    "sklearn.base.ClassifierMixin",
                    "sklearn.decomposition.PCA",
                    "sklearn.frozen.FrozenEstimator",
                    "sklearn.linear_model.LogisticRegression",
                    "sklearn.manifold.TSNE",
                    "sklearn.metrics.ConfusionMatrixDisplay",
                    "sklearn.model_selection.GridSearchCV",
                    "sklearn.model_selection.RandomizedSearchCV",
                    "sklearn.model_selection.HalvingGridSearchCV",
                    "sklearn.model_selection.HalvingRandomSearchCV",
                    "sklearn.pipeline.Pipeline",
                    "sklearn.preprocessing.FunctionTransformer",
                    "sklearn.preprocessing.StandardScaler",
                    "sklearn.utils.Bunch",
                )
            ),
            *(
                (name, "function", _SKLEARN)
                for name in (
                    "sklearn.base.clone",
                    "sklearn.datasets.load_digits",
                    "sklearn.datasets.load_sample_image",
                    "sklearn.metrics.classification_report",
                    "sklearn.metrics.confusion_matrix",
                    "sklearn.model_selection.cross_val_score",
                    "sklearn.model_selection.train_test_split",
                    "sklearn.pipeline.make_pipeline",
                )
            ),
        ],
    ),
    "torch": (
        "https://docs.pytorch.org/docs/stable/",
        [
            ("torch.nn.Module", "class", _TORCH),
            ("torch.Generator", "class", _TORCH),
            ("torch.Tensor", "class", "tensors.html"),
            ("torch.device", "class", "tensor_attributes.html"),
            ("torch.optim.Optimizer", "class", "optim.html"),
            ("torch.tensor", "function", _TORCH),
            ("torch.compile", "function", _TORCH),
            ("torch.from_numpy", "function", _TORCH),
            ("torch.nn.functional.conv2d", "function", _TORCH),
            ("torch.nn.functional.max_pool2d", "function", _TORCH),
        ],
    ),
    "skorch": (
        "https://skorch.readthedocs.io/en/stable/",
        [
            ("skorch.classifier.NeuralNetClassifier", "class", "classifier.html"),
            ("skorch.NeuralNetClassifier", "class", "classifier.html"),
            ("skorch.callbacks", "module", "callbacks.html"),
        ],
    ),
    "numpy": (
        "https://numpy.org/doc/stable/",
        [
            ("numpy.ndarray", "class", _NUMPY),
            ("numpy.empty", "function", _NUMPY),
            ("numpy.einsum", "function", _NUMPY),
            ("numpy.random.RandomState", "class", "reference/random/legacy.html"),
            ("numpy.random.default_rng", "function", "reference/random/generator.html"),
        ],
    ),
    "pandas": (
        "https://pandas.pydata.org/docs/",
        [("pandas.DataFrame", "class", _PANDAS), ("pandas.Series", "class", _PANDAS)],
    ),
    "matplotlib": (
        "https://matplotlib.org/stable/",
        [
            ("matplotlib.axes.Axes", "class", "api/_as_gen/{name}.html"),
            ("matplotlib.figure.Figure", "class", "api/_as_gen/{name}.html"),
        ],
    ),
}


def main() -> None:
    """Write an inventory, and the address that it is relative to, for each project."""
    FOLDER.mkdir(exist_ok=True)
    for project, (address, names) in PROJECTS.items():
        head = f"# Sphinx inventory version 2\n# Project: {project}\n# Version: stable\n"
        head += "# The remainder of this file is compressed using zlib.\n"
        rows = [f"{name} py:{kind} 1 {page.format(name=name)}#$ -\n" for name, kind, page in names]
        body = zlib.compress("".join(rows).encode(), 9)
        (FOLDER / f"{project}.inv").write_bytes(head.encode() + body)
        (FOLDER / f"{project}.url").write_text(address + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
