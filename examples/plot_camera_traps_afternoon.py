"""
An afternoon with camera traps
==============================

From folders of photographs and a table of what is in them to a network, what it is worth at a new
site, the photographs to check by eye, and a table to hand on.
"""

# %%
# **The photographs.** Ten sites, a folder for each, and a table with a row per photograph, as a
# colleague keeps it. Site 10 is new: nobody has looked at it yet. One file is damaged, and one is
# not there. All of this is drawn here: set ``project`` to a folder of your own, and leave the rest
# of this block out.
import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image
from scipy.ndimage import zoom

from skcnn import ConvNetClassifier
from skcnn.datasets import group_by_time, load_image_table, make_organisms
from skcnn.inspection import ConfusionDisplay, ImageGridDisplay
from skcnn.uncertainty import ReviewDisplay, bootstrap_interval, review_threshold

folder = tempfile.TemporaryDirectory()
project = Path(folder.name)
SPECIES = np.array(["beetle", "moth", "snail", "spider"])
N_SITES, PER_SITE, SIZE = 10, 100, 32
rng = np.random.default_rng(0)
drawn, kinds = make_organisms(
    N_SITES * PER_SITE, n_classes=4, image_size=SIZE, difficulty=0.7, random_state=0
)
rows = []
for site in range(1, N_SITES + 1):
    (project / f"site {site}").mkdir()
    # The light of a site, and what grows there.
    light = rng.uniform(0.6, 1.15, 3)
    plants = zoom(rng.uniform(0.7, 1.15, (5, 5)), SIZE / 5, order=1)[..., None]
    clock = pd.Timestamp("2026-05-01 06:00")
    for number in range(PER_SITE):
        # An animal comes every hour, and is photographed once or several times.
        again = number > 0 and rng.random() < 0.35
        clock += pd.Timedelta(2 if again else 3600, unit="s")
        if not again:
            row = (site - 1) * PER_SITE + number
        moved = np.roll(drawn[row], rng.integers(-2, 3, 2), axis=(0, 1))
        pixels = moved * light * plants + rng.normal(0, 5, moved.shape)
        path = f"site {site}/IMG_{number:04}.jpg"
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(project / path, quality=90)
        label = SPECIES[kinds[row]] if site < N_SITES else None
        rows.append({"path": path, "site": f"site {site}", "time": clock, "species": label})
pd.DataFrame(rows).to_csv(project / "photographs.csv", index=False)
damaged = project / "site 1" / "IMG_0040.jpg"
damaged.write_bytes(damaged.read_bytes()[:300])
(project / "site 2" / "IMG_0007.jpg").unlink()

# %%
# **Load them, and read the report.** It names files that are damaged or not there before anything
# is trained. ``keep=["unclassified"]`` keeps the photographs that nobody has looked at.
photos = load_image_table(
    project / "photographs.csv",
    label="species",
    group="site",
    time="time",
    missing="report",
    keep=["unclassified"],
)
print(photos.report)

# %%
# Photographs of a burst show the same animal, seconds apart: there are fewer animals than files.
print(group_by_time(photos.frame, gap="60s").nunique(), "bursts of", len(photos.frame), "files")

# %%
# **Parts, by site.** The network learns from sites 1 to 5. Sites 6 and 7 say how sure it has to
# be, sites 8 and 9 what its answers are worth at a site that it has not seen.
X, y, site = photos.data, photos.target, photos.groups
learn = np.isin(site, [f"site {number}" for number in range(1, 6)])
choose, test = np.isin(site, ["site 6", "site 7"]), np.isin(site, ["site 8", "site 9"])
new = site == "site 10"
some = np.flatnonzero(learn & (np.arange(len(X)) != 40))[::40][:12]
display = ImageGridDisplay(X[some], [f"{y[row]}, {site[row]}" for row in some]).plot(n_columns=6)

# %%
# **Train.** ``on_error="skip"`` leaves out the damaged file. ``skipped_`` lists it, as the warning
# does that is switched off here.
warnings.filterwarnings("ignore", "Left out 1 of")
clf = ConvNetClassifier(filters=(16, 32, 64), max_epochs=30, on_error="skip", random_state=0)
clf.fit(X[learn], y[learn])
print(clf.skipped_[["row", "reason"]].to_string(index=False))

# %%
# **What is it worth at a new site?** The interval holds for photographs of these two sites. With
# more test sites, ``groups=`` makes one for new sites, which is wider. The drawings are as hard to
# tell apart as an example needs: this accuracy says nothing about photographs of your own.
interval = bootstrap_interval(y[test], clf.predict(X[test]), random_state=0)
print(f"accuracy {interval.estimate:.2f}, from {interval.low:.2f} to {interval.high:.2f}")
display = ConfusionDisplay.from_estimator(clf, X[test], y[test])

# %%
# **"I do not know."** How sure does the network have to be, for at most one in ten of the accepted
# answers to be wrong? Fewer accepted answers mean more photographs to check by eye.
proba = clf.predict_proba(X[choose])
threshold = review_threshold(y[choose], proba, classes=clf.classes_, error=0.1)
display = ReviewDisplay.from_predictions(y[choose], proba, classes=clf.classes_)
display.ax_.axvline(threshold, color="0.4", linestyle=":")
display.ax_.set_title(f"Accept from a probability of {threshold:.2f}")

# %%
# **The new site.** Each photograph gets an answer, or none where the network is not sure enough.
proba = clf.predict_proba(X[new])
table = photos.frame.loc[new, ["path", "group", "time"]].reset_index(drop=True)
table["path"] = [Path(path).relative_to(project).as_posix() for path in table["path"]]
table["prediction"] = clf.classes_[proba.argmax(axis=1)]
table["probability"] = proba.max(axis=1).round(2)
table["check"] = np.where(table["probability"] < threshold, "by eye", "")
print((table["check"] == "").sum(), "accepted,", (table["check"] != "").sum(), "to check by eye")

# %%
# **To check by eye**, the least sure ones first:
order = table[table["check"] != ""].sort_values("probability").index[:12]
names = [f"{table.loc[row, 'prediction']}? {table.loc[row, 'probability']:.0%}" for row in order]
display = ImageGridDisplay(X[new][order], names).plot(n_columns=6)

# %%
# **To hand on**: a table that a spreadsheet or R reads.
# :func:`~skcnn.datasets.write_predictions` writes such tables for Timelapse and Camtrap DP, and
# :func:`~skcnn.save` the network.
table.to_csv(project / "site 10.csv", index=False)
print(table.drop(columns="group").head().to_string(index=False))

# %%
# How often was each species there? Only accepted answers are counted, and a burst once. What is
# difficult to tell is rare among them: add what you have checked by eye before you compare.
table["burst"] = group_by_time(table, site="group", time="time", gap="60s").to_numpy()
visits = table[table["check"] == ""].groupby("prediction")["burst"].nunique()
figure, ax = plt.subplots(figsize=(5, 2.4), layout="constrained")
bars = ax.barh(visits.index, visits, color="C0")
ax.bar_label(bars, padding=3)
ax.set_xticks([])
ax.set_xlabel("bursts with an accepted answer, site 10")
ax.spines[["top", "right", "bottom"]].set_visible(False)
ax.invert_yaxis()
