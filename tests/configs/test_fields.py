import pytest

from onyxstore.configs.fields import Pattern, Range, above, at_least, between, such_as


@pytest.mark.parametrize(
    ("rule", "inside", "outside"),
    [
        (at_least(1), [1, 1.5, 10**400], [0, 0.999, -1]),
        (above(0), [1e-300, 5], [0, 0.0, -0.0, -1]),
        (between(1, 3), [1, 2, 3], [0, 4]),
        (Range(above=0, at_most=1), [0.1, 1], [0, 1.0001]),
        (Range(at_least=0, below=1), [0, 0.999], [1, -0.1]),
        (Range(), [-1, 0, 1], []),
        (Pattern("^/[!-~]*$", ""), ["/", "/a/b"], ["a", "/ a", "/a\n", "", "x/a"]),
    ],
)
def test_a_rule_says_what_is_inside(rule, inside, outside):
    assert [each for each in inside if each not in rule] == []
    assert [each for each in outside if each in rule] == []


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (at_least(1), "of at least 1"),
        (above(0), "above 0"),
        (between(0, 2**32 - 1), "from 0 to 4294967295"),
        (Range(above=0, at_most=1), "above 0 and of at most 1"),
        (Range(at_least=0, below=1), "of at least 0 and below 1"),
        (such_as("a", "b"), "(for example a, b)"),
        (Pattern("^/", "a path"), "a path"),
    ],
)
def test_a_rule_is_said_in_words(rule, words):
    assert str(rule) == words
