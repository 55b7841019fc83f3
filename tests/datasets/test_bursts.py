"""group_by_time: bursts by site and time."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skcnn.datasets import group_by_time

START = pd.Timestamp("2021-05-30 10:00:00")


def photos(seconds, sites=None):
    times = [START + pd.Timedelta(s, unit="s") if s is not None else pd.NaT for s in seconds]
    return pd.DataFrame({"time": times, "group": sites or ["hill"] * len(seconds)})


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        ("60s", [0, 0, 1, 1]),
        ("61s", [0, 0, 0, 0]),
        ("1min", [0, 0, 1, 1]),
        (60, [0, 0, 1, 1]),
        (9.5, [0, 1, 2, 3]),
        (pd.Timedelta(10, unit="s"), [0, 0, 1, 1]),
        (0, [0, 1, 2, 3]),
    ],
)
def test_gaps(gap, expected):
    assert group_by_time(photos([0, 10, 71, 81]), gap=gap).tolist() == expected


def test_a_chain_is_one_burst_in_any_order():
    frame = photos([100, 0, 50, 200])
    bursts = group_by_time(frame)
    assert bursts.tolist() == [0, 0, 0, 1]
    assert bursts.dtype == np.int64
    assert bursts.name == "burst"


def test_sites_are_kept_apart():
    frame = photos([0, 1, 2, 3], ["hill", "lake", "hill", None])
    assert group_by_time(frame).tolist() == [0, 1, 0, 2]
    assert group_by_time(frame, site=None).tolist() == [0, 0, 0, 0]
    renamed = frame.rename(columns={"group": "place", "time": "when"})
    assert group_by_time(renamed, site="place", time="when").tolist() == [0, 1, 0, 2]


def test_the_index_stays_and_the_frame_too():
    frame = photos([0, 1, 100]).set_index(pd.Index([7, 7, 3]))
    before = frame.copy()
    bursts = group_by_time(frame)
    assert bursts.index.tolist() == [7, 7, 3]
    pd.testing.assert_frame_equal(frame, before)


def test_photographs_without_a_time_are_alone():
    frame = photos([0, None, 1, None])
    with pytest.warns(UserWarning, match=r"2 of 4 photographs have no time") as caught:
        bursts = group_by_time(frame)
    assert bursts.tolist() == [0, 1, 0, 2]
    assert caught[0].filename == __file__


def test_texts_and_zones():
    frame = photos([0, 30, 90])
    texts = frame.assign(time=frame["time"].map(str))
    assert group_by_time(texts).tolist() == [0, 0, 0]
    zoned = frame.assign(time=frame["time"].dt.tz_localize("Europe/Amsterdam"))
    assert group_by_time(zoned).tolist() == [0, 0, 0]
    # The hour that summer time takes away is no gap.
    texts = ["2021-03-28T01:59:50+01:00", "2021-03-28T03:00:10+02:00"]
    assert group_by_time(pd.DataFrame({"time": texts}), site=None).tolist() == [0, 0]
    with pytest.raises(ValueError, match="contains 'noon'"):
        group_by_time(pd.DataFrame({"time": ["noon"]}), site=None)


@given(
    rows=st.lists(st.tuples(st.integers(0, 300), st.sampled_from("abc")), min_size=1, max_size=12),
    gap=st.integers(0, 60),
)
def test_bursts_are_the_chains(rows, gap):
    frame = photos([s for s, _ in rows], [site for _, site in rows])
    bursts = group_by_time(frame, gap=gap).to_numpy()
    assert sorted(set(bursts)) == list(range(len(set(bursts))))
    n = len(rows)
    linked = np.array(
        [[a[1] == b[1] and abs(a[0] - b[0]) <= gap for b in rows] for a in rows], dtype=float
    )
    reach = np.linalg.matrix_power(linked, n) > 0
    np.testing.assert_array_equal(bursts[:, None] == bursts[None, :], reach)


@pytest.mark.parametrize("gap", ["soon", -1, "-1s", None])
def test_wrong_gaps(gap):
    with pytest.raises(ValueError, match="'gap' parameter of group_by_time"):
        group_by_time(photos([0, 1]), gap=gap)


def test_wrong_columns():
    with pytest.raises(ValueError, match="no column 'site', which site= asks for"):
        group_by_time(photos([0]), site="site")
    with pytest.raises(ValueError, match="no column 'when', which time= asks for"):
        group_by_time(photos([0]), time="when")
    with pytest.raises(TypeError, match="Got list"):
        group_by_time([1, 2])


def test_empty():
    assert group_by_time(photos([])).tolist() == []


def test_times_whose_format_must_be_told():
    frame = pd.DataFrame({"time": ["03/04/2021 10:00", "03/04/2021 10:01", "04/04/2021 10:00"]})
    with pytest.raises(ValueError, match="Pass time_format='day_first'"):
        group_by_time(frame, site=None)
    bursts = group_by_time(frame, site=None, time_format="day_first")
    assert bursts.tolist() == [0, 0, 1]
    frame = pd.DataFrame({"time": ["30.05.21 10:00", "30.05.21 10:01"]})
    with pytest.raises(ValueError, match="time_format="):
        group_by_time(frame, site=None)
    assert group_by_time(frame, site=None, time_format="%d.%m.%y %H:%M").tolist() == [0, 0]
