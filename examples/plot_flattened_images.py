"""
Images in tables
================

Images in a CSV file or a DataFrame are often flattened: one row of numbers per image. The network
reads these, too, and gives the same predictions.
"""

# %%
# The handwritten digits of scikit-learn are 8 x 8 pixels, 64 columns of a table.
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skcnn import ConvNetClassifier
from skcnn.inspection import TopLossesDisplay

digits = load_digits()
table = pd.DataFrame(digits.data, columns=digits.feature_names)
print(table.iloc[:3, 18:24])

# %%
# Rows with a square number of values are read as square gray images. For other shapes, set
# `image_shape`.
X_train, X_test, y_train, y_test = train_test_split(table, digits.target, random_state=0)
clf = ConvNetClassifier(filters=(16, 32), random_state=0).fit(X_train, y_train)
print("read as", clf.image_shape_, "- accuracy", round(clf.score(X_test, y_test), 3))

# %%
# As an array (n, height, width), the same images get the same probabilities, bit for bit.
images = X_test.to_numpy().reshape(-1, 8, 8)
same = clf.predict_proba(images) == clf.predict_proba(X_test)
print(np.all(same))

# %%
# The digits on which the network is most wrong:
TopLossesDisplay.from_estimator(clf, images, y_test, max_images=10)
