"""Times as cameras, spreadsheets and people write them."""

import numpy as np
import pandas as pd
import pytest

from skcnn.datasets._times import join_texts, parse_times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-05-30 04:57:37", "2020-05-30T04:57:37"),
        ("2020-05-30T04:57", "2020-05-30T04:57:00"),
        ("2020:05:30 04:57:37", "2020-05-30T04:57:37"),
        ("2020/5/3", "2020-05-03T00:00:00"),
        ("2020-05-30 04:57:37.25", "2020-05-30T04:57:37.250"),
        (" 2020-05-30 04:57:37", "2020-05-30T04:57:37"),
        ("20200530", "2020-05-30T00:00:00"),
        ("20200530 045737", "2020-05-30T04:57:37"),
        ("30-May-2020 04:57:37", "2020-05-30T04:57:37"),
        ("30 June 2020", "2020-06-30T00:00:00"),
        ("30/05/2020 04:57", "2020-05-30T04:57:00"),
        ("5/30/2020 4:57 PM", "2020-05-30T16:57:00"),
        ("5/30/2020 12:05 am", "2020-05-30T00:05:00"),
        ("30.05.2020", "2020-05-30T00:00:00"),
        ("05/05/2020", "2020-05-05T00:00:00"),
        ("2020-05-30__04-57-37", "2020-05-30T04:57:37"),
        ("2020-05-30_04-57-37", "2020-05-30T04:57:37"),
        ("20200530_045737", "2020-05-30T04:57:37"),
        ("2020-05-30 04:57:37 PM", "2020-05-30T16:57:37"),
        ("30/05/2020 04:57:37 p. m.", "2020-05-30T16:57:37"),
        ("30/05/2020 04:57:37 a.m.", "2020-05-30T04:57:37"),
        ("5/30/20 4:57", "2020-05-30T04:57:00"),
        ("30.5.20 04:57:37", "2020-05-30T04:57:37"),
        ("5/30/98", "1998-05-30T00:00:00"),
        ("20200530 045737.25", "2020-05-30T04:57:37.250"),
    ],
)
def test_common_forms(text, expected):
    times, unreadable = parse_times(pd.Series([text], dtype=object), where="t")
    assert times.to_numpy()[0] == np.datetime64(expected)
    assert times.dt.tz is None
    assert unreadable == []


@pytest.mark.parametrize(
    "text",
    ["0000:00:00 00:00:00", "1900-01-00", "2020-02-30", "2020-07-29TT05:29:41Z", "noon", "43831"],
)
def test_what_is_no_time(text):
    times, unreadable = parse_times(pd.Series([text, None, "2020-01-01"]), where="t")
    assert times.isna().tolist() == [True, True, False]
    assert unreadable == [text]


def test_zones_become_utc():
    texts = pd.Series(
        ["2021-04-11T20:43:09+01:00", "2021-04-11T21:43:09+0200", "2021-04-11T19:43:09Z"]
    )
    times, _ = parse_times(texts, where="t")
    assert str(times.dt.tz) == "UTC"
    assert times.nunique() == 1
    assert parse_times(pd.Series(["2021-04-11T20:43:09+01"]), where="t")[0][0] == times[0]
    assert str(times[0]) == "2021-04-11 19:43:09+00:00"


def test_times_without_zone_among_those_with_one_are_unreadable():
    texts = pd.Series(["2021-04-11T20:43:09Z", "2021-04-11T20:43:09"])
    times, unreadable = parse_times(texts, where="t")
    assert times.isna().tolist() == [False, True]
    assert unreadable == ["2021-04-11T20:43:09"]


def test_the_day_is_found_by_other_dates_of_the_column():
    texts = pd.Series(["03/04/2021", "25/04/2021"])
    assert parse_times(texts, where="t")[0].dt.month.tolist() == [4, 4]
    texts = pd.Series(["03/04/2021", "04/25/2021"])
    assert parse_times(texts, where="t")[0].dt.month.tolist() == [3, 4]


@pytest.mark.parametrize("texts", [["03/04/2021"], ["25/04/2021", "04/25/2021"]])
def test_the_day_is_not_guessed(texts):
    with pytest.raises(ValueError, match=r"the column 'when' contains .* time_format='day_first'"):
        parse_times(pd.Series(texts), where="the column 'when'")


@pytest.mark.parametrize(
    ("time_format", "month"), [("day_first", 4), ("month_first", 3), ("%d/%m/%Y", 4)]
)
def test_time_format(time_format, month):
    times, _ = parse_times(pd.Series(["03/04/2021"]), where="t", time_format=time_format)
    assert times.dt.month.tolist() == [month]


def test_wrong_time_format():
    with pytest.raises(ValueError, match=r"'time_format' parameter .* Got 'dmy'"):
        parse_times(pd.Series(["03/04/2021"]), where="t", time_format="dmy")


@pytest.mark.parametrize("zone", [None, "Europe/Amsterdam"])
def test_times_of_pandas_stay(zone):
    given = pd.Series(pd.to_datetime(["2021-04-11 20:43:09", None])).dt.tz_localize(zone)
    times, unreadable = parse_times(given, where="t")
    assert times.isna().tolist() == [False, True]
    assert times[0] == given[0]
    assert unreadable == []


def test_joined_texts():
    date, time = pd.Series(["30-May-2020", "", None]), pd.Series([" 04:57:37", "x", ""])
    assert join_texts([date, time]).tolist() == ["30-May-2020 04:57:37", "x", None]


def test_days_and_months_that_contradict_each_other():
    texts = pd.Series(["13/04/2021", "04/16/2021", "2021-04-17"])
    with pytest.raises(ValueError, match="some begin with the day and some with the month"):
        parse_times(texts, where="t")
    times, unreadable = parse_times(texts, where="t", ambiguous="unreadable")
    assert times.isna().tolist() == [True, True, False]
    assert unreadable == ["13/04/2021", "04/16/2021"]


def test_years_of_two_digits():
    # A single digit shows that the year is last, and a day that the month is first.
    texts = pd.Series(["4/28/19 00:32", "04/05/19 17:21"])
    assert parse_times(texts, where="t")[0].dt.strftime("%F").tolist() == [
        "2019-04-28",
        "2019-04-05",
    ]
    with pytest.raises(ValueError, match="no date tells whether the day or the month is first"):
        parse_times(pd.Series(["5/4/19"]), where="t")
    # Otherwise, the year may be first.
    texts = pd.Series(["19/05/28", "28-05-19"])
    times, unreadable = parse_times(texts, where="t")
    assert times.isna().all()
    assert unreadable == texts.tolist()
    times, _ = parse_times(texts[:1], where="t", time_format="day_first")
    assert times.dt.strftime("%F").tolist() == ["2028-05-19"]
