"""Draw the pictures of README.md into docs/images: python docs/draw_images.py."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split

from skcnn import ConvNetClassifier
from skcnn.datasets import make_organisms

IMAGES = Path(__file__).parent / "images"
SEED = 0


def main() -> None:
    """Fit a network to hard images of organisms, and draw what it makes of others."""
    X, y = make_organisms(
        n_samples=2_500, n_classes=8, image_size=40, difficulty=0.9, random_state=SEED
    )
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=SEED)
    clf = ConvNetClassifier(random_state=SEED).fit(X_train, y_train)
    print(f"test accuracy {clf.score(X_test, y_test):.3f}")

    # The least sure ones among the first, and one of each organism that it knows well.
    probability = clf.predict_proba(X_test[:200])
    unsure = np.argsort(probability.max(axis=1))[[0, 8, 16, 24]]
    known = [np.argmax(probability[:, label]) for label in clf.classes_]
    figure, axes = plt.subplots(2, 6, figsize=(9, 3.4), layout="constrained")
    for axis, pick in zip(axes.flat, [*known, *unsure]):
        guess = probability[pick].argmax()
        right = guess == y_test[pick]
        axis.imshow(X_test[pick])
        axis.set_title(
            f"species {guess + 1}: {probability[pick].max():.0%}",
            fontsize=9,
            color="tab:green" if right else "tab:red",
        )
        axis.set_xlabel("" if right else f"really: species {y_test[pick] + 1}", fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
    IMAGES.mkdir(exist_ok=True)
    figure.savefig(IMAGES / "predictions.webp", dpi=100, pil_kwargs={"quality": 85})
    plt.close(figure)


if __name__ == "__main__":
    main()
