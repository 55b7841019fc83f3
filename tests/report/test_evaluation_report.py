"""skcnn.report: that its figures are right, and the page complete, safe and self-contained."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from _image_files import write_images
from scipy.stats import norm
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import (
    classification_report,
    mean_absolute_error,
    r2_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import skcnn
from skcnn import ConvNetClassifier, ConvNetMultiTask, ConvNetRegressor, ConvNetSegmenter
from skcnn._report._figures import as_svg
from skcnn.networks import ConvBlocks, UNet
from skcnn.uncertainty import bootstrap_interval, calibration_table

_VOID = {"meta", "img", "br", "link", "hr", "input"}


class _Page(HTMLParser):
    """Reads a page, and notes its text, elements and what is not closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.unbalanced, self.elements, self.words = [], [], [], []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        self.words.append(data)


def _wilson(k, n, level=0.95):
    """The interval as Wilson wrote it."""
    z, p = norm.ppf(0.5 + level / 2), k / n
    center = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return center - half, center + half


@pytest.fixture(scope="module")
def made(classified, images, labels):
    return skcnn.report(classified, images[30:], labels[30:])


@pytest.fixture(scope="module")
def page(made):
    return _Page(made.html)


def test_the_accuracy_is_that_of_score_with_the_interval_of_wilson(
    classified, images, labels, made, page
):
    accuracy = classified.score(images[30:], labels[30:])
    assert 0 < accuracy < 1
    low, high = _wilson(round(30 * accuracy), 30)
    np.testing.assert_allclose(made.score, (accuracy, low, high))
    assert f"{accuracy:.1%}" in page.text
    assert f"95% interval {100 * low:.1f}–{high:.1%}" in page.text
    assert repr(made) == f"EvaluationReport(accuracy {accuracy:.3g}, from {low:.3g} to {high:.3g})"


def test_level_sets_the_interval(classified, images, labels, made):
    narrow = skcnn.report(classified, images[30:], labels[30:], level=0.5)
    np.testing.assert_allclose(narrow.score[1:], _wilson(round(30 * made.score[0]), 30, 0.5))
    assert "50% interval" in _Page(narrow.html).text


def test_classes_are_those_of_scikit_learn_the_hardest_first(
    classified, images, labels, made, page
):
    expected = classification_report(
        labels[30:], classified.predict(images[30:]), output_dict=True, zero_division=np.nan
    )
    assert made.per_class["f1"].is_monotonic_increasing
    for label, row in made.per_class.iterrows():
        found = row[["precision", "recall", "f1", "images"]].tolist()
        names = ("precision", "recall", "f1-score", "support")
        np.testing.assert_allclose(found, [expected[label][name] for name in names])
        low, high = _wilson(round(row["recall"] * row["images"]), row["images"])
        np.testing.assert_allclose(row[["recall_low", "recall_high"]].tolist(), (low, high))
        assert re.search(rf"{label} {row['images']:.0f} {row['f1']:.0%}", page.text)


def test_mistakes_are_the_wrong_predictions_the_most_confident_first(
    classified, images, labels, made
):
    proba = classified.predict_proba(images[30:])
    wrong = np.flatnonzero(classified.predict(images[30:]) != labels[30:])
    assert len(wrong) >= 3
    assert sorted(made.mistakes["row"]) == wrong.tolist()
    assert made.mistakes["probability"].is_monotonic_decreasing
    rows = made.mistakes["row"].to_numpy()
    np.testing.assert_allclose(made.mistakes["probability"], proba[rows].max(axis=1))
    assert made.mistakes["actual"].tolist() == labels[30:][rows].tolist()


def test_max_images_limits_the_images(classified, images, labels):
    n_images = {}
    for limit in (0, 2):
        html = skcnn.report(classified, images[30:], labels[30:], max_images=limit).html
        n_images[limit] = sum(tag == "img" for tag, _ in _Page(html).elements)
    right = classified.predict(images[30:]) == labels[30:]
    n_right = min(2, len(set(labels[30:][right])))
    # Two mistakes, and up to two right ones, each with its map.
    assert n_images == {0: 0, 2: 2 * (2 + n_right)}


def test_the_page_has_every_section(page, classified, images, labels):
    titles = [element[1]["id"] for element in page.elements if element[0] == "section"]
    assert titles == [
        *("data", "classes", "confusion", "calibration", "mistakes", "maps", "files"),
        *("network", "versions"),
    ]
    links = [attrs["href"] for tag, attrs in page.elements if tag == "a"]
    assert links == [f"#{title}" for title in titles]
    proba = classified.predict_proba(images[30:])
    table = calibration_table(labels[30:], proba, classes=classified.classes_, n_bins=10)
    for line in table.itertuples():
        shown = f"{line.low:.0%} to {line.high:.0%} {line.images} {line.probability:.0%}"
        assert shown in page.text
    assert f"{classified.summary().n_parameters:,}" in page.text
    assert "max_epochs=2" in page.text
    assert skcnn.__version__ in page.text


def test_the_page_needs_nothing_from_elsewhere(made, page):
    assert page.unbalanced == []
    assert page.open == []
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed"}
    for _, attrs in page.elements:
        for name in ("src", "href", "xlink:href", "srcset"):
            assert (attrs.get(name) or "#").startswith(("#", "data:image/"))
    # No address but the names of the vocabularies of SVG.
    addresses = set(re.findall(r"https?://[^\s\"'<>]+", made.html))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "default-src 'none'" in made.html


def test_identifiers_are_unique_and_lead_somewhere(made, page):
    names = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(names) == len(set(names))
    used = re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)\"", made.html)
    assert {a or b for a, b in used} <= set(names)


def test_every_picture_says_what_it_shows(page):
    pictures = [attrs for tag, attrs in page.elements if tag == "img"]
    drawings = [attrs for tag, attrs in page.elements if tag == "svg"]
    assert len(pictures) >= 8
    assert len(drawings) == 3
    assert all(attrs["alt"] for attrs in pictures)
    assert all(attrs["aria-label"] for attrs in drawings)


def test_labels_and_titles_are_text_whatever_is_in_them(images):
    names = np.array(['<img src="x">', "$\\frac{", "fox & hare"])[np.arange(60) % 3]
    clf = ConvNetClassifier(filters=(4,), max_epochs=1, random_state=0).fit(images, names)
    html = skcnn.report(clf, images, names, title="<script>alert(1)</script>").html
    found = _Page(html)
    assert found.unbalanced == []
    assert "script" not in {tag for tag, _ in found.elements}
    assert all((attrs.get("src") or "data:").startswith("data:") for _, attrs in found.elements)
    for name in (*names[:3], "<script>alert(1)</script>"):
        assert name in found.text
    assert r"\$" not in found.text


def test_groups_widen_the_interval_to_that_of_sites(classified, images, labels):
    sites = np.arange(30) // 3
    found = skcnn.report(classified, images[30:], labels[30:], groups=sites)
    guess = classified.predict(images[30:])
    expected = bootstrap_interval(labels[30:], guess, groups=sites, random_state=0)
    np.testing.assert_allclose(found.score, expected)
    text = _Page(found.html).text
    assert "10 sites" in text
    assert "at 10 sites" in text


def test_with_few_groups_the_interval_is_the_wider_one(classified, images, labels, made):
    sites = np.arange(30) % 2
    found = skcnn.report(classified, images[30:], labels[30:], groups=sites)
    guess = classified.predict(images[30:])
    narrow = bootstrap_interval(labels[30:], guess, groups=sites, random_state=0)
    assert found.score.low == min(narrow.low, made.score.low)
    assert found.score.high == max(narrow.high, made.score.high)
    assert "2 sites are too few" in _Page(found.html).text


def test_one_group_is_like_none(classified, images, labels, made):
    found = skcnn.report(classified, images[30:], labels[30:], groups=["north"] * 30)
    assert found.score == made.score


def test_labels_that_the_network_does_not_know_are_mistakes(classified, images, labels):
    y = labels[30:].astype(object)
    y[:5] = "unheard of"
    found = skcnn.report(classified, images[30:], y)
    guess = classified.predict(images[30:])
    assert found.score.estimate == np.mean(guess == y)
    assert found.per_class.loc["unheard of", "recall"] == 0
    assert "5 images have labels that the network was not trained on" in _Page(found.html).text


def test_a_class_without_images_has_no_recall(classified, images, labels):
    some = labels[30:] != "down"
    found = skcnn.report(classified, images[30:][some], labels[30:][some])
    assert np.isnan(found.per_class.loc["down", "recall"])
    assert found.per_class.loc["down", "images"] == 0


def test_without_mistakes_the_page_says_so(classified, images, labels):
    right = classified.predict(images)
    found = skcnn.report(classified, images, right)
    assert found.score.estimate == found.score.high == 1
    assert found.score.low > 0.9
    assert len(found.mistakes) == 0
    assert "every image got its label" in _Page(found.html).text


def test_a_network_that_is_always_wrong(classified, images, labels):
    wrong = np.where(classified.predict(images) == "across", "down", "across")
    found = skcnn.report(classified, images, wrong)
    assert found.score.estimate == found.score.low == 0
    assert "maps" not in {a.get("id") for _, a in _Page(found.html).elements}


def test_files_that_cannot_be_read_are_listed_with_the_reason(images, labels, tmp_path):
    paths = write_images(tmp_path / "photos", images[:20].repeat(16, 1).repeat(20, 2))
    (tmp_path / "photos" / "broken.jpg").write_text("no image")
    paths = np.array([*paths[:3], str(tmp_path / "photos" / "broken.jpg"), *paths[3:]])
    y = np.array([*labels[:3], "down", *labels[3:20]])
    clf = ConvNetClassifier(
        filters=(4,), max_epochs=2, image_shape=(8, 8), on_error="skip", random_state=0
    )
    with pytest.warns(UserWarning, match="Left out 1 of 21"):
        clf.fit(paths, y)
    found = skcnn.report(clf, paths, y)
    known = np.arange(21) != 3
    assert found.score.estimate == np.mean(clf.predict(paths[known]) == y[known])
    assert found.skipped[["row", "path"]].values.tolist() == [[3, paths[3]]]
    assert set(found.mistakes["row"]) <= set(np.flatnonzero(known))
    text = _Page(found.html).text
    assert text.count("broken.jpg is not an image in a format that Pillow can read") == 2
    assert "20 images; 1 more could not be read" in text
    # Photographs keep their proportions.
    sizes = {
        (attrs["width"], attrs["height"])
        for tag, attrs in _Page(found.html).elements
        if tag == "img"
    }
    assert sizes == {("160", "128")}
    with pytest.raises(ValueError, match=r"broken\.jpg is not an image"):
        skcnn.report(clf.set_params(on_error="raise"), paths, y)
    with pytest.raises(ValueError, match="None of the 1 images can be read"):
        skcnn.report(clf.set_params(on_error="skip"), paths[3:4], y[3:4])


@pytest.mark.parametrize(
    ("resize", "size"),
    [("pad", ("160", "128")), ("stretch", ("160", "128")), ("crop", ("8", "8"))],
)
def test_files_that_are_cut_are_shown_as_the_network_sees_them(
    resize, size, images, labels, tmp_path
):
    paths = write_images(tmp_path, images[:12].repeat(16, 1).repeat(20, 2))
    clf = ConvNetClassifier(
        filters=(4,), max_epochs=1, image_shape=(8, 8), resize=resize, random_state=0
    )
    found = _Page(skcnn.report(clf.fit(paths, labels[:12]), paths, labels[:12]).html)
    sizes = {(a["width"], a["height"]) for tag, a in found.elements if tag == "img"}
    assert sizes == {("8", "8") if resize == "crop" else ("160", "128")}


@pytest.mark.parametrize("form", ["gray", "float", "table"])
def test_other_forms_of_images(form, images, labels, tmp_path):
    X, resize = images, {}
    if form == "gray":
        X = images.mean(axis=3).astype(np.uint8)
    elif form == "float":
        X = images / 255 - 0.5
    else:
        paths = write_images(tmp_path, images.repeat(4, 1).repeat(4, 2))
        X = pd.DataFrame({"path": paths, "height": np.arange(60.0)})
        resize = {"image_shape": (8, 8)}
    clf = ConvNetClassifier(filters=(4,), max_epochs=1, random_state=0, **resize)
    found = skcnn.report(clf.fit(X, labels), X, labels)
    assert found.score.estimate == clf.score(X, labels)
    assert sum(tag == "img" for tag, _ in _Page(found.html).elements) >= 4


def test_a_network_without_convolutions_has_no_maps(images, labels):
    clf = ConvNetClassifier(filters=(), dense_units=4, global_pool=None, max_epochs=1)
    clf.set_params(random_state=0).fit(images, labels)
    found = _Page(skcnn.report(clf, images, labels).html)
    assert not any("Grad-CAM map of" in (attrs.get("alt") or "") for _, attrs in found.elements)


def test_pipelines_are_reported_as_they_predict(images, labels):
    darker = FunctionTransformer(lambda X: X // 2)
    clf = ConvNetClassifier(filters=(4,), max_epochs=2, random_state=0)
    pipeline = make_pipeline(darker, clf).fit(images[:30], labels[:30])
    found = skcnn.report(pipeline, images[30:], labels[30:])
    assert found.score.estimate == pipeline.score(images[30:], labels[30:])


def _mean_error(y, guess):
    return np.abs(y - guess).mean()


def test_a_regressor_gets_a_page_about_numbers(numbered, images):
    reg, y = numbered
    found = skcnn.report(reg, images[30:], y[30:])
    guess = reg.predict(images[30:])
    assert found.score.estimate == pytest.approx(mean_absolute_error(y[30:], guess))
    assert found.score == bootstrap_interval(y[30:], guess, metric=_mean_error, random_state=0)
    assert found.per_class is None
    assert found.mistakes["error"].is_monotonic_decreasing
    assert found.mistakes["error"][0] == pytest.approx(np.abs(guess - y[30:]).max())
    page = _Page(found.html)
    assert page.unbalanced == []
    assert f"R² {r2_score(y[30:], guess):.2f}" in page.text
    assert {"scatter", "mistakes"} <= {attrs.get("id") for _, attrs in page.elements}
    sites = np.arange(30) // 3
    of_sites = skcnn.report(reg, images[30:], y[30:], groups=sites)
    assert of_sites.score == bootstrap_interval(
        y[30:], guess, metric=_mean_error, groups=sites, random_state=0
    )


_OTHERS = {
    "label_thresholds": (ConvNetClassifier, np.arange(180).reshape(60, 3) // 2 % 2),
    "skcnn.masks": (ConvNetSegmenter, np.arange(60 * 64).reshape(60, 8, 8) % 2),
    "several numbers": (ConvNetRegressor, np.arange(120.0).reshape(60, 2)),
}


@pytest.mark.parametrize("hint", _OTHERS)
def test_other_questions_are_an_error_that_names_what_is_possible(hint, images):
    kind, y = _OTHERS[hint]
    options = {ConvNetSegmenter: {"module": UNet(ConvBlocks((4, 8)))}}.get(kind, {"filters": (4,)})
    estimator = kind(max_epochs=1, random_state=0, **options).fit(images, y)
    with pytest.raises(TypeError, match=rf"report takes a ConvNetClassifier.*{hint}"):
        skcnn.report(estimator, images, np.arange(60) % 3)


@pytest.fixture(scope="module")
def several(images, labels):
    """A network that answers two questions, and the answers, some of which are missing."""
    y = pd.DataFrame({"size": np.arange(60.0) % 7, "kind": labels.astype(object)})
    y.loc[[2, 31, 40], "kind"] = None
    y.loc[[3, 50], "size"] = np.nan
    tasks = {"kind": "classification", "size": "squared_error"}
    net = ConvNetMultiTask(tasks=tasks, filters=(4,), max_epochs=1, random_state=0)
    return net.fit(images, y), y


def _same(one, other):
    """Whether two reports show the same but for the minute in which they were made."""
    pd.testing.assert_frame_equal(one.mistakes, other.mistakes)
    assert one.score == other.score
    assert one.html == other.html


def test_the_labels_of_one_of_several_questions(several, images):
    net, y = several
    known = y["kind"].notna()
    found = skcnn.report(net, images, y, task="kind")
    guess = net.predict(images)["kind"]
    assert found.score.estimate == (guess == y["kind"])[known].mean()
    assert sorted(found.per_class.index) == net.classes_["kind"].tolist()
    assert found.per_class["images"].sum() == known.sum() == 57
    wrong = np.flatnonzero(known & (guess != y["kind"]))
    assert sorted(found.mistakes["row"]) == wrong.tolist()
    row = found.mistakes["row"].iloc[0]
    assert found.mistakes["predicted"].iloc[0] == guess[row]
    assert found.mistakes["probability"].iloc[0] == net.predict_proba(images)["kind"][row].max()
    page = _Page(found.html)
    assert "57 images; 3 more have no answer to this question." in page.text
    assert "Report of a ConvNetMultiTask: kind" in page.text
    assert any("Grad-CAM map of" in (attrs.get("alt") or "") for _, attrs in page.elements)
    # The column alone, other columns beside it, and a table without names say the same.
    for same in (y["kind"], y["kind"].tolist(), y.assign(site=1), y[["kind", "size"]].to_numpy()):
        _same(skcnn.report(net, images, same, task="kind"), found)


def test_the_numbers_of_one_of_several_questions(several, images):
    net, y = several
    found = skcnn.report(net, images, y, task="size")
    known = y["size"].notna()
    error = np.abs(net.predict(images)["size"] - y["size"])[known]
    assert found.score.estimate == pytest.approx(error.mean())
    assert found.per_class is None
    assert found.mistakes["error"].iloc[0] == pytest.approx(error.max())
    assert "58 images; 2 more have no answer" in _Page(found.html).text


@pytest.mark.parametrize("missing", ["", None, np.nan])
def test_a_column_alone_is_read_as_the_table_is(missing, several, images):
    net, y = several
    column = [missing if pd.isna(label) else label for label in y["kind"]]
    _same(
        skcnn.report(net, images, column, task="kind"), skcnn.report(net, images, y, task="kind")
    )


def test_images_with_an_answer_that_cannot_be_read(tmp_path, images, labels):
    paths = write_images(tmp_path, images[:12])
    tasks = {"kind": "classification", "size": "squared_error"}
    net = ConvNetMultiTask(
        tasks=tasks, filters=(4,), max_epochs=1, on_error="skip", random_state=0
    )
    net.fit(paths, {"kind": labels[:12], "size": np.arange(12.0)})
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    # The one that has an answer is the one that cannot be read.
    with pytest.raises(ValueError, match=r"None of the 1 images with an answer .*broken\.png"):
        skcnn.report(net, [paths[0], str(broken)], [None, labels[1]], task="kind")


def test_sites_are_those_of_the_images_with_an_answer(several, images):
    net, y = several
    sites = np.arange(60) // 5
    known = y["kind"].notna().to_numpy()
    found = skcnn.report(net, images, y, task="kind", groups=sites)
    alone = skcnn.report(net, images[known], y[known], task="kind", groups=sites[known])
    assert found.score == alone.score


@pytest.mark.parametrize("task", ["sex", 1, 1.0])
def test_a_column_of_labels_by_its_name_or_number(task, images, labels):
    y = pd.DataFrame({"species": labels, "sex": np.array(["f", "m"])[np.arange(60) // 2 % 2]})
    names = y if task == "sex" else y.to_numpy()
    clf = ConvNetClassifier(filters=(4,), max_epochs=2, random_state=0).fit(images, names)
    found = skcnn.report(clf, images, names, task=task)
    guess = np.asarray(clf.predict(images))[:, 1]
    assert found.score.estimate == (guess == y["sex"]).mean()
    assert sorted(found.per_class.index) == ["f", "m"]


def test_the_question_that_is_reported_is_named(several, classified, images, labels):
    net, y = several
    with pytest.raises(TypeError, match=r"the tasks \['kind', 'size'\].*task='kind'"):
        skcnn.report(net, images, y)
    with pytest.raises(ValueError, match="task='age' is none of the tasks"):
        skcnn.report(net, images, y, task="age")
    with pytest.raises(ValueError, match="this ConvNetClassifier answers only one"):
        skcnn.report(classified, images, labels, task="kind")
    with pytest.raises(ValueError, match="y has no column 'kind'"):
        skcnn.report(net, images, y[["size"]], task="kind")
    with pytest.raises(ValueError, match="y has no answer to 'kind': all 60 are missing"):
        skcnn.report(net, images, y.assign(kind=None), task="kind")
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        skcnn.report(net, images[:5], y["kind"], task="kind")
    with pytest.raises(ValueError, match="knows none of the labels in y, such as 'fox'"):
        skcnn.report(net, images, ["fox"] * 60, task="kind")


def test_wrong_arguments_are_refused(classified, images, labels):
    forest = RandomForestClassifier(n_estimators=2).fit(images.reshape(60, -1), labels)
    with pytest.raises(TypeError, match="no network to look into"):
        skcnn.report(forest, images, labels)
    with pytest.raises(NotFittedError):
        skcnn.report(ConvNetClassifier(), images, labels)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        skcnn.report(classified, images, labels[:10])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        skcnn.report(classified, images, labels, groups=[1, 2])
    with pytest.raises(ValueError, match="y has 1 missing value"):
        skcnn.report(classified, images[:3], ["down", None, "across"])
    with pytest.raises(ValueError, match="y has 1 missing value"):
        skcnn.report(classified, images[:3], ["down", np.nan, "across"])
    with pytest.raises(ValueError, match=r"groups has 1 missing group.*in row 2"):
        skcnn.report(classified, images[:3], labels[:3], groups=["north", "north", np.nan])
    with pytest.raises(ValueError, match=r"knows none of the labels in y, such as 0\."):
        skcnn.report(classified, images, np.zeros(60, dtype=int))
    with pytest.raises(ValueError, match="'level' parameter of report"):
        skcnn.report(classified, images, labels, level=95)
    with pytest.raises(ValueError, match="'max_images' parameter of report"):
        skcnn.report(classified, images, labels, max_images=-1)


def test_numbers_from_r_are_taken_as_meant(classified, images, labels):
    assert skcnn.report(classified, images, labels, max_images=3.0).html


def test_the_page_is_written_at_once(made, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("an earlier one")
    made.save(path)
    assert path.read_text(encoding="utf-8") == made.html
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError, match="nowhere"):
        made.save(tmp_path / "nowhere" / "report.html")


def test_a_notebook_shows_the_page_in_a_frame(made):
    frame = _Page(made._repr_html_())
    assert [tag for tag, _ in frame.elements] == ["iframe"]
    assert frame.elements[0][1]["srcdoc"] == made.html


def test_the_settings_of_matplotlib_stay_as_they_were(classified, images, labels):
    import matplotlib.pyplot as plt

    before = dict(plt.rcParams)
    skcnn.report(classified, images[30:], labels[30:])
    assert dict(plt.rcParams) == before
    assert plt.get_fignums() == []


def test_classes_in_other_scripts_are_text_of_the_page_and_no_warning(images, labels):
    # Warnings are errors here. The font of matplotlib has none of these letters.
    names = {"across": "🦊", "down": "日本の狐", "squares": "hare"}
    y = np.array([names[label] for label in labels])
    clf = ConvNetClassifier(filters=(4,), max_epochs=1, random_state=0).fit(images, y)
    html = skcnn.report(clf, images, y).html
    assert re.search(r"<text[^>]*>(?:日本の狐|🦊) ?", html)


def test_each_column_of_a_table_has_a_name(page, made):
    heads = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', made.html)
    assert all(heads)
    assert "95% interval" in heads


def test_a_figure_of_many_classes_scrolls_where_it_could_not_be_read():
    from matplotlib import pyplot as plt

    small = as_svg(lambda: plt.figure(figsize=(14, 1)), "a", "A figure")
    large = as_svg(lambda: plt.figure(figsize=(36, 1)), "b", "A figure")
    assert ('class="wide"' in small, 'class="wide"' in large) == (False, True)
    assert "width:216.00rem" in large
