"""The film of the command line in the documentation: what it keeps of a terminal."""

import sys
from pathlib import Path

import pytest
from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    import terminal_picture

    return terminal_picture


def test_a_screen_shows_what_a_terminal_would(terminal):
    screen = terminal.Screen(columns=10, rows=3)
    screen.write("12 of 100\r\x1b[32m99\x1b[0m\n")
    assert screen.text() == "99 of 100\n"
    screen.write("a line that is long")
    assert screen.text() == "99 of 100\na line tha\nt is long"
    screen.write("\nlast")
    assert screen.text() == "a line tha\nt is long\nlast"
    screen.clear()
    screen.write("a\tb")
    assert screen.text() == "a       b"


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of its own needs a pty")
def test_commands_run_in_a_terminal_of_the_size_of_the_picture(terminal, tmp_path):
    import record_terminal

    command = "stty size; sleep 0.2; printf 'caf\\303'; sleep 0.1; printf '\\251'"
    events = record_terminal.record(command, tmp_path)
    text = "".join(written for _, written in events)
    assert text == f"{terminal.ROWS} {terminal.COLUMNS}\r\ncafé"
    times = [seconds for seconds, _ in events]
    assert times == sorted(times)
    assert times[-1] >= 0.3
    with pytest.raises(RuntimeError, match=r"code 3:\s+gone"):
        record_terminal.record("echo gone; exit 3", tmp_path)


def test_a_film_shortens_what_took_long_and_keeps_all_that_was_written(terminal, tmp_path):
    film = terminal.Film(terminal.Screen())
    events = [(0.0, "first\n"), (20.0, "second\n"), (30.0, "")]
    film.play(events, longest=3)
    assert film.seconds == pytest.approx(3, abs=0.3)
    assert film.screen.text() == "first\nsecond\n"
    short = terminal.Film(terminal.Screen())
    short.play([(0.5, "at once\n"), (1.0, "")], longest=3)
    assert short.seconds == pytest.approx(1, abs=0.2)
    film.show_page(Image.new("RGB", (terminal.WIDTH, 2000), "white"), 4000, name="page.html")
    film.save(tmp_path / "film.webp", loops=2, smallest=False)
    with Image.open(tmp_path / "film.webp") as saved:
        assert saved.n_frames == len(film.frames)
        saved.seek(saved.n_frames - 1)
        saved.load()
        assert saved.info["duration"] == 4000
        corner, middle = saved.convert("RGBA").getpixel((0, 0)), saved.getpixel((400, 300))
    assert corner[3] == 0
    assert min(middle[:3]) > 240


def test_readme_has_the_caption_of_the_film():
    caption = (DOCS / "recorded" / "terminal.md").read_text(encoding="utf-8").strip()
    assert caption.startswith("*Recorded on ")
    assert caption in (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert (DOCS / "images" / "terminal.webp").stat().st_size < 400_000
