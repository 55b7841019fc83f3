"""
Mistakes
========

Which images does a network get wrong, which classes does it confuse, and how certain is it?
"""

# %%
import numpy as np
from sklearn.model_selection import train_test_split

from skcnn import ConvNetClassifier
from skcnn.datasets import make_organisms
from skcnn.inspection import ConfusionDisplay, ProbabilitiesDisplay, TopLossesDisplay

X, y = make_organisms(n_samples=1_200, n_classes=8, image_size=24, difficulty=0.9, random_state=0)
y = np.array([f"species {number}" for number in range(1, 9)])[y]
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
clf = ConvNetClassifier(filters=(16, 32, 64), random_state=0).fit(X_train, y_train)

# %%
# **The worst mistakes**: images whose actual class got the lowest probability. Wrong labels appear
# here, too.
TopLossesDisplay.from_estimator(clf, X_test, y_test, max_images=10)

# %%
# **Which classes are confused.** Classes that are often confused are next to each other.
display = ConfusionDisplay.from_estimator(clf, X_test, y_test)

# %%
# The same as a table:
print(display.pairs.head())

# %%
# **How certain it is.** The probabilities of all classes. A diamond marks the actual class.
ProbabilitiesDisplay.from_estimator(clf, X_test, y_test, max_images=4)
