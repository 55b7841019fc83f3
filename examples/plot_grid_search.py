"""
Cross-validation and grid search
================================

A network is a step of a pipeline like any other, and its parameters can be searched.
"""

# %%
# Does color help to tell these organisms apart? How many filters are enough? A step before the
# network removes the color, or does not.
import pandas as pd
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from skcnn import ConvNetClassifier
from skcnn.datasets import make_organisms
from skcnn.inspection import ImageGridDisplay

X, y = make_organisms(n_samples=450, n_classes=3, image_size=16, difficulty=0.7, random_state=0)


def to_gray(images):
    """Average the channels of each pixel."""
    return images.mean(axis=-1).astype("uint8")


ImageGridDisplay([*X[:5].mean(axis=-1)], y[:5]).plot()

# %%
# One score for each of three folds:
model = Pipeline(
    [
        ("pixels", FunctionTransformer()),
        ("network", ConvNetClassifier(filters=(8, 16), max_epochs=8, random_state=0)),
    ]
)
print(cross_val_score(model, X, y, cv=3).round(2))

# %%
# `sklearn.model_selection.GridSearchCV` tries all combinations. With a fixed `random_state`,
# candidates differ by their parameters alone.
grid = {
    "pixels__func": [None, to_gray],
    "network__filters": [(8, 16), (16, 32)],
}
search = GridSearchCV(model, grid, cv=3).fit(X, y)
results = pd.DataFrame(
    {
        "images": ["gray" if f else "color" for f in search.cv_results_["param_pixels__func"]],
        "filters": search.cv_results_["param_network__filters"],
        "accuracy": search.cv_results_["mean_test_score"].round(3),
        "std": search.cv_results_["std_test_score"].round(3),
    }
)
print(results.sort_values("accuracy", ascending=False).to_string(index=False))
