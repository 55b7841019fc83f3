"""Dates and times as cameras, spreadsheets and people write them."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import pandas as pd

from skcnn.datasets._tables import as_texts

# Dates before photography are what broken clocks and spreadsheets write: 0000, 1899, 1900.
_FIRST_YEAR, _LAST_YEAR = 1901, 2261

_ISO = re.compile(
    r"(\d{4})[-:/.](\d{1,2})[-:/.](\d{1,2})"
    r"(?:(?:T| +)(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?"
    r"\s*(Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?|[AP]\.?\s?M\.?)?)?",
    re.IGNORECASE,
)
_CLOCK = r"(?:[T ,]+(\d{1,2}):(\d{2})(?::(\d{2}))?\s*([AP]\.?\s?M\.?)?)?"
_SHORT = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})" + _CLOCK, re.IGNORECASE)
_NAMED = re.compile(r"(\d{1,2})[- ]([A-Za-z]{3})[a-z]*\.?[- ](\d{4})" + _CLOCK, re.IGNORECASE)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:[T _-]?(\d{2})(\d{2})(\d{2})(?:[.,](\d{1,9}))?)?")
# 4/28/19, as Excel shows dates in some countries.
_SHORT_YEAR = re.compile(r"(\d{1,2}[/.]\d{1,2}[/.])(\d{2})((?:[T ,].*)?)", re.DOTALL)
_FIRST_OF_LAST_CENTURY = 69  # as strptime reads %y
# Names of files have no colons: 2021-05-30__10-00-00, as camtrapR writes them.
_IN_NAMES = re.compile(
    r"(\d{4})[-_](\d{2})[-_](\d{2})(?:T| +|_+|-)(\d{2})[-_.](\d{2})[-_.](\d{2})"
)
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


def parse_times(
    values: pd.Series,
    *,
    where: str,
    time_format: str | None = None,
    ambiguous: Literal["raise", "unreadable"] = "raise",
) -> tuple[pd.Series, list[str]]:
    """Return times, NaT where there is none, and the different texts that are no times.

    Times with a zone or offset become UTC, and the others stay as they are: a column has times of
    one kind. Where it has both, those without a zone are counted as unreadable.

    Parameters
    ----------
    values : Series
        Texts, or dates and times as pandas has them.
    where : str
        Name of the column, for messages.
    time_format : {"day_first", "month_first"}, a format of strptime, or None, default=None
        How 03/04/2021 is read. None takes what the other dates of the column show.
    ambiguous : {"raise", "unreadable"}, default="raise"
        What to do if they show nothing, or contradict each other. "raise" is for callers whose
        users can pass `time_format`.

    Raises
    ------
    ValueError
        If nothing tells the day from the month.
    """
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        zoned = getattr(values.dtype, "tz", None) is not None
        return values.dt.tz_convert("UTC") if zoned else values, []
    if not pd.api.types.is_object_dtype(values.dtype):
        values = values.astype(object)
    texts = as_texts(values)
    different = [text for text in texts.unique() if text is not None]
    parse = _parser(different, where, time_format, ambiguous)
    parsed = {text: parse(text) for text in different}
    zoned = any(time is not None and time.tzinfo is not None for time in parsed.values())
    if zoned:
        parsed = {
            text: time.astimezone(UTC) if time is not None and time.tzinfo is not None else None
            for text, time in parsed.items()
        }
    unreadable = [text for text, time in parsed.items() if time is None]
    times = pd.Series([parsed.get(text) for text in texts], index=values.index, dtype=object)
    return pd.to_datetime(times, utc=zoned).astype(
        "datetime64[ns, UTC]" if zoned else "datetime64[ns]"
    ), unreadable


def _parser(
    texts: Sequence[str], where: str, time_format: str | None, ambiguous: str
) -> Callable[[str], datetime | None]:
    """Return the function that reads the texts of one column."""
    if time_format is not None and "%" in time_format:
        return lambda text: _by_format(text, time_format)
    if time_format not in (None, "day_first", "month_first"):
        raise ValueError(
            "The 'time_format' parameter must be 'day_first', 'month_first', a format such as "
            f"'%d.%m.%Y %H:%M', or None. Got {time_format!r} instead."
        )
    full = _with_full_years(texts, time_format is not None)
    texts = [full.get(text, text) for text in texts]
    day_first = _is_day_first(texts) if time_format is None else time_format == "day_first"
    if isinstance(day_first, str):
        if ambiguous == "raise":
            example = next(text for text in texts if _SHORT.fullmatch(text))
            raise ValueError(
                f"{where} contains dates such as {example!r}, and {day_first}. Pass "
                "time_format='day_first' or time_format='month_first'."
            )
        return lambda text: None if _SHORT.fullmatch(full.get(text, text)) else _parse(text, False)
    is_day_first = day_first
    return lambda text: _parse(full.get(text, text), is_day_first)


def _with_full_years(texts: Sequence[str], declared: bool) -> dict[str, str]:
    """Return dates with a year of two digits, and how they are with one of four.

    19/05/28 may begin with its year. Dates begin with the day or month if the user has declared
    it, or if one has a single digit there, which nobody writes for a year.
    """
    found = {text: match for text in texts if (match := _SHORT_YEAR.fullmatch(text))}
    if not (declared or any(len(match[1]) < len("28/04/") for match in found.values())):
        return {}
    full = {}
    for text, match in found.items():
        century = "19" if int(match[2]) >= _FIRST_OF_LAST_CENTURY else "20"
        full[text] = f"{match[1]}{century}{match[2]}{match[3]}"
    return full


def _is_day_first(texts: Sequence[str]) -> bool | str:
    """Return whether dates such as 18/01/2013 begin with the day, or why nothing tells it."""
    pairs = [(int(m[1]), int(m[2])) for m in map(_SHORT.fullmatch, texts) if m]
    day_first = any(first > 12 for first, _ in pairs)
    month_first = any(second > 12 for _, second in pairs)
    ambiguous = any(first != second for first, second in pairs)
    if day_first and month_first:
        return "some begin with the day and some with the month"
    if ambiguous and not day_first and not month_first:
        return "no date tells whether the day or the month is first"
    return day_first


def _parse(text: str, day_first: bool) -> datetime | None:
    """Return the time that a text means, or None."""
    if match := _ISO.fullmatch(text):
        year, month, day, hour, minute, second, fraction, zone = match.groups()
        if zone and zone[0] in "aApP":
            hour, zone = _in_24_hours((hour,), zone)[0], None
        parts = (year, month, day, hour, minute, second)
        return _time(parts, _microseconds(fraction), zone)
    if match := _SHORT.fullmatch(text):
        first, second_number, year, *clock, half = match.groups()
        day, month = (first, second_number) if day_first else (second_number, first)
        return _time((year, month, day, *_in_24_hours(clock, half)))
    if match := _NAMED.fullmatch(text):
        day, name, year, *clock, half = match.groups()
        if name.lower() not in _MONTHS:
            return None
        month = str(_MONTHS.index(name.lower()) + 1)
        return _time((year, month, day, *_in_24_hours(clock, half)))
    if match := _COMPACT.fullmatch(text):
        *numbers, fraction = match.groups()
        return _time(numbers, _microseconds(fraction))
    if match := _IN_NAMES.fullmatch(text):
        return _time(match.groups())
    return None


def _microseconds(fraction: str | None) -> int:
    """Return the digits behind the point of a second as microseconds."""
    return int((fraction or "0").ljust(6, "0")[:6])


def _in_24_hours(clock: Sequence[str | None], half: str | None) -> tuple[str | None, ...]:
    """Return hour, minute and second, with the hour from 0 to 23."""
    if half is None or clock[0] is None:
        return tuple(clock)
    hour = int(clock[0]) % 12 + (12 if half[0] in "pP" else 0)
    return (str(hour), *clock[1:])


def _time(
    parts: Sequence[str | None], microsecond: int = 0, zone: str | None = None
) -> datetime | None:
    """Return a time from its numbers, or None if there is no such time."""
    numbers = [int(part or 0) for part in parts]
    if not _FIRST_YEAR <= numbers[0] <= _LAST_YEAR:
        return None
    try:
        year, month, day, hour, minute, second = (*numbers, 0, 0, 0)[:6]
        time = datetime(year, month, day, hour, minute, second, microsecond)
        if zone is None:
            return time
        offset = "+00:00" if zone[0] not in "+-" else zone
        return datetime.fromisoformat(f"{time.isoformat()}{offset}")
    except ValueError:
        return None


def _by_format(text: str, time_format: str) -> datetime | None:
    """Return the time that a text means by a format of strptime, or None."""
    try:
        time = datetime.strptime(text, time_format)
    except ValueError:
        return None
    return time if _FIRST_YEAR <= time.year <= _LAST_YEAR else None


def join_texts(parts: Sequence[pd.Series], separator: str = " ") -> pd.Series:
    """Return the texts of several columns joined, None where all are missing.

    Examples
    --------
    >>> genus, species = pd.Series(["Vulpes", "Ardea", ""]), pd.Series(["vulpes", "", ""])
    >>> join_texts([genus, species]).tolist()
    ['Vulpes vulpes', 'Ardea', None]
    """
    texts = [as_texts(part).fillna("").astype(object) for part in parts]
    joined = texts[0]
    for text in texts[1:]:
        between = np.where((joined != "") & (text != ""), separator, "")
        joined = joined + between + text
    return as_texts(joined)
