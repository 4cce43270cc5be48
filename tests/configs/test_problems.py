import copy
import errno
import pickle

import pytest

from onyxstore.configs.problems import InvalidConfig, MissingConfigs, Problem
from onyxstore.errors import NotHere, OnyxError


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (Problem(("a", "b", 0), "no such key", "f.yaml", 3, 5), "f.yaml:3:5: a.b.0: no such key"),
        (Problem(("a",), "no such key", "f.yaml"), "f.yaml: a: no such key"),
        (Problem((), "it is no UTF-8 text", "f.yaml", 1), "f.yaml:1: it is no UTF-8 text"),
        (Problem(("a",), "no such key"), "a: no such key"),
        (Problem(("a\x1b[31m\n",), "no such key", "f\ng"), "f\\x0ag: a\\x1b[31m\\x0a: no such key"),
    ],
)
def test_a_problem_is_one_printable_line_with_its_place_first(problem, line):
    assert str(problem) == line


def test_an_error_carries_all_problems_and_says_them_on_one_line():
    problems = (Problem(("a",), "no such key", "f", 1), Problem(("b",), "expected 1, got 2"))
    error = InvalidConfig(problems)
    assert isinstance(error, (OnyxError, ValueError))
    assert error.problems == problems
    assert str(error) == "2 problems: (1) f:1: a: no such key; (2) b: expected 1, got 2"
    assert str(InvalidConfig(problems[:1])) == "f:1: a: no such key"


def test_missing_files_are_named_all_with_what_to_do():
    error = MissingConfigs(("a.yaml", "b\n.yaml"), "write them")
    assert isinstance(error, NotHere)
    assert isinstance(error, FileNotFoundError)
    assert error.errno == errno.ENOENT
    assert str(error) == "not there: a.yaml, b\\x0a.yaml; write them"


@pytest.mark.parametrize("error", [InvalidConfig((Problem(("a",), "x"),)), MissingConfigs(("a",), "b")], ids=lambda error: error.id)
def test_errors_keep_their_fields_between_processes(error):
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own bytes
        assert (type(twin), vars(twin)) == (type(error), vars(error))
