"""The store: what one opens, and what its verbs hang on.

Every method is one call of the module that its verb is named for. A Store reads afresh at each call.

A verb's module is imported by the method that calls it. All of them together take a third of a second, half of that for numpy, and
`onyx log` waits for every millisecond of it; a test holds what opening a store loads.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from onyxstore.disk.layout import STORE_FOLDER, create_layout, find_layout
from onyxstore.disk.refs import TAGS, Reason, new_call, swap, tag_ref, to
from onyxstore.errors import BadName, NameTaken, StoreNotFound, UnknownName
from onyxstore.hashing import Address
from onyxstore.names import check_run_name, check_tag_name, fold, near
from onyxstore.store import revisions
from onyxstore.store.doors import Doors, open_doors
from onyxstore.store.settings import TEMPLATE, Settings
from onyxstore.store.trash import TrashView
from onyxstore.store.views import Commit, RunView

if TYPE_CHECKING:
    from onyxstore.store.adding import Addition
    from onyxstore.store.checkout import CheckoutOptions, CheckoutPlan, CheckoutReport
    from onyxstore.store.diff import Difference
    from onyxstore.store.fsck import FsckReport
    from onyxstore.store.gc import GcPlan, GcReport
    from onyxstore.store.moves import RefMove
    from onyxstore.store.query.run import RunList
    from onyxstore.store.run import Run
    from onyxstore.store.starting import Resume
    from onyxstore.store.undo import UndoPlan, UndoReport
    from onyxstore.store.usage import Usage
    from onyxstore.store.whence import Whence

_log = logging.getLogger("onyxstore")


class StartKeywords(TypedDict, total=False):
    """The keywords of `Store.start_run`."""

    configs: Mapping[str, Any] | None
    labels: Sequence[str]
    group: str | None
    parent: str | None
    best_metric: str | None
    best_mode: str
    max_checkpoints: int | Literal["settings"] | None
    resume: Resume


class Store:
    """One `.onyx` directory. Get one by `Store.open` or `Store.init`."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self.trash = TrashView(doors)
        """Removed runs, and what a gc set aside: `list`, `remove`, `restore`, `purge`."""

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None) -> Store:
        """The store in the folder `path`; without it the one that ONYX_STORE names, else the nearest at or above the working directory.

        StoreNotFound, FormatTooNew, CorruptFile, BadSetting.
        """
        if path is not None:
            return cls(open_doors(Path(path) / STORE_FOLDER))
        # The one place where the library asks the environment which store is meant.
        named = os.environ.get("ONYX_STORE")
        return cls(open_doors(Path(named) if named else find_layout(Path.cwd()).root))

    @classmethod
    def init(cls, path: str | os.PathLike[str] = ".") -> Store:
        """Makes a store in the folder `path`, which is made too; one that is there already is opened, and that is said."""
        root = Path(path).absolute() / STORE_FOLDER
        try:
            existing = cls(open_doors(root))
        except StoreNotFound:
            create_layout(root, TEMPLATE)
            return cls(open_doors(root))
        _log.warning("there is a store in %s already", path)
        return existing

    @property
    def folder(self) -> Path:
        """The folder that holds the store; config paths are relative to it."""
        return self._doors.layout.folder

    @property
    def settings(self) -> Settings:
        """The store's settings as they were when it was opened."""
        return self._doors.settings

    # ------------------------------------------------------------------------------------------------------------ writing

    def start_run(  # noqa: PLR0913 - keywords are the verb's options; at a call they read better than an object of options
        self,
        name: str | None = None,
        *,
        configs: Mapping[str, Any] | None = None,
        labels: Sequence[str] = (),
        group: str | None = None,
        parent: str | None = None,
        best_metric: str | None = None,
        best_mode: str = "min",
        max_checkpoints: int | Literal["settings"] | None = "settings",
        resume: Resume = False,
    ) -> Run:
        """Starts a run, makes its first commit, and holds its lock until it is finished.

        `configs` maps names to files (by their bytes) or values. A name that is taken becomes the next free one (`bert-2`, in the
        group of `bert`), and that is said; with `resume=True` the run of that name goes on from its latest whole checkpoint, what it
        logged after that is superseded (`"append"`: nothing is). `parent` is a revision to fork from. `best` follows `best_metric`.
        `max_checkpoints=None` keeps all; not given, the settings say. With RANK other than 0 the run writes nothing.
        RunIsLive when another process writes the run that is to be resumed; BadName, BadConfig, BadInput, UnknownRevision.
        """
        from onyxstore.store.onlooker import look_on
        from onyxstore.store.starting import StartOptions, begin_run

        options = StartOptions(
            name=name,
            configs=configs,
            labels=labels,
            group=group,
            parent=parent,
            best_metric=best_metric,
            best_mode=best_mode,
            max_checkpoints=max_checkpoints,
            resume=resume,
        )
        # The one place where the library asks the environment which rank this is (torchrun and accelerate set it).
        if os.environ.get("RANK", "") not in {"", "0"}:
            return look_on(self._doors, options)
        return begin_run(self._doors, options)

    def add_commit(self, addition: Addition) -> Commit:
        """Makes a commit of files, without a live run: `onyx commit`. It goes to the run that HEAD names."""
        from onyxstore.store.adding import add_commit

        return Commit(self._doors, add_commit(self._doors, addition))

    def tag(self, name: str, revision: str = "HEAD") -> Commit:
        """Names a commit for good: its checkpoint is never pruned. NameTaken, BadName, UnknownRevision."""
        address = revisions.resolve(self._doors, revision)
        ref = tag_ref(fold(check_tag_name(name)))
        if self._doors.refs.read(ref) is not None:
            raise NameTaken("tag", name)
        self._doors.refs.update({ref: swap(ref, None, {"commit": address, "name": name})}, Reason(f"tag {name}", new_call()))
        return Commit(self._doors, address)

    def delete_tag(self, name: str) -> None:
        """Takes a tag away; the reflog keeps where it pointed. UnknownName."""
        ref = tag_ref(fold(check_tag_name(name)))
        if self._doors.refs.read(ref) is None:
            raise UnknownName("tag", name, "the store", near(name, self.tags()))
        self._doors.refs.update({ref: to(None)}, Reason(f"delete tag {name}", new_call()))

    # ------------------------------------------------------------------------------------------------------------ reading

    def run(self, name: str) -> RunView:
        """A run, for reading; UnknownName with near matches."""
        with contextlib.suppress(BadName):
            # First: a name that no run can have might lead out of the store.
            view = RunView(self._doors, check_run_name(name))
            if view.exists:
                return view
        raise UnknownName("run", str(name), "the store", near(str(name), (state.name for state in self._doors.states())))

    def runs(self, where: str | None = None, *, sort: str | None = None) -> RunList:
        """The runs for which a query holds (all without one), newest first; `sort` by a metric, config key or field, `-name` falling.

        What a query can ask is in docs/queries.md. What is damaged is said, and `damaged` has it. BadQuery, UnknownName.
        """
        from onyxstore.store.query.run import query_runs

        return query_runs(self._doors, where, sort)

    def commit(self, revision: str) -> Commit:
        """The commit that a revision names; UnknownRevision with near matches, AmbiguousRevision."""
        return Commit(self._doors, revisions.resolve(self._doors, revision))

    def commits(self, revision: str | None = None, *, count: int | None = None) -> list[Commit]:
        """The commits that `revision` comes from, itself first; without one all of all runs. Newest first, no child below its parent.

        The first `count` of many are read without the others.
        """
        from onyxstore.store.newest import list_commits

        return [Commit(self._doors, address) for address in list_commits(self._doors, revision, count)]

    def tags(self) -> dict[str, Commit]:
        """Every tag, as it was spelt, with its commit."""
        refs = [ref for name in self._doors.refs.names(TAGS) if (ref := self._doors.refs.read(name)) is not None]
        return {ref["name"]: Commit(self._doors, Address(ref["commit"])) for ref in refs}

    def diff(self, old: str = "HEAD", new: str | None = None, *, tensors: bool | str = False) -> Difference:
        """What differs between two commits: configs, metrics, code, environment, and tensors when asked (of a part: by its name).

        Without `new`: between a commit and the config files as they lie here. CheckpointPruned when tensors that differ are gone.
        """
        from onyxstore.store.diff import compare_commits

        return compare_commits(self._doors, self.commit(old), None if new is None else self.commit(new), tensors=tensors)

    def whence(self, path: str | os.PathLike[str]) -> Whence:
        """The commits that hold the tensors of a `.safetensors` file, whatever they are called there; it prints itself. BadFile."""
        from onyxstore.store.whence import find_origins

        return find_origins(self._doors, Path(path))

    # --------------------------------------------------------------------------------------------------------------- care

    def plan_checkout(self, revision: str, options: CheckoutOptions | None = None) -> CheckoutPlan:
        """The files that a checkout would write; the plan prints itself, and `execute` writes."""
        from onyxstore.store.checkout import CheckoutOptions, plan_checkout

        return plan_checkout(self._doors, self.commit(revision), revision, options or CheckoutOptions())

    def checkout(self, revision: str, options: CheckoutOptions | None = None) -> CheckoutReport:
        """Writes a commit's configs and checkpoint as plain files. WouldOverwrite when that would lose something."""
        return self.plan_checkout(revision, options).execute()

    def plan_gc(self) -> GcPlan:
        """What gc would do; the plan prints itself, and `execute` carries it out, once."""
        from onyxstore.store.gc import plan_gc

        return plan_gc(self._doors)

    def gc(self) -> GcReport:
        """Enforces retention, sweeps what nothing refers to, empties the trash of what has had its grace."""
        return self.plan_gc().execute()

    def usage(self) -> Usage:
        """What the store's bytes are for: by run, by part of the checkpoints, and on the disk. It prints itself."""
        from onyxstore.store.usage import measure_usage

        return measure_usage(self._doors)

    def plan_undo(self, ref: str | None = None) -> UndoPlan:
        """What takes back the last call that moved refs, or the last move of one ref; it prints itself, and `execute` does it. Refused."""
        from onyxstore.store.undo import plan_undo

        return plan_undo(self._doors, ref)

    def undo(self, ref: str | None = None) -> UndoReport:
        """Takes back the last call that moved refs, or the last move of one ref, but never what a live run moved. Refused, UnknownName."""
        return self.plan_undo(ref).execute()

    def reflog(self, ref: str | None = None) -> list[RefMove]:
        """The moves of a ref, of all refs without one, newest first; UnknownName."""
        from onyxstore.store.moves import read_moves

        return read_moves(self._doors, ref)

    def fsck(self) -> FsckReport:
        """Reads every byte: what is damaged, and what a crash left."""
        from onyxstore.store.fsck import check_store

        return check_store(self._doors)


def start_run(name: str | None = None, **options: Unpack[StartKeywords]) -> Run:
    """`Store.start_run` on the nearest store, or on one made in the working directory, and then it is said where."""
    try:
        store = Store.open()
    except StoreNotFound:
        if "ONYX_STORE" in os.environ:
            raise
        store = Store.init()
        _log.warning("made a store in %s", store.folder)
    return store.start_run(name, **options)
