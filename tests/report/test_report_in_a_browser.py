"""The page in a real browser: on a phone, in the dark, and inside of a notebook's frame."""

import html
import json
import re
import shutil
import subprocess

import pytest

import skcnn

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

_LOOK = """
<!DOCTYPE html><html><body style="margin: 0"><div style="width: %dpx">%s</div>
<pre id="found"></pre><script>
document.querySelector("iframe").addEventListener("load", (event) => {
  const page = event.target.contentDocument, root = page.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.getElementById("found").textContent = JSON.stringify({
    width: root.clientWidth,
    overflow: root.scrollWidth - root.clientWidth,
    broken: [...page.images].filter((image) => !image.naturalWidth).length,
    images: page.images.length,
    cut: [...page.querySelectorAll(".scroll:has(table)")].filter(
      (frame) => frame.scrollWidth > frame.clientWidth
    ).length,
    drawings: [...page.querySelectorAll("svg")].filter(
      (drawing) => drawing.getBoundingClientRect().width > 100
    ).length,
    ink: getComputedStyle(page.querySelector("svg text")).fill,
    points: getComputedStyle(page.querySelector("#calibration svg use")).fill,
    paper: getComputedStyle(page.body).backgroundColor,
    dark: dark,
  });
});
</script></body></html>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs the browser chromium")
@pytest.mark.parametrize(("width", "is_dark"), [(390, True), (360, True), (1200, False)])
def test_the_page_fits_and_shows_everything(width, is_dark, classified, images, labels, tmp_path):
    made = skcnn.report(classified, images[30:], labels[30:])
    page = _LOOK % (width, made._repr_html_())
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000"),
        # As on a phone, where they take no space.
        "--hide-scrollbars",
        *(f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"),
        f"--blink-settings=preferredColorScheme={0 if is_dark else 1}",
        (tmp_path / "page.html").as_uri(),
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    (text,) = re.findall(r'<pre id="found">(.*?)</pre>', run.stdout, re.DOTALL)
    found = json.loads(html.unescape(text))
    assert found["width"] == pytest.approx(width, abs=20)
    assert found["overflow"] == 0
    assert found["images"] >= 8
    assert found["broken"] == 0
    # On a phone that is narrower than most, tables scroll.
    assert found["cut"] == 0 or width < 390
    assert found["drawings"] == 3
    assert found["dark"] is is_dark
    brightness = {
        name: sum(map(int, re.findall(r"\d+", found[name])[:3]))
        for name in ("ink", "paper", "points")
    }
    assert (brightness["ink"] > brightness["paper"]) is is_dark
    assert abs(brightness["ink"] - brightness["paper"]) > 450
    assert abs(brightness["points"] - brightness["paper"]) > 300
