from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.history import notebook

HOSTILE = "<script>alert('x')</script>\x1b[2J\u202e&\"</td>"


class Seen(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):  # noqa: ARG002 - the signature is HTMLParser's
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


@given(st.text(max_size=50) | st.just(HOSTILE))
def test_any_text_is_shown_as_it_reads_and_makes_no_tag(text):
    page = notebook.page(notebook.heading(text, text), notebook.table([text], [[text]]))
    seen = Seen(page)
    assert seen.tags == ["div", "p", "strong", "table", "thead", "tr", "th", "tbody", "tr", "td"]
    assert seen.text.isprintable()
    assert seen.text.count("\x1b") == 0


def test_a_hostile_name_is_spelt_out():
    assert Seen(notebook.page(notebook.heading(HOSTILE))).text == "<script>alert('x')</script>\\x1b[2J\\x202e&\"</td>"


@pytest.mark.parametrize("values", [[], [1.0], [np.nan, np.inf, 1.0]])
def test_fewer_than_two_finite_values_are_no_curve(values):
    assert notebook.sparkline(values).text == ""


def test_a_curve_leaves_out_what_is_not_finite_and_stays_in_its_frame():
    for values in ([0.0, np.nan, 1.0], [1.7e308, -np.inf, -1.7e308], [2, 2], list(range(100_000))):
        text = notebook.sparkline(values).text
        points = text.partition('points="')[2].partition('"')[0].split()
        places = [tuple(map(float, point.split(","))) for point in points]
        assert 2 <= len(places) <= 120
        assert all(0 <= x <= 120 and 0 <= y <= 24 for x, y in places)


def test_values_have_five_digits_and_none_is_empty():
    assert [notebook.shown(value) for value in (0.123456789, 12, True, None, float("nan"))] == ["0.12346", "12", "True", "", "nan"]
