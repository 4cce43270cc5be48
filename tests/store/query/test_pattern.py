import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.store.query.pattern import Pattern


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        ("bert", ["bert"], ["Bert", "bert-2", "a bert", ""]),
        ("bert*", ["bert", "bert-2"], ["a-bert"]),
        ("*bert", ["bert", "a-bert"], ["bert-2"]),
        ("*e*t*", ["bert", "et", "xexxtx"], ["te", "e"]),
        ("a*a", ["aa", "aba", "aaa"], ["a", "ab"]),
        ("**", ["", "anything\nat all"], []),
        ("", [""], ["a"]),
        ("?", ["a", "😀", "\n"], ["", "ab"]),
        ("run-[0-9]", ["run-3"], ["run-x", "run-33"]),
        ("[!ab]c", ["cc"], ["ac", "bc"]),
        ("[]x]", ["]", "x"], ["a"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[[]*[]]", ["[]", "[a]"], ["a"]),
        ("[*?]", ["*", "?"], ["a"]),
        (r"\d+.(x)$^", [r"\d+.(x)$^"], ["1+.x"]),
        ("[&&||~~-]", ["&", "|", "~", "-"], ["a"]),
    ],
)
def test_a_pattern_fits_the_whole_of_a_text(pattern, fits, fits_not):
    made = Pattern(pattern)
    assert ([text for text in fits if not made.matches(text)], [text for text in fits_not if made.matches(text)]) == ([], [])


@pytest.mark.parametrize(
    ("pattern", "why"),
    [*((text, r"has no '\]'") for text in ("a[b", "[", "[]", "[!]")), ("[z-a]", "the range 'z-a' .* goes backwards")],
)
def test_what_is_no_pattern_is_said(pattern, why):
    with pytest.raises(ValueError, match=why):
        Pattern(pattern)


LETTERS = "ab[]!-*?"


@given(st.text(LETTERS, max_size=8), st.text("ab[]!-", max_size=8))
def test_a_pattern_means_what_it_means_to_a_shell(pattern, text):
    try:
        made = Pattern(pattern)
    except ValueError:
        return  # A shell takes these as they are, or for nothing.
    assert made.matches(text) == fnmatch.fnmatchcase(text, pattern)


@given(st.text(max_size=20))
def test_any_text_is_a_pattern_or_a_value_error(pattern):
    try:
        Pattern(pattern).matches(pattern)
    except ValueError as error:
        assert "pattern" in str(error)  # noqa: PT017 - either is fine


def test_a_pattern_that_ruins_others_is_answered():
    """A hundred stars before what does not come: whoever tries every place for each of them would never end."""
    assert not Pattern("*a" * 100 + "b").matches("a" * 5000)
    assert Pattern("*a" * 100).matches("a" * 5000)
