"""An animated picture of a terminal, from what commands wrote to it: see record_terminal.py."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

COLUMNS, ROWS = 88, 17
# A character of the font below is 15 pixels wide. Pages show the picture at half of its size or a
# bit more, so that it is sharp on any screen.
_FONT_SIZE, _CELL, _LINE = 25, 15, 34
_BAR, _PAD = 54, 32
WIDTH = COLUMNS * _CELL + 2 * _PAD
BODY = ROWS * _LINE + _PAD
_RADIUS = 18

_PAPER, _FRAME, _EDGE = "#171c22", "#262d36", "#3d4753"
_INK, _BRIGHT, _QUIET, _ACCENT = "#b9c3ce", "#ffffff", "#7f8b98", "#6cb8e6"

# Escape sequences, which set colors: nothing here needs them.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Screen:
    """What a terminal shows: lines of characters, each with a color.

    Parameters
    ----------
    columns, rows : int
        Its size. Where a line is too long, it goes on in the next; what is above the first line is
        lost.
    """

    def __init__(self, columns: int = COLUMNS, rows: int = ROWS) -> None:
        self.columns, self.rows = columns, rows
        self.clear()

    def clear(self) -> None:
        """Begin again in the upper left corner."""
        self.lines: list[list[tuple[str, str]]] = [[]]
        self._column = 0

    def write(self, text: str, color: str = _INK) -> None:
        """Write as a terminal does: a carriage return goes back to the start of the line."""
        for character in _ESCAPES.sub("", text):
            if character == "\r":
                self._column = 0
            elif character == "\n":
                self._new_line()
            elif character == "\t":
                self._column += 8 - self._column % 8
            elif character.isprintable():
                if self._column >= self.columns:
                    self._new_line()
                line = self.lines[-1]
                line += [(" ", color)] * (self._column - len(line))
                line[self._column : self._column + 1] = [(character, color)]
                self._column += 1

    def _new_line(self) -> None:
        self.lines = [*self.lines, []][-self.rows :]
        self._column = 0

    def text(self) -> str:
        """Return what can be read."""
        return "\n".join("".join(c for c, _ in line).rstrip() for line in self.lines)


@dataclass(frozen=True)
class Frame:
    """A picture, and for how long it is shown."""

    image: Image.Image
    milliseconds: int


class Film:
    """Frames of a window, drawn one after the other.

    Parameters
    ----------
    screen : Screen
        What the window shows.
    """

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.frames: list[Frame] = []
        fonts = Path(matplotlib.get_data_path(), "fonts", "ttf")
        self._font = ImageFont.truetype(str(fonts / "DejaVuSansMono.ttf"), _FONT_SIZE)
        self._title_font = ImageFont.truetype(str(fonts / "DejaVuSans.ttf"), 22)

    @property
    def seconds(self) -> float:
        """How long the film is."""
        return sum(frame.milliseconds for frame in self.frames) / 1e3

    def type(self, command: str, *, milliseconds: int = 75, at_once: int = 2) -> None:
        """Type a command behind the prompt, a few characters at a time."""
        self.screen.write("$ ", _ACCENT)
        self.show(500, cursor=True)
        for start in range(0, len(command), at_once):
            self.screen.write(command[start : start + at_once], _BRIGHT)
            self.show(milliseconds, cursor=True)
        self.screen.write("\n")

    def remark(self, text: str) -> None:
        """Write a line that is no command."""
        self.screen.write(f"# {text}\n", _QUIET)

    def play(
        self, events: Sequence[tuple[float, str]], *, longest: float, start: float = 0.0
    ) -> None:
        """Show the output of a command, in fewer seconds than it took if it took long.

        Parameters
        ----------
        events : sequence of (float, str)
            Seconds since the start of the command, and what it wrote then.
        longest : float
            Seconds for which it is shown at most.
        start : float, default=0.0
            Seconds that earlier commands took, for the clock.
        """
        took = events[-1][0]
        factor = max(1.0, took / longest)
        note = f", shown {factor:.0f} times as fast" if factor >= 1.5 else ""
        # Six pictures a second, each after all that was written in its time.
        step = factor / 6
        due = 0
        for number in range(1, int(took / step) + 2):
            n_before = due
            while due < len(events) and events[due][0] <= number * step:
                self.screen.write(events[due][1])
                due += 1
            now = min(number * step, took)
            if not self.frames or due > n_before or number % 6 == 0:
                self.show(167, note=f"{_clock(start + now)}{note}")
            else:
                self._stay(167)

    def show(self, milliseconds: int, *, cursor: bool = False, note: str = "") -> None:
        """Add a picture of the screen as it is now."""
        image, draw = self._window("Terminal", note)
        for row, line in enumerate(self.screen.lines):
            y = _BAR + _PAD // 2 + row * _LINE
            # A run of one color at a time, letter by letter: the grid of a terminal.
            for column, (character, color) in enumerate(line):
                x = _PAD + column * _CELL
                if character in _BLOCKS:
                    part = _BLOCKS[character]
                    draw.rectangle([x, y + 4, x + part - 1, y + _LINE - 6], fill=_ACCENT)
                elif character != " ":
                    draw.text((x, y), character, font=self._font, fill=color)
            if cursor and row == len(self.screen.lines) - 1:
                x = _PAD + len(line) * _CELL
                draw.rectangle([x, y + 2, x + _CELL - 2, y + _LINE - 5], fill=_QUIET)
        self.add(image, milliseconds)

    def show_page(self, page: Image.Image, milliseconds: int, *, name: str) -> None:
        """Add a picture of a page in place of the screen."""
        image, draw = self._window(name, "")
        image.paste(page.crop((0, 0, WIDTH, BODY)), (0, _BAR))
        self._outline(draw)
        self.add(image, milliseconds)

    def add(self, image: Image.Image, milliseconds: int) -> None:
        """Add a picture. One like the last one makes that one stay longer."""
        if self.frames and self.frames[-1].image.tobytes() == image.tobytes():
            self._stay(milliseconds)
        else:
            self.frames.append(Frame(image, milliseconds))

    def _stay(self, milliseconds: int) -> None:
        last = self.frames[-1]
        self.frames[-1] = Frame(last.image, last.milliseconds + milliseconds)

    def _window(self, title: str, note: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        """Return an empty window with its title and a note at the right."""
        image = Image.new("RGB", (WIDTH, _BAR + BODY), _PAPER)
        draw = ImageDraw.Draw(image)
        draw.rectangle([0, 0, WIDTH, _BAR - 1], fill=_FRAME)
        for number in range(3):
            x = _PAD + 28 * number
            draw.ellipse([x, 20, x + 14, 34], fill=_EDGE)
        draw.text((WIDTH / 2, _BAR / 2), title, font=self._title_font, fill=_INK, anchor="mm")
        place = (WIDTH - _PAD, _BAR / 2)
        draw.text(place, note, font=self._title_font, fill=_ACCENT, anchor="rm")
        self._outline(draw)
        return image, draw

    @staticmethod
    def _outline(draw: ImageDraw.ImageDraw) -> None:
        box = [0, 0, WIDTH - 1, _BAR + BODY - 1]
        draw.rounded_rectangle(box, _RADIUS, outline=_EDGE, width=2)

    def save(self, path: str | os.PathLike[str], *, loops: int, smallest: bool = True) -> None:
        """Write an animated WebP file; the smallest one takes minutes."""
        first, *others = self._rounded()
        first.save(
            path,
            save_all=True,
            append_images=others,
            duration=[frame.milliseconds for frame in self.frames],
            loop=loops,
            quality=80,
            # Letters without loss, the page with little; and of each picture only what is new.
            allow_mixed=True,
            minimize_size=smallest,
            method=6 if smallest else 0,
        )

    def _rounded(self) -> Iterator[Image.Image]:
        """Cut the corners off, so that the window suits any color around it."""
        size = self.frames[0].image.size
        mask = Image.new("L", (2 * size[0], 2 * size[1]), 0)
        box = [0, 0, 2 * size[0] - 1, 2 * size[1] - 1]
        ImageDraw.Draw(mask).rounded_rectangle(box, 2 * _RADIUS, fill=255)
        mask = mask.resize(size, Image.Resampling.LANCZOS)
        for frame in self.frames:
            rounded = frame.image.convert("RGBA")
            rounded.putalpha(mask)
            yield rounded


# The characters that progress bars are made of, with their widths in pixels.
_BLOCKS = {character: round(_CELL * n / 8) for n, character in enumerate("▏▎▍▌▋▊▉█", start=1)}


def _clock(seconds: float) -> str:
    """Return seconds as minutes and seconds.

    >>> _clock(65.2)
    '1:05'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
