import math

import pytest

from onyxstore.cli.figures import age, date, duration, figure, literal, plural, since, size


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((None, "-"), (True, "true"), (False, "false"), (0, "0"), (-12, "-12"), (999_999_999_999, "999999999999")),
        *((10**12, "1e+12"), (-123_456_789_012_345, "-1.2346e+14"), (10**400, "over 1e308"), (-(10**400), "under -1e308")),
        *((0.1234567, "0.12346"), (3.0, "3"), (2e-5, "2e-05"), (1e300, "1e+300"), (-0.0, "-0")),
        *((math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf"), ("a word", "a word")),
    ],
)
def test_a_metric_has_five_digits(value, shown):
    assert figure(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *(("a word", "a word"), ("2", "2"), (None, "null"), (True, "true"), (0.1 + 0.2, "0.30000000000000004"), (math.nan, "nan")),
        *(([0.9, 0.999], "[0.9, 0.999]"), ({"a": [1, None]}, '{"a": [1, null]}'), (["ä"], '["ä"]')),
    ],
)
def test_a_config_value_is_shown_in_full_on_a_line(value, shown):
    assert literal(value) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        *((0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1049, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB")),
        *((43_600_000, "43.6 MB"), (10**9, "1.0 GB"), (10**12, "1.0 TB"), (10**15, "1.0 PB"), (10**19, "10000.0 PB")),
    ],
)
def test_a_size_has_four_digits_and_a_unit(count, shown):
    assert size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        *((-5, "0 s"), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (86_399, "23 h")),
        *((86_400, "1 d"), (14 * 86_400 - 1, "13 d"), (14 * 86_400, "2 w"), (10**10, "16534 w")),
    ],
)
def test_an_age_is_a_whole_number_of_the_largest_unit(seconds, shown):
    assert age(seconds) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0 ms"), (0.0123, "12 ms"), (1, "1.0 s"), (59.9, "59.9 s"), (61, "1 min")])
def test_a_duration_is_finer_below_a_minute(seconds, shown):
    assert duration(seconds) == shown


@pytest.mark.parametrize(("count", "shown"), [(0, "0 commits"), (1, "1 commit"), (1200, "1,200 commits")])
def test_a_noun_goes_with_its_number(count, shown):
    assert plural(count, "commit") == shown


def test_moments_are_local_and_passed_time_is_counted_to_now(clock):
    assert (date(clock.now), since(clock.now - 90)) == ("2026-01-02 12:00:00 +0000", 90)
