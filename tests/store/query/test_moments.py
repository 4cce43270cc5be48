import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.store.query.moments import read_moment
from tests.store.query.conftest import DAY, NOW

HOUR = DAY // 24


@pytest.fixture(autouse=True)
def _somewhere(monkeypatch):
    """Where the sun rises earlier."""
    monkeypatch.setenv("TZ", "XYZ-02:00")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "ago"),
    [("0s", 0), ("90 min", 1.5 * HOUR), ("2d", 2 * DAY), ("1.5h", 1.5 * HOUR), ("3w", 21 * DAY), ("10 s", 10 * HOUR // 3600)],
)
def test_how_long_ago_counts_back_from_now(text, ago):
    assert read_moment(text, NOW) == NOW - ago


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        *(("1970-01-02", 22), ("1970-01-02 02:00", 24), ("1970-01-02T02:00:00", 24), ("1969-12-31", -26)),
        *(("1970-01-01 00:00Z", 0), ("1970-01-01T05:30+05:30", 0)),
    ],
)
def test_a_date_is_its_beginning_in_local_time_unless_it_names_another(text, hours):
    assert read_moment(text, NOW) == hours * HOUR


def test_parts_of_a_second_count():
    assert read_moment("1970-01-01 00:00:01.000250Z", NOW) == 1_000_250_000


NO_MOMENTS = ["", "yesterday", "2 m", "2", "d", "1e3 s", "-2d", "2d ", "2026-13-01", "2026-02-30", "2026-1-1", "20260101", "01.02.2026"]


@pytest.mark.parametrize("text", NO_MOMENTS)
def test_what_is_no_moment_is_said(text):
    with pytest.raises(ValueError, match="moment"):
        read_moment(text, NOW)


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31", "0001-01-01 00:00+14:00"])
def test_the_first_and_the_last_days_are_moments_or_said_to_be_none(text):
    try:
        assert isinstance(read_moment(text, NOW), int)
    except ValueError as error:
        assert "moment" in str(error)  # noqa: PT017 - either is fine


@given(st.integers(0, 10**8), st.integers(0, 10**8), st.sampled_from(["s", "min", "h", "d", "w"]))
def test_a_longer_time_ago_is_earlier(count, more, unit):
    assert read_moment(f"{count + more}{unit}", NOW) <= read_moment(f"{count}{unit}", NOW) <= NOW
