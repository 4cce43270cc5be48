"""The code that a run was started from: the git commit, what differs from it, and the small text files that git does not hold.

Asked of the `git` command, in at most three processes that only read: no lock is taken, no hook, pager, external diff or text
conversion runs, and each has a time limit. (A clean filter that the user's git is set up with, git-lfs for one, does run: git
cannot compare without it.) Secrets are masked, and files whose very name says secret are left out, tracked or not, as is what
`.onyxignore` beside the store names, in git's ignore patterns without `!`. Everything is bounded; what was left out or cut is said
in `notes`. No absolute path is recorded.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from onyxstore.history.secrets import mask_text

MAX_DIFF = 1 << 20
MAX_FILE = 64 << 10
MAX_FILES = 1 << 20
"""Bytes of the diff, of one untracked file, and of all of them."""


@dataclass(frozen=True)
class CodeState:
    """The state of the code: `head` is what git's HEAD names (None: a commit itself), `diff` goes from the commit to the working tree.

    `files` maps untracked text files, by their path below the repository's root, to their text. `commit` is None before the
    repository's first, and where git could not read it; `notes` say so.
    """

    commit: str | None
    head: str | None = None
    remote: str | None = None
    diff: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def capture_code_state(folder: Path) -> CodeState | None:
    """The state of the code around the folder; None where there is no repository or no git."""
    root = _find_root(folder)
    if root is None:
        return None
    notes: list[str] = []
    exclusions = [*_NEVER, *_read_ignored(folder, notes)]
    try:
        status = _ask_status(folder, exclusions, notes)
    except FileNotFoundError:
        return None
    if status is None:
        return CodeState(None, notes=("git cannot read the repository",))
    headers, changed, untracked = _parse_status(status, notes)
    commit = headers.get("branch.oid")
    diff = _ask_git(folder, [*_DIFF, "--", ":/", *exclusions], MAX_DIFF) if commit and changed else b""
    remotes = _ask_git(folder, _REMOTES, _LONGEST_STATUS)
    return CodeState(
        commit=commit,
        head=headers.get("branch.head"),
        remote=_choose_remote(remotes or b""),
        diff=_masked_diff(diff, notes),
        files=_read_untracked(root, untracked, notes),
        notes=tuple(notes),
    )


def encode_code_state(state: CodeState) -> dict[str, Any]:
    """The state as a value for canonical JSON."""
    return {"onyx": "code", **asdict(state), "notes": list(state.notes)}


def decode_code_state(value: Any) -> CodeState:
    """The state of such a value; ValueError when it is none."""
    _check(type(value) is dict and value.get("onyx") == "code" and value.keys() == _FIELDS)
    commit, head, remote, diff, files, notes = (value[each.name] for each in fields(CodeState))
    _check(all(word is None or type(word) is str for word in (commit, head, remote)) and type(diff) is str)
    _check(type(files) is dict and all(type(word) is str for word in (*files, *files.values())))
    _check(type(notes) is list and all(type(note) is str for note in notes))
    return CodeState(commit, head, remote, diff, files, tuple(notes))


_FIELDS = {"onyx", *CodeState.__dataclass_fields__}


def _check(holds: bool) -> None:  # noqa: FBT001 - an assertion with words
    if not holds:
        message = "not a code state"
        raise ValueError(message)


# ------------------------------------------------------------------------------------------------------------ asking git

_SECONDS = 10.0
"""For each process: a cold `git status` over a network takes seconds, and training waits for this once an attempt."""
_LONGEST_STATUS = 8 << 20
_LONGEST_IGNORE = 64 << 10

_QUIET = ("--no-pager", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
_STATUS = ("status", "--porcelain=v2", "-b", "-z", "--no-renames", "--ignore-submodules=dirty")
_DIFF = (
    *("diff", "HEAD", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--full-index", "--ignore-submodules=dirty"),
    *("--unified=3", "--src-prefix=a/", "--dst-prefix=b/"),
)
"""Whatever the user's own settings say, two captures of one state are the same bytes."""
_REMOTES = ("config", "-z", "--get-regexp", r"^remote\..*\.url$")
_KEPT_VARIABLES = ("GIT_CONFIG", "GIT_EXEC_PATH")
"""What may come through from the environment: where git's own settings are, not which repository or diff program it should take."""

_NEVER_NAMES = (
    *(".env", ".env.*", ".envrc", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk", "*.tfvars"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".netrc", ".npmrc", ".pypirc", ".htpasswd", ".git-credentials"),
    *("credentials", "credentials.json", "kaggle.json", "secrets.y*ml", "secrets.json", "secrets.toml"),
)
_NEVER = tuple(f":(top,exclude,icase,glob)**/{name}" for name in _NEVER_NAMES)


def _find_root(folder: Path) -> Path | None:
    """The working tree that holds the folder: the nearest with a `.git`, as git looks for it."""
    folder = folder.resolve()
    return next((each for each in (folder, *folder.parents) if os.path.lexists(each / ".git")), None)


def _ask_git(folder: Path, command: Sequence[str], limit: int) -> bytes | None:
    """What git prints, cut after `limit` + 1 bytes; None when it fails or takes too long. FileNotFoundError: there is no git."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_") or key.startswith(_KEPT_VARIABLES)}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
    with subprocess.Popen(  # noqa: S603 - arguments as a list, patterns from .onyxignore behind `--`
        ["git", *_QUIET, *command],  # noqa: S607 - the git that the user uses
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        timer = threading.Timer(_SECONDS, _end, [process])
        timer.start()
        try:
            data = process.stdout.read(limit + 1) if process.stdout else b""
            if len(data) > limit:
                return data
            return data if process.wait() == 0 else None
        finally:
            timer.cancel()
            _end(process)


def _ask_status(folder: Path, exclusions: Sequence[str], notes: list[str]) -> bytes | None:
    """What differs and what is untracked; where that takes too long, as in a home folder under git, only what differs."""
    command = [*_STATUS, "--untracked-files=all", "--", ":/", *exclusions]
    status = _ask_git(folder, command, _LONGEST_STATUS)
    if status is None:
        command[command.index("--untracked-files=all")] = "--untracked-files=no"
        status = _ask_git(folder, command, _LONGEST_STATUS)
        notes.append("untracked files were not looked at: git took too long")
    return status


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends git, if it still runs, and what it started: it leads a session of its own."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


# --------------------------------------------------------------------------------------------------- what git answered


def _parse_status(status: bytes, notes: list[str]) -> tuple[dict[str, str], bool, list[str]]:
    """The headers, whether a tracked file differs, and the untracked paths (git's own words: `git help status`, porcelain 2, -z)."""
    headers: dict[str, str] = {}
    changed = False
    untracked: list[str] = []
    entries = status[:_LONGEST_STATUS].split(b"\0")[:-1]
    if len(status) > _LONGEST_STATUS:
        notes.append("git lists more untracked files than are looked at")
    for entry in entries:
        text = entry.decode("utf-8", "replace")
        if text.startswith("# "):
            name, _, value = text[2:].partition(" ")
            headers |= {} if value in {"(initial)", "(detached)"} else {name: value}
        elif text.startswith("? "):
            untracked.append(text[2:])
        else:
            changed = True
    if changed and "branch.oid" not in headers:
        notes.append("the repository has no commit yet; what is staged is not recorded")
    return headers, changed, untracked


def _choose_remote(listing: bytes) -> str | None:
    """The URL of `origin`, else of the first remote; a path of this machine is none."""
    pairs = [entry.partition("\n") for entry in listing.decode("utf-8", "replace").split("\0") if entry]
    urls = sorted((name != "remote.origin.url", index, url) for index, (name, _, url) in enumerate(pairs))
    if not urls or urls[0][2].startswith(("/", ".", "~", "file:")):
        return None
    return mask_text(urls[0][2])[0]


def _masked_diff(diff: bytes | None, notes: list[str]) -> str:
    if diff is None:
        notes.append("git could not make the diff, or took too long")
        return ""
    if len(diff) > MAX_DIFF:
        notes.append(f"the diff is cut after {MAX_DIFF} bytes")
        diff = diff[: diff.rfind(b"\n", 0, MAX_DIFF) + 1]
    text, found = mask_text(diff.decode("utf-8", "replace"))
    if found:
        notes.append(f"masked in the diff: {', '.join(found)}")
    return text


# ------------------------------------------------------------------------------------------------- files git does not hold

_CODE = (".py", ".yaml", ".yml", ".json", ".toml", ".cfg", ".ini", ".sh", ".cu", ".cpp", ".c", ".h", ".rs", ".ipynb", ".md")
"""Taken first, so that a folder of small data files does not use up the room."""
_MOST_EXAMINED = 2000


def _read_untracked(root: Path, paths: Sequence[str], notes: list[str]) -> dict[str, str]:
    files: dict[str, str] = {}
    kinds: dict[str, None] = {}
    room = MAX_FILES
    for path in sorted(paths, key=lambda path: (not path.endswith(_CODE), path))[:_MOST_EXAMINED]:
        data = _read_text(root / path, min(MAX_FILE, room))
        if data is not None:
            room -= len(data)
            files[path], found = mask_text(data.decode())
            kinds |= dict.fromkeys(found)
    if kinds:
        notes.append(f"masked in untracked files: {', '.join(kinds)}")
    left = [path for path in paths if path not in files]
    if left:
        reasons = f"no text, over {MAX_FILE} bytes, or beyond {MAX_FILES} bytes in all"
        notes.append(f"untracked files left out ({reasons}): {', '.join(left[:5])}{f' and {len(left) - 5} more' if len(left) > 5 else ''}")
    return files


def _read_text(path: Path, limit: int) -> bytes | None:
    """The bytes of a regular file of UTF-8 text that has no more than `limit` of them."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > limit:
            return None
        data = os.read(fd, limit)
        data.decode()
    except (OSError, UnicodeDecodeError):
        return None
    finally:
        os.close(fd)
    return None if b"\0" in data else data


def _read_ignored(folder: Path, notes: list[str]) -> list[str]:
    """The patterns of `.onyxignore` as what git's pathspecs leave out."""
    data = _read_text(folder / ".onyxignore", _LONGEST_IGNORE)
    specs: list[str] = []
    for line in (data or b"").decode().splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        name = pattern.strip("/")
        if pattern.startswith("!") or ".." in name.split("/") or not name:
            notes.append(f"'{pattern[:80]}' in .onyxignore is not understood")
            continue
        place = name if "/" in pattern.rstrip("/") else f"**/{name}"
        specs += [f":(exclude,glob){place}/**"] if pattern.endswith("/") else [f":(exclude,glob){place}", f":(exclude,glob){place}/**"]
    return specs
