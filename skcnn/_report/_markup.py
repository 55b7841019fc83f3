"""Pieces of an HTML page: text, tables, lists and cards."""

import html
import math
from collections.abc import Iterable, Sequence


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(value: object) -> str:
    """Return a value as HTML: what is HTML already as it is, all else as plain text.

    Examples
    --------
    >>> escape("a < b"), escape(Html("<b>a</b>"))
    ('a &lt; b', '<b>a</b>')
    """
    if isinstance(value, Html):
        return str(value)
    # Linux has names of files that are no Unicode, from old archives.
    return html.escape(str(value).encode("utf-8", "backslashreplace").decode())


def join(parts: Iterable[object], separator: str = "") -> Html:
    """Return several pieces as one."""
    return Html(separator.join(escape(part) for part in parts))


def paragraph(*parts: object, style: str = "") -> Html:
    """Return a paragraph."""
    return Html(f"<p{_class(style)}>{join(parts)}</p>")


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, text_columns: int = 1) -> Html:
    """Return a table that scrolls where it is wider than the page.

    Parameters
    ----------
    head : sequence of str
    rows : iterable of sequences
        Cells, as text or HTML.
    text_columns : int, default=1
        So many columns, from the first, are text; the others are numbers.
    """
    sides = ["" if column < text_columns else _class("n") for column in range(len(head))]
    heads = "".join(
        f'<th scope="col"{side}>{escape(name)}</th>' for name, side in zip(head, sides)
    )
    lines = [
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td{side}>{escape(cell)}</td>" for cell, side in zip(cells, sides[1:]))
        + "</tr>"
        for first, *cells in rows
    ]
    return Html(
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """Return names and values, as a list of two columns."""
    items = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs
    )
    return Html(f'<dl class="facts">{"".join(items)}</dl>')


def tiles(items: Iterable[tuple[str, str, object]]) -> Html:
    """Return the most important figures: name, value and a remark of each."""
    cells = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd><dd>{escape(remark)}</dd></div>"
        for name, value, remark in items
    )
    return Html(f'<dl class="tiles">{"".join(cells)}</dl>')


def bars(items: Iterable[tuple[str, int, str]]) -> Html:
    """Return names with numbers, and a bar for each number."""
    items = list(items)
    most = max((n for _, n, _ in items), default=1) or 1
    lines = (
        f'<li><span>{escape(name)}</span><span class="n">{n:,}{escape(remark)}</span>'
        f'<i style="width:{100 * n / most:.1f}%"></i></li>'
        for name, n, remark in items
    )
    return Html(f'<ul class="bars">{"".join(lines)}</ul>')


def interval_bar(value: float, low: float, high: float) -> Html:
    """Return a share from 0 to 1 as a mark on a line, and its interval as a bar."""
    if math.isnan(value):
        return Html("")
    bar = f'<i style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></i>'
    mark = f'<b style="left:{100 * value:.1f}%"></b>'
    label = f"interval from {percent(low, 0)} to {percent(high, 0)}"
    return Html(f'<span class="range" role="img" aria-label="{label}">{bar}{mark}</span>')


def card(pictures: Iterable[Html], caption: Html) -> Html:
    """Return pictures side by side, with a caption."""
    below = f"<figcaption>{caption}</figcaption>"
    return Html(f'<figure class="card"><div>{join(pictures)}</div>{below}</figure>')


def cards(items: Iterable[Html]) -> Html:
    """Return cards in as many columns as there is space for."""
    return Html(f'<div class="cards">{join(items)}</div>')


def figure(picture: Html, caption: str = "") -> Html:
    """Return a drawing, which scrolls where the page is narrow."""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return Html(f'<figure><div class="scroll">{picture}</div>{below}</figure>')


def details(title: str, text: str) -> Html:
    """Return text of fixed width that opens under its title."""
    return Html(
        f'<details><summary>{escape(title)}</summary><pre class="scroll">{escape(text)}</pre>'
        "</details>"
    )


def percent(share: float, digits: int = 1) -> str:
    """Return a share as percent, and – for what is not known.

    Examples
    --------
    >>> percent(0.835), percent(1), percent(float("nan"))
    ('83.5%', '100%', '–')
    """
    if math.isnan(share):
        return "–"
    return "100%" if share == 1 else f"{share:.{digits}%}"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
