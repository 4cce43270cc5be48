"""How much the library says while trackers are on."""

import logging

import pytest

from onyxstore.errors import BadInput
from onyxstore.tracking.log_level import LogLevel

LOGGER = logging.getLogger("onyxstore")


@pytest.fixture(autouse=True)
def _before():
    before = LOGGER.level
    LOGGER.setLevel(logging.ERROR)
    yield
    LOGGER.setLevel(before)


def test_the_level_holds_until_it_is_given_back_and_is_then_what_it_was():
    level = LogLevel("debug")
    assert LOGGER.level == logging.ERROR
    level.set()
    assert LOGGER.level == logging.DEBUG
    level.give_back()
    level.give_back()
    assert LOGGER.level == logging.ERROR


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1)])
def test_of_several_the_one_that_began_last_decides_whichever_ends_first(order):
    levels = [LogLevel(name) for name in ("DEBUG", "INFO", "WARNING")]
    numbers = [logging.DEBUG, logging.INFO, logging.WARNING]
    for level in levels:
        level.set()
    left = [0, 1, 2]
    for number in order:
        assert LOGGER.level == numbers[left[-1]]
        levels[number].give_back()
        left.remove(number)
    assert LOGGER.level == logging.ERROR


@pytest.mark.parametrize(("word", "advice"), [("DEBGU", "; did you mean 'DEBUG'?"), (10, "")])
def test_a_word_that_is_no_level_is_refused(word, advice):
    with pytest.raises(BadInput) as caught:
        LogLevel(word)
    assert str(caught.value) == f"log_level is no level of logging: {word!r}{advice}"
