"""Revisions: what a user types for a commit.

Tried in this order: HEAD, `latest`, `best`, a tag, a run (its latest), `RUN@latest`, `RUN@best`, `RUN@step:N`, `RUN@epoch:N`, and
a prefix of 4 or more digits of an address. Behind any of them `~N` goes N first parents back, and behind a ref `@{N}` goes back
N moves of it, behind one that is gone too. When HEAD named a run then, that is the commit which the run had come to when HEAD left it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from onyxstore.disk import files
from onyxstore.disk.refs import BEST, HEAD, LATEST, RUNS, TAGS, run_ref, tag_ref
from onyxstore.errors import AmbiguousRevision, BadInput, BadName, CorruptObject, ObjectMissing, UnknownRevision
from onyxstore.hashing import Address, short
from onyxstore.history import runs
from onyxstore.history.graph import first_parents
from onyxstore.names import check_run_name, fold, near
from onyxstore.store.doors import Doors

LONGEST = 250
"""Characters: a run's name and some steps back. Each `~` is a call within a call."""

_STEPS_BACK = re.compile(r"(?P<base>.+?)~(?P<count>\d{0,9})")
_MOVES_BACK = re.compile(r"(?P<base>.+?)@\{(?P<count>\d{1,9})\}")
_MOMENT = re.compile(r"(?P<run>[^@]+)@(?P<kind>step|epoch):(?P<value>-?\d{1,18}(\.\d{1,9})?)")
_PREFIX = re.compile(r"[0-9a-f]{4,64}")


def resolve(doors: Doors, revision: str) -> Address:
    """The commit that `revision` names; UnknownRevision with near matches, or AmbiguousRevision with the candidates."""
    if type(revision) is not str:
        raise BadInput(f"a revision is text, not a {type(revision).__name__}; a commit's is its address")
    if len(revision) > LONGEST:
        raise UnknownRevision(f"{revision[:60]}…", why="it is longer than any revision")
    if back := _STEPS_BACK.fullmatch(revision):
        return _back(doors, revision, resolve(doors, back["base"]), int(back["count"] or 1))
    if moves := _MOVES_BACK.fullmatch(revision):
        return _moves_back(doors, revision, moves["base"], int(moves["count"]))
    if moment := _MOMENT.fullmatch(revision):
        return _at_moment(doors, revision, moment["run"], moment["kind"], moment["value"])
    name = find_ref(doors, revision)
    if name is not None:
        return _of_ref(doors, revision, name)
    if _PREFIX.fullmatch(revision.lower()):
        return _by_prefix(doors, revision.lower())
    raise UnknownRevision(revision, near(revision.split("@", 1)[0], known_names(doors)))


def find_ref(doors: Doors, text: str) -> str | None:
    """The ref that `text` names by itself (`best`, a tag, a run, `RUN@best`), if it names one."""
    if text == HEAD:
        return HEAD
    if fold(text) in {LATEST, BEST}:
        return fold(text)
    base, _, which = text.partition("@")
    try:
        check_run_name(base if which else text)  # `RUN@` is half of a revision, and so none
    except BadName:
        return None
    if not which and doors.refs.read(tag_ref(fold(base))):
        return tag_ref(fold(base))
    if which in {"", LATEST, BEST} and runs.run_exists(doors.layout, base):
        return run_ref(fold(base), which or LATEST)
    return None


def find_logged_ref(doors: Doors, text: str) -> str | None:
    """The ref that `text` names, or named before it was taken away: one whose moves are known."""
    name = find_ref(doors, text)
    if name is not None:
        return name
    base, _, which = text.partition("@")
    try:
        check_run_name(base if which else text)
    except BadName:
        return None
    gone = [tag_ref(fold(base))] if not which else []
    gone += [run_ref(fold(base), which or LATEST)] if which in {"", LATEST, BEST} else []
    logged = doors.refs.logged_names()
    return next((name for name in gone if name in logged), None)


def typed_ref(doors: Doors, name: str) -> str:
    """A ref's name as one types it."""
    kind, _, rest = name.partition("/")
    if kind == TAGS:
        held = [doors.refs.read(name), *(move.new or move.old for move in reversed(doors.refs.moves(name)))]
        return next((str(ref["name"]) for ref in held if ref is not None and "name" in ref), rest)
    run, _, which = rest.partition("/")
    if kind != RUNS:
        return name
    return f"{doors.state(run).name if runs.run_exists(doors.layout, run) else run}@{which}"


def known_names(doors: Doors) -> list[str]:
    """Every run, tag and fixed name that a revision can begin with."""
    tags = [str(ref.get("name", name)) for name in doors.refs.names() if name.startswith("tags/") and (ref := doors.refs.read(name))]
    return [HEAD, LATEST, BEST, *tags, *(state.name for state in doors.states())]


def commits_with_prefix(doors: Doors, prefix: str) -> Iterator[Address]:
    """Every commit whose address begins with `prefix`."""
    folder = doors.layout.objects / prefix[:2]
    for name in files.list_folder(folder):
        address = Address(prefix[:2] + name)
        if len(address) == 64 and address.startswith(prefix):
            try:
                doors.commit(address)
            except (CorruptObject, ObjectMissing):
                continue
            yield address


def _of_ref(doors: Doors, revision: str, name: str) -> Address:
    ref = doors.refs.read(name)
    if ref and "run" in ref:
        ref = doors.refs.read(run_ref(fold(ref["run"]), LATEST))
    if ref is None:
        what = {HEAD: _no_head(doors), BEST: "no commit was best yet", LATEST: "nothing was committed yet"}
        raise UnknownRevision(revision, why=what.get(name, "it has no such commit yet"))
    return Address(ref["commit"])


def _no_head(doors: Doors) -> str:
    """Why HEAD names nothing: runs don't move it, and somebody who has only those may look for them there."""
    hint = ", and 'latest' names the newest commit of any run" if doors.refs.read(LATEST) else ""
    return f"nothing was committed with 'onyx commit' yet{hint}"


def _back(doors: Doors, revision: str, start: Address, count: int) -> Address:
    for number, (address, _) in enumerate(first_parents(doors.commit, start)):
        if number == count:
            return address
    raise UnknownRevision(revision, why=f"its line has only {number} commits before {short(start)}")


def _moves_back(doors: Doors, revision: str, base: str, count: int) -> Address:
    name = find_logged_ref(doors, base)
    if name is None:
        raise UnknownRevision(revision, near(base, known_names(doors)), f"'{base}' is no ref")
    moves = doors.refs.moves(name)[::-1]
    if count >= len(moves):
        raise UnknownRevision(revision, why=f"'{base}' moved {len(moves)} times" if len(moves) != 1 else f"'{base}' moved only once")
    ref = moves[count].new
    if ref is not None and "run" in ref:
        left = moves[count - 1].time if count else None
        return _when_left(doors, revision, str(ref["run"]), left)
    if ref is None or "commit" not in ref:
        raise UnknownRevision(revision, why=f"'{base}' named no commit then")
    return Address(ref["commit"])


def _when_left(doors: Doors, revision: str, run: str, left: int | None) -> Address:
    """The commit that a run had come to when HEAD left it (ns; None: it has not)."""
    name = run_ref(fold(run), LATEST)
    before = [move.new for move in doors.refs.moves(name) if left is None or move.time <= left]
    # The call that moved HEAD on may have been the one that took the run's refs away: what they held before that is meant.
    ref = next((each for each in reversed(before) if each is not None), None)
    if ref is None:
        raise UnknownRevision(revision, why=f"HEAD named run '{run}' then, of which nothing is known any more")
    return Address(ref["commit"])


def _at_moment(doors: Doors, revision: str, run: str, kind: str, value: str) -> Address:
    if find_ref(doors, run) is None or not runs.run_exists(doors.layout, run):
        raise UnknownRevision(revision, near(run, (state.name for state in doors.states())), f"there is no run '{run}'")
    wanted = float(value) if "." in value else int(value)
    seen: dict[float, Address] = {}
    for address, record in doors.line(run):
        found = record.step if kind == "step" else record.epoch
        if found == wanted:
            return address
        if found is not None:
            seen.setdefault(found, address)
    nearest = sorted(seen, key=lambda found: abs(found - wanted))[:2]
    names = tuple(f"{run}@{kind}:{found:g}" if found % 1 else f"{run}@{kind}:{int(found)}" for found in sorted(nearest))
    raise UnknownRevision(revision, names, f"no commit of '{run}' has that {kind}")


def _by_prefix(doors: Doors, prefix: str) -> Address:
    found = list(commits_with_prefix(doors, prefix))
    if len(found) == 1:
        return found[0]
    if not found:
        raise UnknownRevision(prefix, near(prefix, known_names(doors)), "no commit's address begins with it")
    raise AmbiguousRevision(prefix, tuple(f"{short(address)} ({doors.commit(address).message})" for address in found))
