import copy
import errno
import inspect
import pickle
import re
from dataclasses import MISSING, fields

import pytest

from onyxstore import errors
from onyxstore.errors import (
    AmbiguousRevision,
    BadConfig,
    BadName,
    CannotEncode,
    CorruptFile,
    CorruptObject,
    DiskError,
    DiskFull,
    MissingPackage,
    NotHere,
    ObjectMissing,
    OnyxError,
    ReadOnly,
    StoreNotFound,
    UnknownName,
    UnknownRevision,
    WouldOverwrite,
    disk_error,
    short_words,
)

CLASSES = sorted(
    (each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, OnyxError)), key=lambda each: each.__name__
)
SAMPLES = {"bool": True, "str": "a\x1b[31mb", "int": 3, "float": 2.5, "int | None": 7, "tuple[str, ...]": ("x\ny", "z")}


def sample(kind):
    """An error of a class with a value in every field; texts hold what should not reach a terminal."""
    return kind(**{each.name: SAMPLES[each.type] for each in fields(kind)})


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
class TestEveryError:
    def test_says_it_in_one_printable_line(self, kind):
        line = str(sample(kind))
        assert line
        assert line.isprintable()
        assert not re.search(r"[{}]", line)

    def test_keeps_its_fields_between_processes(self, kind):
        error = sample(kind)
        for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own bytes
            assert type(twin) is kind
            assert [getattr(twin, each.name) for each in fields(kind)] == [getattr(error, each.name) for each in fields(kind)]

    def test_has_an_exit_code_and_an_id_of_its_own(self, kind):
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.id)
        assert [each.__name__ for each in CLASSES if each.id == kind.id] == [kind.__name__]
        assert kind.exit_code in {1, 2, 128}

    def test_is_drawn_in_the_tree(self, kind):
        assert re.search(rf"(?m)^\s*(?:[│ ]*[├└]── )?{kind.__name__}\b", errors.__doc__)

    def test_can_be_raised_with_its_required_fields_alone(self, kind):
        required = [each for each in fields(kind) if each.default is MISSING]
        with pytest.raises(OnyxError):
            raise kind(*(SAMPLES[each.type] for each in required))


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (StoreNotFound("/a"), "no store in /a; make one with 'onyx init', or name one with -C DIR or --store PATH"),
        (
            StoreNotFound("/a", is_above_searched=True),
            "no store in /a or above it; make one with 'onyx init', or name one with -C DIR or --store PATH",
        ),
        (UnknownRevision("ber", ("bert", "best")), "no commit is called 'ber'; did you mean 'bert' or 'best'?"),
        (
            UnknownRevision("x", why="the run has no commit at step 5"),
            "no commit is called 'x': the run has no commit at step 5; 'onyx log' lists the commits, 'onyx runs' the runs",
        ),
        (UnknownName("metric", "los", "run 'a'", ("loss",)), "run 'a' has no metric called 'los'; did you mean 'loss'?"),
        (UnknownName("metric", "los", "run 'a'"), "run 'a' has no metric called 'los'"),
        (BadName("run", "a b", "no spaces"), "'a b' cannot name a run: no spaces"),
        (BadConfig("t.yaml", "the key 'a' stands twice", 3, 1), "t.yaml:3:1: the key 'a' stands twice"),
        (BadConfig("t.yaml", "it is no UTF-8 text"), "t.yaml: it is no UTF-8 text"),
        (CannotEncode("a.0", "a function"), "a.0 cannot be stored: a function; keep it out of the state, or hand in its plain values"),
        (
            WouldOverwrite(tuple("abcde")),
            "checkout would overwrite what changed in a, b, c and 2 more; commit it, move it away, use --to DIR, or --force",
        ),
        (DiskError("reading", "f", errno.EIO), "reading f failed: Input/output error"),
        (BadName("run", "{what}", "it has braces"), "'{what}' cannot name a run: it has braces"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, OnyxError) else "",
)
def test_the_words_of_an_error_are_these(error, line):
    assert str(error) == line


@pytest.mark.parametrize(
    ("kind", "parent"),
    [
        (StoreNotFound, FileNotFoundError),
        (UnknownName, LookupError),
        (BadConfig, ValueError),
        (CannotEncode, TypeError),
        (DiskFull, OSError),
    ],
)
def test_an_error_is_the_builtin_that_a_caller_expects(kind, parent):
    with pytest.raises(parent):
        raise sample(kind)


@pytest.mark.parametrize(
    ("action", "number", "kind"),
    [
        ("writing", errno.ENOSPC, DiskFull),
        ("writing", errno.EDQUOT, DiskFull),
        ("writing", errno.EROFS, ReadOnly),
        ("making", errno.EACCES, ReadOnly),
        ("reading", errno.EACCES, DiskError),
        ("writing", errno.EIO, DiskError),
        ("writing", None, DiskError),
    ],
)
def test_a_failed_system_call_becomes_the_error_that_says_what_to_do(action, number, kind):
    failed = OSError(number, "x") if number else OSError("x")
    error = disk_error(action, "f", failed)
    assert (type(error), error.action, error.file, error.errno) == (kind, action, "f", number or 0)


def test_errors_are_no_values_that_compare_by_their_fields():
    assert StoreNotFound("a") != StoreNotFound("a")
    assert len({StoreNotFound("a"), StoreNotFound("a")}) == 2


def test_one_kind_catches_all_that_does_not_exist():
    assert {each.__name__ for each in CLASSES if issubclass(each, NotHere)} == {
        *("NotHere", "StoreNotFound", "UnknownRevision", "AmbiguousRevision", "UnknownName", "ObjectMissing", "CheckpointPruned"),
        "MissingPackage",
    }


def test_a_missing_package_says_how_to_get_it_and_is_an_import_error():
    error = MissingPackage("tracking backend 'wandb'", "wandb", "wandb")
    assert isinstance(error, ImportError)
    assert str(error) == "tracking backend 'wandb' needs the package wandb: it is not installed; pip install 'onyxstore[wandb]'"


def test_an_ambiguity_lists_its_candidates_as_words():
    assert "'x' or 'y'" in str(AmbiguousRevision("ab", ("x", "y")))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (CorruptObject("ab" * 32, "/home/me/.onyx/x", "its bytes have another address"), "its bytes have another address"),
        (CorruptFile("/home/me/.onyx/x", "it ends early"), "it ends early"),
        (ObjectMissing("ab" * 32), "the store does not hold ababababab"),
        (DiskError("reading", "/home/me/.onyx/x", errno.EIO), "reading it failed: Input/output error"),
        (FileNotFoundError(2, "No such file", "/home/me/.onyx/x"), "it is missing"),
        (ValueError("it is no line"), "it is no line"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_short_words_name_no_path_and_give_no_hint(error, words):
    assert short_words(error) == words
