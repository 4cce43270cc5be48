"""What can go wrong, as data.

Every error the library raises on purpose is an `OnyxError`. A class carries a stable `id`, the exit status of the command, the
words (a template over its own fields) and a hint that says what to do; an instance carries the fields. `str(error)` is always
one line. Where a caller expects a builtin parent, the class has it too. Under `BadInput` and `Refused` the tree groups by meaning:
what stands there derives from `OnyxError` (and its builtin) itself, since it has other fields; the rest is inheritance.

    OnyxError
    ├── NotHere                     what was asked for does not exist
    │   ├── StoreNotFound           (FileNotFoundError)
    │   ├── UnknownRevision         (LookupError), names near matches
    │   ├── AmbiguousRevision       (LookupError), names the candidates
    │   ├── UnknownName             (LookupError) a run, metric, tensor or config that the thing does not have
    │   ├── ObjectMissing           an address that nothing in the store holds
    │   ├── CheckpointPruned        retention dropped it
    │   ├── MissingPackage          (ImportError) a package of an extra
    │   └── MissingConfigs          (FileNotFoundError), in configs/problems.py
    ├── BadInput                    (ValueError) what was handed in is not acceptable
    │   ├── BadName                 a run, tag, config or file name
    │   ├── BadConfig               file, line, column
    │   ├── InvalidConfig           all problems of configs, in configs/problems.py, which says what a problem is
    │   ├── BadMetric               a value or step that is no number
    │   ├── CannotEncode            a state that has no encoding, with its path
    │   ├── BadFile                 a file that is not what it says
    │   ├── BadSetting              a value of the store's own settings
    │   ├── BadQuery                a condition on runs, with the column
    │   └── LoadMismatch            a state that does not fit what it is loaded into
    ├── Refused                     it would lose or clash with something
    │   ├── RunIsLive               another process writes the run
    │   ├── RunEnded                the run is finished, or was made before a fork
    │   ├── NameTaken               a tag or run of that name exists
    │   ├── WouldOverwrite          checkout over changed files
    │   ├── RefConflict             the ref moved meanwhile
    │   ├── StoreBusy               others hold the store's lock
    │   └── PlanSpent               a plan is executed once
    ├── Damage                      the store is not as it was written
    │   ├── FormatTooNew
    │   ├── CorruptObject           bytes that do not match their address
    │   └── CorruptFile             a checksummed file that fails its check
    └── DiskError                   (OSError) a system call failed
        ├── DiskFull
        └── ReadOnly
"""

from __future__ import annotations

import errno as errnos
import os
from dataclasses import dataclass, field, fields
from typing import ClassVar


@dataclass(eq=False, repr=False)
class OnyxError(Exception):
    """The root of all errors that the library raises on purpose."""

    id: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 128
    words: ClassVar[str] = "something failed"
    hint: ClassVar[str] = ""

    def __str__(self) -> str:
        """One line: what happened, to what, and after a semicolon what to do."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        line = self.words.format(**values)
        hint = self.hint.format(**values)
        text = f"{line}; {hint}" if hint else line
        return visible(text)

    def __reduce__(self) -> tuple[object, ...]:
        """Errors travel between processes with their fields."""
        return type(self), tuple(getattr(self, f.name) for f in fields(self))


# ------------------------------------------------------------------------------------------------ what does not exist


@dataclass(eq=False, repr=False)
class NotHere(OnyxError):
    """What was asked for does not exist."""

    id: ClassVar[str] = "not-here"


@dataclass(eq=False, repr=False)
class StoreNotFound(NotHere, FileNotFoundError):
    """No `.onyx` in the folder, nor in any above it where those were searched too."""

    id: ClassVar[str] = "no-store"
    words: ClassVar[str] = "no store in {folder}"
    hint: ClassVar[str] = "make one with 'onyx init', or name one with -C DIR or --store PATH"
    folder: str
    is_above_searched: bool = False

    def __str__(self) -> str:
        """The words with how far the search went."""
        above = " or above it" if self.is_above_searched else ""
        return visible(f"no store in {self.folder}{above}; {self.hint}")


@dataclass(eq=False, repr=False)
class UnknownRevision(NotHere, LookupError):
    """A revision that names nothing; `near` holds what was perhaps meant."""

    id: ClassVar[str] = "unknown-revision"
    words: ClassVar[str] = "no commit is called '{revision}'{why}"
    hint: ClassVar[str] = "{advice}"
    revision: str
    near: tuple[str, ...] = ()
    why: str = ""

    @property
    def advice(self) -> str:
        """The near matches as a question, or where to look."""
        return f"did you mean {_either(self.near)}?" if self.near else "'onyx log' lists the commits, 'onyx runs' the runs"

    def __str__(self) -> str:
        """The words with the advice that fits."""
        why = f": {self.why}" if self.why else ""
        return visible(f"no commit is called '{self.revision}'{why}; {self.advice}")


@dataclass(eq=False, repr=False)
class AmbiguousRevision(NotHere, LookupError):
    """A revision that more than one commit answers to."""

    id: ClassVar[str] = "ambiguous-revision"
    revision: str
    candidates: tuple[str, ...]

    def __str__(self) -> str:
        """The words with the candidates."""
        return visible(f"'{self.revision}' could be {_either(self.candidates)}; give more letters of the address")


@dataclass(eq=False, repr=False)
class UnknownName(NotHere, LookupError):
    """A run, metric, tensor, config … that its owner does not have."""

    id: ClassVar[str] = "unknown-name"
    kind: str
    name: str
    owner: str
    near: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The words, with near matches or with none."""
        line = f"{self.owner} has no {self.kind} called '{self.name}'"
        return visible(f"{line}; did you mean {_either(self.near)}?" if self.near else line)


@dataclass(eq=False, repr=False)
class ObjectMissing(NotHere):
    """An address that nothing in the store holds."""

    id: ClassVar[str] = "object-missing"
    words: ClassVar[str] = "the store does not hold {address}{needed_by}"
    hint: ClassVar[str] = "'onyx fsck' lists all that is missing"
    address: str
    needed_by: str = ""


@dataclass(eq=False, repr=False)
class CheckpointPruned(NotHere):
    """A checkpoint whose tensors retention has dropped."""

    id: ClassVar[str] = "checkpoint-pruned"
    words: ClassVar[str] = "the checkpoint of {commit} was pruned: its run keeps only so many"
    hint: ClassVar[str] = "tag what must stay, or raise max_checkpoints; the commit's configs and metrics are still there"
    commit: str


@dataclass(eq=False, repr=False)
class MissingPackage(NotHere, ImportError):
    """A package that something needs, and that comes with an extra of this one."""

    id: ClassVar[str] = "missing-package"
    words: ClassVar[str] = "{needed_by} needs the package {package}: {why}"
    hint: ClassVar[str] = "pip install 'onyxstore[{extra}]'"
    needed_by: str
    package: str
    extra: str
    why: str = "it is not installed"


# ---------------------------------------------------------------------------------------------- what cannot be accepted


@dataclass(eq=False, repr=False)
class BadInput(OnyxError, ValueError):
    """What was handed in is not acceptable."""

    id: ClassVar[str] = "bad-input"
    words: ClassVar[str] = "{what}"
    what: str


@dataclass(eq=False, repr=False)
class BadName(OnyxError, ValueError):
    """A name that a run, tag, config, artifact or metric may not have."""

    id: ClassVar[str] = "bad-name"
    words: ClassVar[str] = "{name!r} cannot name a {kind}: {why}"
    kind: str
    name: str
    why: str


@dataclass(eq=False, repr=False)
class BadConfig(OnyxError, ValueError):
    """A config file that cannot be read as what it should be."""

    id: ClassVar[str] = "bad-config"
    file: str
    why: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        """`file:line:column: why`, as compilers say it."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return visible(f"{place}: {self.why}")


@dataclass(eq=False, repr=False)
class BadMetric(OnyxError, ValueError):
    """A metric value, step or epoch that is no number."""

    id: ClassVar[str] = "bad-metric"
    words: ClassVar[str] = "{name} cannot be logged: {why}"
    name: str
    why: str


@dataclass(eq=False, repr=False)
class CannotEncode(OnyxError, TypeError):
    """A part of a state that has no encoding; nothing is ever pickled."""

    id: ClassVar[str] = "cannot-encode"
    words: ClassVar[str] = "{path} cannot be stored: {why}"
    hint: ClassVar[str] = "keep it out of the state, or hand in its plain values"
    path: str
    why: str


@dataclass(eq=False, repr=False)
class BadFile(OnyxError, ValueError):
    """A file from outside that is not what it says it is."""

    id: ClassVar[str] = "bad-file"
    words: ClassVar[str] = "{file} is no whole {kind}: {why}"
    file: str
    kind: str
    why: str


@dataclass(eq=False, repr=False)
class BadSetting(OnyxError, ValueError):
    """A value that the store's own settings cannot take."""

    id: ClassVar[str] = "bad-setting"
    words: ClassVar[str] = "{name} in {file}: {why}"
    hint: ClassVar[str] = "correct the file; 'onyx init' in an empty folder writes one with every default"
    name: str
    file: str
    why: str


@dataclass(eq=False, repr=False)
class BadQuery(OnyxError, ValueError):
    """A query that cannot be read, or asks for what no run has; `column` counts characters from 1, `length` says how many are meant."""

    id: ClassVar[str] = "bad-query"
    exit_code: ClassVar[int] = 2
    words: ClassVar[str] = "column {column} of the query: {why}"
    why: str
    query: str
    column: int
    length: int = 1


@dataclass(eq=False, repr=False)
class LoadMismatch(OnyxError, ValueError):
    """A stored state that does not fit the live object; nothing was changed."""

    id: ClassVar[str] = "load-mismatch"
    words: ClassVar[str] = "{into} cannot take the stored state: {why}"
    hint: ClassVar[str] = "nothing was loaded"
    into: str
    why: str


# ------------------------------------------------------------------------------------------------------- what is refused


@dataclass(eq=False, repr=False)
class Refused(OnyxError):
    """It would lose something, or clash with somebody."""

    id: ClassVar[str] = "refused"
    words: ClassVar[str] = "{what}"
    what: str


@dataclass(eq=False, repr=False)
class RunIsLive(OnyxError):
    """Another process writes the run at this moment."""

    id: ClassVar[str] = "run-is-live"
    words: ClassVar[str] = "run '{run}' is being written by another process"
    hint: ClassVar[str] = "wait for it, or start under another name"
    run: str


@dataclass(eq=False, repr=False)
class RunEnded(OnyxError):
    """This handle can no longer write its run."""

    id: ClassVar[str] = "run-ended"
    words: ClassVar[str] = "run '{run}' takes nothing more: {why}"
    run: str
    why: str


@dataclass(eq=False, repr=False)
class NameTaken(OnyxError):
    """A name that stands for something else already."""

    id: ClassVar[str] = "name-taken"
    words: ClassVar[str] = "a {kind} called '{name}' exists"
    hint: ClassVar[str] = "choose another name, or delete that one first"
    kind: str
    name: str


@dataclass(eq=False, repr=False)
class WouldOverwrite(OnyxError):
    """Checkout would write over files that changed."""

    id: ClassVar[str] = "would-overwrite"
    words: ClassVar[str] = "checkout would overwrite what changed in {listing}"
    hint: ClassVar[str] = "commit it, move it away, use --to DIR, or --force"
    files: tuple[str, ...]

    @property
    def listing(self) -> str:
        """The first few names."""
        shown = ", ".join(self.files[:3])
        return shown if len(self.files) <= 3 else f"{shown} and {len(self.files) - 3} more"

    def __str__(self) -> str:
        """The words with the first few files."""
        return visible(f"checkout would overwrite what changed in {self.listing}; {self.hint}")


@dataclass(eq=False, repr=False)
class RefConflict(OnyxError):
    """A ref that somebody else moved between reading and moving it."""

    id: ClassVar[str] = "ref-conflict"
    words: ClassVar[str] = "'{ref}' moved meanwhile"
    hint: ClassVar[str] = "look at it again and repeat"
    ref: str


@dataclass(eq=False, repr=False)
class StoreBusy(OnyxError):
    """The store's lock could not be had in time; nothing was done."""

    id: ClassVar[str] = "store-busy"
    words: ClassVar[str] = "{who} the store, for more than {seconds:g} s"
    hint: ClassVar[str] = "nothing was done; try again"
    who: str
    seconds: float


@dataclass(eq=False, repr=False)
class PlanSpent(OnyxError):
    """A plan speaks of the store as it was; it is executed once."""

    id: ClassVar[str] = "plan-spent"
    words: ClassVar[str] = "this {kind} plan was executed already"
    hint: ClassVar[str] = "make a new one"
    kind: str


# ------------------------------------------------------------------------------------------ what the disk gave or took


@dataclass(eq=False, repr=False)
class Damage(OnyxError):
    """The store is not as it was written."""

    id: ClassVar[str] = "damage"


@dataclass(eq=False, repr=False)
class FormatTooNew(Damage):
    """A store of a format that this release does not know."""

    id: ClassVar[str] = "format-too-new"
    words: ClassVar[str] = "{store} has format {found}; this release reads up to {known}"
    hint: ClassVar[str] = "install a newer onyxstore"
    store: str
    found: int
    known: int


@dataclass(eq=False, repr=False)
class CorruptObject(Damage):
    """Bytes that do not match the address under which they were asked for."""

    id: ClassVar[str] = "corrupt-object"
    words: ClassVar[str] = "{address} in {file} is damaged: {why}"
    hint: ClassVar[str] = "'onyx fsck' says what else is hit"
    address: str
    file: str
    why: str


@dataclass(eq=False, repr=False)
class CorruptFile(Damage):
    """A checksummed file of the store that fails its check."""

    id: ClassVar[str] = "corrupt-file"
    words: ClassVar[str] = "{file} is damaged: {why}"
    hint: ClassVar[str] = "'onyx fsck' says what else is hit"
    file: str
    why: str


@dataclass(eq=False, repr=False)
class DiskError(OnyxError, OSError):
    """A system call on the store failed."""

    id: ClassVar[str] = "disk-error"
    words: ClassVar[str] = "{action} {file} failed: {reason}"
    action: str
    file: str
    errno: int = field(default=0)

    @property
    def reason(self) -> str:
        """The system's own words for the number."""
        return os.strerror(self.errno)

    def __str__(self) -> str:
        """The words, with the system's reason and the hint."""
        line = f"{self.action} {self.file} failed: {self.reason}"
        return visible(f"{line}; {self.hint}" if self.hint else line)


@dataclass(eq=False, repr=False)
class DiskFull(DiskError):
    """No room, also after the trash was emptied."""

    id: ClassVar[str] = "disk-full"
    hint: ClassVar[str] = "free some space ('onyx gc' may), nothing that was stored is lost"


@dataclass(eq=False, repr=False)
class ReadOnly(DiskError):
    """The store, or its filesystem, cannot be written."""

    id: ClassVar[str] = "read-only"
    hint: ClassVar[str] = "reading works; to write, change the permissions or the mount"


_FULL = {errnos.ENOSPC, errnos.EDQUOT}
_NOT_WRITABLE = {errnos.EROFS, errnos.EACCES, errnos.EPERM}


def disk_error(action: str, file: str | os.PathLike[str], error: OSError) -> DiskError:
    """The typed error for a failed system call: `action` is a gerund (`writing`), `file` what it was done to."""
    number = error.errno or 0
    kind = DiskFull if number in _FULL else ReadOnly if number in _NOT_WRITABLE and action != "reading" else DiskError
    return kind(action, os.fspath(file), number)


def short_words(error: Exception) -> str:
    """What is the matter with the thing that a finding names before it: no path of this machine, no hint to call fsck."""
    if isinstance(error, (CorruptFile, CorruptObject)):
        return error.why
    if isinstance(error, ObjectMissing):
        return f"the store does not hold {error.address[:10]}"
    if isinstance(error, DiskError):
        return f"{error.action} it failed: {error.reason}"
    return "it is missing" if isinstance(error, FileNotFoundError) else str(error)


def _either(names: tuple[str, ...]) -> str:
    """`'a'`, `'a' or 'b'`, `'a', 'b' or 'c'`."""
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def visible(text: str) -> str:
    """`text` on one line, control characters written out, so that a name from a file cannot speak to the terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
