"""Where everything lies inside `.onyx`, and the format's number.

    format          one checked line: the format's number and the hash's name
    settings.yaml   the store's settings                    .gitignore   "*"
    HEAD  refs/  reflog/                                    locks/       what processes lock by, empty files
    objects/ab/…    small objects                           packs/       chunks
    runs/RUN/       the live part of a run                  tmp/ trash/  on the way in, and on the way out
    cache/          derived, may go at any time             purged       what was removed for good
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from onyxstore.disk import files
from onyxstore.disk.linefile import read_value, replace_value
from onyxstore.errors import CorruptFile, FormatTooNew, StoreNotFound
from onyxstore.hashing import ALGORITHM, Address
from onyxstore.names import fold

FORMAT = 1
STORE_FOLDER = ".onyx"


@dataclass(frozen=True)
class Layout:
    """Every path of one store."""

    root: Path

    @property
    def folder(self) -> Path:
        """The folder that holds the store: config paths are relative to it."""
        return self.root.parent

    @property
    def format(self) -> Path:
        """The format's number."""
        return self.root / "format"

    @property
    def settings(self) -> Path:
        """The store's own settings, for people to edit."""
        return self.root / "settings.yaml"

    @property
    def refs(self) -> Path:
        """One file a ref."""
        return self.root / "refs"

    @property
    def reflog(self) -> Path:
        """One file a ref, with all its moves."""
        return self.root / "reflog"

    @property
    def objects(self) -> Path:
        """Loose objects, in 256 folders."""
        return self.root / "objects"

    @property
    def packs(self) -> Path:
        """Chunks."""
        return self.root / "packs"

    @property
    def runs(self) -> Path:
        """One folder a run."""
        return self.root / "runs"

    @property
    def locks(self) -> Path:
        """The files that processes lock by."""
        return self.root / "locks"

    @property
    def tmp(self) -> Path:
        """Files on the way to their place."""
        return self.root / "tmp"

    @property
    def trash(self) -> Path:
        """What was set aside until its grace has passed."""
        return self.root / "trash"

    @property
    def purged(self) -> Path:
        """Which addresses were removed for good."""
        return self.root / "purged"

    @property
    def cache(self) -> Path:
        """Derived things; may be deleted at any time."""
        return self.root / "cache"

    def object(self, address: Address) -> Path:
        """A loose object's file."""
        return self.objects / address[:2] / address[2:]

    def run(self, name: str) -> Path:
        """A run's folder; `name` must have passed `names.check_run_name`."""
        return self.runs / fold(name)

    def run_refs(self, name: str) -> Path:
        """The folder of a run's refs; the name as above."""
        return self.refs / "runs" / fold(name)

    def run_reflog(self, name: str) -> Path:
        """The folder of their reflogs."""
        return self.reflog / "runs" / fold(name)


def find_layout(start: Path) -> Layout:
    """The nearest store at or above `start`, on the same filesystem; StoreNotFound when there is none."""
    # Without links and `..`: above `sub/..` lies what is above it on the disk, not `sub`.
    here = Path(os.path.realpath(start))
    # `start`, or something above it, may be gone or not ours to look into.
    with contextlib.suppress(OSError):
        device = here.stat().st_dev
        for folder in (here, *here.parents):
            if folder.stat().st_dev != device:
                break
            if files.exists(folder / STORE_FOLDER / "format"):
                return Layout(folder / STORE_FOLDER)
    raise StoreNotFound(str(start), is_above_searched=True)


def create_layout(root: Path, settings: bytes) -> Layout:
    """Makes a store's folders and files; `format` comes last, so that an unfinished store is none. An existing one is only checked."""
    layout = Layout(root)
    if files.exists(layout.format):
        check_format(layout)
        return layout
    for folder in _folders(layout):
        files.make_folder(folder)
    files.publish_bytes(layout.tmp, root / ".gitignore", b"*\n")
    files.publish_bytes(layout.tmp, layout.settings, settings)
    replace_value(layout.tmp, layout.format, {"format": FORMAT, "hash": ALGORITHM})
    return layout


def check_format(layout: Layout) -> None:
    """Nothing when this release reads the store; StoreNotFound, FormatTooNew or CorruptFile when it does not.

    A folder that is a link is refused here: what is staged could not be renamed across it, and a gc would clean up behind it.
    """
    try:
        found = read_value(layout.format)
        number, algorithm = found["format"], found["hash"]
    except FileNotFoundError:
        raise StoreNotFound(str(layout.folder)) from None
    except (TypeError, KeyError):
        raise CorruptFile(str(layout.format), "it is no format line") from None
    if type(number) is not int or number > FORMAT or algorithm != ALGORITHM:
        raise FormatTooNew(str(layout.root), number if type(number) is int else 0, FORMAT)
    for folder in (*_folders(layout), layout.cache):
        files.refuse_link(folder)


def _folders(layout: Layout) -> tuple[Path, ...]:
    """What a new store has; `cache` comes when it is needed."""
    return (layout.refs, layout.reflog, layout.objects, layout.packs, layout.runs, layout.locks, layout.tmp, layout.trash)
