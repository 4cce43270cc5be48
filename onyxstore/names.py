"""What a thing may be called.

One place for every rule: no name from a user, a file or another machine becomes a part of a path unless a function of this
module let it through. Runs and tags are compared without case, because the store may lie on a filesystem that does the same;
their files carry the lower-case form, the spelling is kept inside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from onyxstore.errors import BadName

RESERVED = frozenset({"head", "latest", "best"})
"""Names that a revision already gives a meaning to."""

_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_OUTSIDE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_METRIC = 500
_LONGEST_PATH = 1000


def check_run_name(name: str) -> str:
    """`name` when a run may have it; BadName says why not."""
    return _check_word("run", name)


def check_tag_name(name: str) -> str:
    """`name` when a tag may have it; the rules are those of runs."""
    return _check_word("tag", name)


def fold(name: str) -> str:
    """The form by which runs and tags are compared, and which their files carry."""
    return name.lower()


def run_name_from(text: str) -> str:
    """A run name made of any text: what the pattern lacks becomes `-`."""
    word = _OUTSIDE.sub("-", text).strip("-._")[:90] or "run"
    return f"{word}-run" if fold(word) in RESERVED else word


def check_metric_name(name: object) -> str:
    """`name` when a metric may have it: printable text of up to 500 characters."""
    if type(name) is not str or not name:
        raise BadName("metric", str(name), "it is no text")
    if len(name) > _LONGEST_METRIC:
        raise BadName("metric", f"{name[:40]}…", f"it has {len(name)} characters; {_LONGEST_METRIC} is the most")
    if not name.isprintable():
        raise BadName("metric", name, "it has characters that cannot be printed")
    return name


def check_relative_path(kind: str, path: str) -> str:
    """`path` when it is a plain relative path with `/`, inside the folder it is relative to; BadName otherwise.

    For the names of config snapshots and artifacts, which checkout turns into files.
    """
    if type(path) is not str or not path or len(path.encode("utf-8", "surrogatepass")) > _LONGEST_PATH:
        raise BadName(kind, str(path)[:60], f"it is no text, empty, or longer than {_LONGEST_PATH} bytes")
    if not path.isprintable() or "\\" in path:
        raise BadName(kind, path, "it has a backslash or characters that cannot be printed")
    parts = PurePosixPath(path).parts
    if path.startswith("/") or path.endswith("/") or any(part in {"..", "."} for part in path.split("/")) or "//" in path:
        raise BadName(kind, path, "it is no plain path below a folder")
    if any(len(part.encode()) > 255 for part in parts):
        raise BadName(kind, path[:60], "a part of it is longer than 255 bytes")
    if any(fold(part) in {".onyx", ".git"} for part in parts):
        raise BadName(kind, path, "it would lie inside a store or a git repository")
    return path


def near(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Up to three of `known` that `name` was perhaps meant to be, the likeliest first."""
    import difflib  # noqa: PLC0415 - only a mistake needs it

    spelt = {fold(other): other for other in known}
    return tuple(spelt[match] for match in difflib.get_close_matches(fold(name), list(spelt), n=3, cutoff=0.6))


def _check_word(kind: str, name: str) -> str:
    if type(name) is not str or not _RUN.fullmatch(name):
        shown = str(name) if len(str(name)) <= 60 else f"{str(name)[:60]}…"
        raise BadName(kind, shown, "letters, digits, '.', '_' and '-' only, a letter or digit first, 100 at most")
    if fold(name) in RESERVED:
        raise BadName(kind, name, "the word is reserved")
    return name
