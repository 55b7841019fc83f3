"""Record the three commands in a terminal, as an animated picture: python docs/record_terminal.py

Draws 800 labeled images of made-up organisms and 200 others, writes them to folders, runs the
commands of `skcnn` there in a terminal of their own, and makes a film of what they wrote. The film
ends with the report as the browser chromium shows it. Writes images/terminal.webp, and its caption
to recorded/terminal.md, from where it has to be copied to README.md. Takes some minutes. Typing is
drawn; all else is what the commands wrote. Waiting is shortened, and the clock in the picture
shows the seconds that passed.

With --keep DIR, the recording stays in DIR, and the next run makes the film from it again.
"""

import argparse
import datetime
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import torch
from PIL import Image
from terminal_picture import BODY, COLUMNS, ROWS, WIDTH, Film, Screen

from skcnn.datasets import make_organisms

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "benchmarks"))

from reporting import describe_machine  # noqa: E402

# In the order of the numbers of make_organisms.
CLASSES = ("starfish", "navicula", "jellyfish", "triceratium", "anemone")
N_LABELED, N_NEW, SIZE = 800, 200, 48

TRAIN = "skcnn train photos --out sea.skcnn"
PREDICT = "skcnn predict sea.skcnn new_photos --out predictions.csv"
REPORT = "skcnn report sea.skcnn photos --out report.html"
COMMANDS = ("ls photos", TRAIN, PREDICT, "head -n 6 predictions.csv", REPORT)
# Processes that wait for a core; more than this many are other work.
BUSY = 0.5
# Pixels of the picture per pixel of the page, and the sections of the page that are shown.
ZOOM = 1.4
SECTIONS = {"": 5000, "classes": 3500, "mistakes": 8000}


def main() -> None:
    """Record, and make the film."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--keep", type=Path, help="folder for the recording")
    options = arguments.parse_args()
    if options.keep:
        options.keep.mkdir(exist_ok=True)
        make(options.keep)
    else:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder))


def make(folder: Path) -> None:
    """Make the film from the recording in a folder, which is made first if it is not there."""
    kept = folder / "recording.json"
    if not kept.exists():
        write_photos(folder)
        load = os.getloadavg()[0]
        recorded = {command: record(command, folder) for command in COMMANDS}
        seconds = sum(recorded[command][-1][0] for command in (TRAIN, PREDICT, REPORT))
        text = caption(seconds, is_busy=load > BUSY)
        kept.write_text(json.dumps({"caption": text, "events": recorded}), encoding="utf-8")
    recording = json.loads(kept.read_text(encoding="utf-8"))
    film = film_of(recording["events"])
    for section, milliseconds in SECTIONS.items():
        page = photograph(folder / "report.html", section)
        film.show_page(page, milliseconds, name="report.html")
    path = DOCS / "images" / "terminal.webp"
    film.save(path, loops=3)
    (DOCS / "recorded" / "terminal.md").write_text(recording["caption"], encoding="utf-8")
    print(recording["caption"])
    print(
        f"{path}: {film.seconds:.0f} s, {len(film.frames)} frames, {path.stat().st_size:,} bytes"
    )


def write_photos(folder: Path) -> None:
    """Write photos/CLASS/NUMBER.jpg and new_photos/NUMBER.jpg."""
    for name, n_images, seed in (("photos", N_LABELED, 0), ("new_photos", N_NEW, 1)):
        images, numbers = make_organisms(
            n_images, n_classes=len(CLASSES), image_size=SIZE, difficulty=0.9, random_state=seed
        )
        for row, (image, number) in enumerate(zip(images, numbers)):
            place = folder / name / (CLASSES[number] if name == "photos" else "")
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"IMG_{row:04}.jpg", quality=92)


def record(command: str, folder: Path) -> list[tuple[float, str]]:
    """Run a command in a terminal; return what it wrote, and when, up to its end.

    Parameters
    ----------
    command : str
        For the shell.
    folder : Path
        Where it runs.

    Returns
    -------
    events : list of (float, str)
        Seconds since the start, and the text; the last one is its end.
    """
    import fcntl
    import pty
    import struct
    import termios

    mine, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    start = time.perf_counter()
    process = subprocess.Popen(
        ["sh", "-c", command],
        cwd=folder,
        stdin=its,
        stdout=its,
        stderr=its,
        env={**os.environ, "PATH": search, "PYTHONIOENCODING": "utf-8"},
    )
    os.close(its)
    events, unfinished = [], b""
    while True:
        ready, _, _ = select.select([mine], [], [], 0.1)
        try:
            written = os.read(mine, 65536) if ready else b""
        except OSError:  # nobody has the terminal open any more
            break
        if not written and ready:
            break
        # A character of several bytes may come in two parts.
        text, unfinished = _decode(unfinished + written)
        if text:
            events.append((time.perf_counter() - start, text))
    os.close(mine)
    if process.wait() != 0:
        shown = "".join(text for _, text in events)
        raise RuntimeError(f"{command} ended with code {process.returncode}:\n{shown}")
    events.append((time.perf_counter() - start, ""))
    return events


def _decode(data: bytes) -> tuple[str, bytes]:
    """Return the text of some bytes, and the bytes of a last character that is not complete."""
    for n_left in range(4):
        whole = data[: len(data) - n_left]
        try:
            return whole.decode(), data[len(whole) :]
        except UnicodeDecodeError:
            continue
    return data.decode(errors="replace"), b""


def photograph(page: Path, section: str) -> Image.Image:
    """Return a picture of a page from a section on, as large as the window of the film."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise RuntimeError("The report is shown by the browser chromium, which is not there.")
    width, height = round(WIDTH / ZOOM), round(BODY / ZOOM) + 1
    text = page.read_text(encoding="utf-8")
    if section:
        # A browser without a window does not scroll: what is above goes.
        above = f"header, section:has(~ #{section})"
        style = f"{above} {{ display: none; }} #{section} {{ border: 0; margin: 0; padding: 0; }}"
        text = text.replace("</head>", f"<style>{style}</style></head>")
    with tempfile.TemporaryDirectory() as folder:
        target, copy = Path(folder, "page.png"), Path(folder, "page.html")
        copy.write_text(text, encoding="utf-8")
        subprocess.run(
            [
                *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *(f"--user-data-dir={folder}/profile", f"--force-device-scale-factor={ZOOM}"),
                *("--blink-settings=preferredColorScheme=1", f"--window-size={width},{height}"),
                *(f"--screenshot={target}", copy.as_uri()),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
        return Image.open(target).convert("RGB")


def film_of(recorded: dict[str, list[tuple[float, str]]]) -> Film:
    """Return the film of what was recorded."""
    film, clock = Film(Screen()), 0.0

    def run(command: str, *, longest: float, read: int) -> None:
        nonlocal clock
        film.type(command)
        film.play(recorded[command], longest=longest, start=clock)
        clock += recorded[command][-1][0]
        film.show(read)

    film.remark("The photographs are in folders, one per species.")
    run("ls photos", longest=1, read=1200)
    film.screen.write("\n")
    film.remark("Train a network on them. Some are held out, to test it.")
    run(TRAIN, longest=9, read=5000)
    film.screen.clear()
    film.remark("Predict new photographs.")
    run(PREDICT, longest=3, read=1500)
    run("head -n 6 predictions.csv", longest=1, read=3000)
    film.screen.write("\n")
    film.remark("How good is the network? Make a page for the browser.")
    run(REPORT, longest=3, read=2500)
    return film


def caption(seconds: float, *, is_busy: bool) -> str:
    """Return what to know about the film."""
    n_threads = torch.get_num_threads()
    threads = "one thread" if n_threads == 1 else f"{n_threads} threads"
    beside = ", beside other work" if is_busy else ""
    text = (
        f"*Recorded on {datetime.date.today():%d %B %Y}, on {N_LABELED:,} labeled and {N_NEW} new "
        f"images of made-up organisms, {SIZE}x{SIZE} pixels. The three commands took "
        f"{seconds:.0f} seconds on {describe_machine('cpu')}, {threads}{beside}. Waiting is "
        "shortened; the clock shows the seconds that passed.*"
    )
    return textwrap.fill(text, 100) + "\n"


if __name__ == "__main__":
    main()
