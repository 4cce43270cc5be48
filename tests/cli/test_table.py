import os
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.cli.screen import Painted, plain
from onyxstore.cli.table import Column, fit, lay_out, terminal_width, text_width


def printed(table) -> list[str]:
    return [plain(line) for line in table.lines]


def test_columns_are_as_wide_as_their_widest_cell_and_numbers_stand_to_the_right():
    table = lay_out([Column("RUN"), Column("loss", right=True)], [["gpt", "1.5"], ["bert-base", "10"]])
    assert printed(table) == [
        "RUN        loss",
        "gpt         1.5",
        "bert-base    10",
    ]


def test_without_titles_there_is_no_line_for_them():
    assert printed(lay_out([Column(), Column()], [["a", "b"]], indent=2)) == ["  a  b"]


def test_a_table_without_rows_has_its_titles():
    assert printed(lay_out([Column("A"), Column("B")], [])) == ["A  B"]


def test_what_is_empty_at_the_end_of_a_row_takes_no_space():
    (line,) = lay_out([Column(), Column(), Column()], [["a", "", ""]]).lines
    assert line == ["", "a"]


def test_off_a_terminal_nothing_is_cut_or_left_out():
    row = ["x" * 300, "y" * 300]
    assert printed(lay_out([Column(cut=5), Column(optional=True)], [row])) == ["  ".join(row)]


def test_what_may_be_cut_is_cut_first_the_widest_most():
    table = lay_out([Column(cut=4), Column(cut=4), Column(optional=True)], [["a" * 20, "b" * 8, "ccc"]], width=21)
    assert printed(table) == ["aaaaaa…  bbbbbb…  ccc"]


def test_then_what_may_be_left_out_is_left_out_from_the_right_and_named():
    columns = [Column("RUN", cut=4), Column("loss", optional=True), Column("STEP"), Column("lr", optional=True)]
    table = lay_out(columns, [["bert-base", "1.25", "60", "0.1"]], width=16)
    assert (printed(table), table.left_out) == (["RUN   loss  STEP", "ber…  1.25  60"], ["lr"])


def test_what_has_to_be_there_is_there_however_narrow_it_is():
    assert printed(lay_out([Column(), Column(cut=2)], [["abcdef", "ghi"]], width=3)) == ["abcdef  g…"]


def test_escapes_and_wide_characters_are_counted_as_they_are_seen():
    table = lay_out([Column(), Column()], [["\x07", "a"], ["损", "b"], ["e\u0301", "c"]])
    assert printed(table) == ["\\x07  a", "损    b", "e\u0301     c"]


def test_a_style_does_not_count():
    (line,) = lay_out([Column(), Column()], [[Painted("a", "good"), "b"]]).lines
    assert line == ["", Painted("a", "good"), "", "  ", "b"]


@pytest.mark.parametrize(
    ("text", "width", "end", "middle"),
    [
        ("bert-base", 9, "bert-base", "bert-base"),
        ("bert-base", 8, "bert-ba…", "bert…ase"),
        ("bert-base", 2, "b…", "b…"),
        ("bert-base", 1, "…", "…"),
        ("损损损", 5, "损损…", "损…损"),
    ],
)
def test_a_text_is_cut_at_its_end_or_in_its_middle(text, width, end, middle):
    assert (fit(text, width), fit(text, width, middle=True)) == (end, middle)


@given(st.text(), st.integers(1, 30), st.booleans())
def test_a_cut_text_is_never_wider_than_asked_for(text, width, middle):
    assert text_width(fit(text, width, middle=middle)) <= width


@given(st.lists(st.tuples(*[st.text(max_size=40)] * 3), max_size=5), st.integers(11, 100))
def test_a_table_fits_as_soon_as_its_columns_may_be_narrow_enough(rows, width):
    lines = printed(lay_out([Column("A", cut=3), Column("B", cut=3, middle=True), Column("C", cut=1)], rows, width))
    assert len(lines) == len(rows) + 1
    assert max(map(text_width, lines)) <= width


def test_the_terminal_has_a_width_and_a_pipe_has_none(monkeypatch):
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((72, 20)))
    pipe = terminal_width()
    monkeypatch.setattr("onyxstore.cli.screen.is_watched", lambda: True)
    assert (pipe, terminal_width()) == (None, 72)
