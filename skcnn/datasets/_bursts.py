"""group_by_time: photographs that were taken in one go."""

import numpy as np
import pandas as pd

from skcnn._other_tables import to_frame
from skcnn._utils import warn
from skcnn.datasets._tables import as_frame, check_columns
from skcnn.datasets._times import parse_times


def group_by_time(
    frame: pd.DataFrame,
    site: str | None = "group",
    time: str = "time",
    gap: str | float | pd.Timedelta = "60s",
    *,
    time_format: str | None = None,
) -> pd.Series:
    """Group the photographs of each site into bursts, by their times.

    Two photographs of a site are in the same burst if no more than `gap` lies between them, or
    between each and the next of a chain of photographs that joins them. Photographs of a burst
    show the same animal in front of the same background. If a split separates them, the test is
    too easy: use the bursts as `groups`, or better the sites, which contain whole bursts.

    Parameters
    ----------
    frame : DataFrame of shape (n_examples, n_columns)
        Photographs, for example the `frame` of a loader.
    site : str or None, default="group"
        Column of the site. None means that all photographs are of one site. Those without a site
        are taken as those of one more site.
    time : str, default="time"
        Column of the time.
    gap : str, number of seconds or Timedelta, default="60s"
        Longest time between two photographs of a burst: "60s", "2min", "1h".
    time_format : {"day_first", "month_first"}, str or None, default=None
        How texts in the column of the time are read, see :func:`load_image_table`.

    Returns
    -------
    bursts : Series of shape (n_examples,), dtype int64
        Number of the burst of each photograph, with the index of `frame`. Bursts are numbered
        from 0, in the order of sites in `frame`, and of time. A photograph without a time is a
        burst of its own, and a warning tells how many there are.

    Raises
    ------
    ValueError
        If a column is not there, a text is no time or may begin with the day or the month, or
        `gap` is no time or negative.

    See Also
    --------
    sklearn.model_selection.GroupKFold : Cross-validation that keeps groups whole.

    Examples
    --------
    >>> import pandas as pd
    >>> from skcnn.datasets import group_by_time
    >>> frame = pd.DataFrame({
    ...     "group": ["hill", "hill", "hill", "lake"],
    ...     "time": ["2021-05-30 10:00:00", "2021-05-30 10:00:50", "2021-05-30 10:05:00",
    ...              "2021-05-30 10:00:10"],
    ... })
    >>> group_by_time(frame).tolist()
    [0, 0, 1, 2]
    >>> group_by_time(frame, gap="10min").tolist()
    [0, 0, 0, 1]
    """
    frame = to_frame(frame)
    table = as_frame(frame, "group_by_time")
    names = {"time=": time} if site is None else {"site=": site, "time=": time}
    for parameter, name in names.items():
        check_columns(table, [name], parameter, "The DataFrame passed to group_by_time")
    longest = _as_timedelta(gap)
    times, unreadable = parse_times(
        table[time], where=f"The column {time!r}", time_format=time_format
    )
    if unreadable:
        raise ValueError(
            f"The column {time!r} contains {unreadable[0]!r}. Expected times, all with a time "
            "zone or all without one, and None where there is none. time_format= reads others, "
            "such as time_format='%d.%m.%y %H:%M'."
        )
    known = pd.Series(0, index=table.index) if site is None else table[site]
    sites = pd.factorize(known, use_na_sentinel=False)[0]
    # A photograph without a time comes last, and is far from any other.
    order = np.lexsort([times.to_numpy(dtype="datetime64[ns]"), times.isna(), sites])
    ordered = times.iloc[order]
    between = ordered.diff()
    is_first = np.ones(len(table), dtype=bool)
    same_site = sites[order][1:] == sites[order][:-1]
    is_first[1:] = ~(same_site & (between.iloc[1:] <= longest).to_numpy())
    n_unknown = int(times.isna().sum())
    if n_unknown:
        warn(
            f"{n_unknown} of {len(table)} photographs have no time. group_by_time makes each a "
            "burst of its own, so that a split may separate them from their neighbors."
        )
    bursts = np.empty(len(table), dtype=np.int64)
    bursts[order] = np.cumsum(is_first) - 1
    return pd.Series(bursts, index=frame.index, name="burst")


def _as_timedelta(gap: object) -> pd.Timedelta:
    """Return a time span; a number is one of seconds."""
    try:
        span = pd.Timedelta(gap, unit="s") if isinstance(gap, int | float) else pd.Timedelta(gap)
    except (ValueError, TypeError):
        span = pd.NaT
    if span is pd.NaT or span < pd.Timedelta(0):
        raise ValueError(
            "The 'gap' parameter of group_by_time must be a time span such as '60s' or '2min', or "
            f"a number of seconds. Got {gap!r} instead."
        )
    return span
