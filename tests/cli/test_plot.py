import re
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.cli import plot, screen
from onyxstore.cli.plot import Curve, draw
from onyxstore.cli.table import text_width

BRAILLE = re.compile("[\u2801-\u28ff]")


def curve(label, xs, ys):
    return Curve(label, np.array(xs, np.float64), np.array(ys, np.float64))


def plain(drawn):
    return [screen.plain(line) for line in drawn.lines]


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(screen, "is_watched", lambda: True)
    monkeypatch.setattr(screen, "can_write", lambda _: True)
    monkeypatch.setenv("TERM", "xterm")


def test_off_a_terminal_curves_are_plain_ascii():
    drawn = draw("loss", [curve("a", [0, 1, 2, 3], [3, 2, 1, 0]), curve("b", [3], [3])], "step", 40)
    assert plain(drawn) == [
        "loss",
        "  3 |a.                               b",
        "    |  ..",
        "    |    ..",
        "    |      ..",
        "    |        ..",
        "    |          .a.",
        "    |             ...",
        "1.5 |                ..",
        "    |                  ...",
        "    |                     .a.",
        "    |                        ..",
        "    |                          ..",
        "    |                            ..",
        "    |                              ..",
        "  0 |                                .a",
        "    +----------------------------------",
        "     0                                3",
        "     step   a a   b b",
    ]
    assert "".join(plain(drawn)).isascii()


def test_what_is_nan_or_infinite_or_without_an_epoch_is_left_out_and_counted():
    drawn = draw("loss", [curve("a", [0, 1, np.nan, 3], [1, np.nan, 2, np.inf]), curve("b", [0], [5])], "epoch", 40)
    assert drawn.left_out == {"a": 3}
    assert plain(draw("loss", [curve("a", [0], [np.nan])], "step", 40)) == ["loss", "  no point that could be drawn"]


@given(
    st.lists(st.tuples(st.floats(width=64), st.floats(width=64)), max_size=30),
    st.integers(1, 200),
)
def test_any_values_are_drawn_within_the_width(points, width):
    xs, ys = [x for x, _ in points], [y for _, y in points]
    drawn = draw("m" * 100, [curve("run" * 30, xs, ys), curve("b", xs, ys), curve("a longer name", xs, ys)], "step", width)
    assert all(len(line) <= max(width, plot.NARROWEST) for line in plain(drawn))
    assert drawn.left_out.get("b", 0) == sum(not (np.isfinite(x) and np.isfinite(y)) for x, y in points)


def test_at_a_terminal_plotille_draws_with_a_colour_for_each_curve(terminal, monkeypatch):
    pytest.importorskip("plotille")
    monkeypatch.delenv("NO_COLOR", raising=False)
    drawn = draw("loss", [curve("a", range(9), range(9)), curve("b", range(9), range(8, -1, -1))], "step", 60)
    cells = [cell for line in drawn.lines if isinstance(line, list) for cell in line if isinstance(cell, screen.Painted)]
    assert {cell.style for cell in cells if BRAILLE.search(cell.text)} == {"live", "good"}
    assert all(text_width(line) <= 60 for line in plain(drawn))
    assert plain(drawn)[-1].endswith("step   ● a   ● b")


def test_where_colours_cannot_tell_curves_apart_letters_do(terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    two = [curve("a", [0, 1], [0, 1]), curve("b", [0, 1], [1, 0])]
    assert "".join(plain(draw("loss", two, "step", 60))).isascii()
    monkeypatch.delenv("NO_COLOR")
    many = [curve(str(number), [0, 1], [0, number]) for number in range(60)]
    assert "".join(plain(draw("loss", many, "step", 60))).isascii()


@pytest.mark.usefixtures("terminal")
def test_without_plotille_and_where_dots_cannot_be_written_it_is_ascii(monkeypatch):
    one = [curve("a", [0, 1], [0, 1])]
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "plotille", None)
        assert not plot.has_plotille()
        assert "".join(plain(draw("loss", one, "step", 60))).isascii()
    monkeypatch.setattr(screen, "can_write", lambda _: False)
    assert "".join(plain(draw("loss", one, "step", 60))).isascii()


@pytest.mark.usefixtures("terminal")
def test_of_very_many_points_the_lowest_and_highest_of_each_column_are_drawn():
    pytest.importorskip("plotille")
    xs = np.arange(1_000_000.0)
    ys = np.zeros(1_000_000)
    ys[123_456], ys[654_321] = 1.0, -1.0
    lines = plain(draw("loss", [Curve("a", xs, ys)], "step", 80))
    assert (BRAILLE.search(lines[1]) is not None, BRAILLE.search(lines[plot.HEIGHT]) is not None) == (True, True)


def test_a_name_cannot_speak_to_the_terminal():
    drawn = draw("\x1b[2J\u202e", [curve("\x07a", [0, 1], [0, 1]), curve("b", [0], [0])], "step", 60)
    assert all(line.isprintable() for line in plain(drawn))
