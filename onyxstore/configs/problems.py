"""What is wrong with configs: all of it at once, each with its place."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import ClassVar

from onyxstore.configs.paths import Path, dotted
from onyxstore.errors import NotHere, OnyxError, visible


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the keys that lead to it, what was expected and found, and where it stands if that is known.

    `file` is a file's name, or an override as it was given; lines and columns count from 1.
    """

    path: Path
    why: str
    file: str | None = None
    line: int | None = None
    column: int | None = None

    @property
    def key(self) -> str:
        """The keys joined with `.`; empty where a whole file is meant."""
        return dotted(self.path)

    def __str__(self) -> str:
        """`file:line:column: key: why`, on one line, as compilers say it."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return visible(": ".join(part for part in (place, self.key, self.why) if part))


@dataclass(eq=False)
class InvalidConfig(OnyxError, ValueError):
    """Configs that cannot be used; `problems` has all that is wrong with them."""

    id: ClassVar[str] = "invalid-config"
    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        """All problems on one line, counted if there are several."""
        if len(self.problems) == 1:
            return str(self.problems[0])
        listed = "; ".join(f"({number}) {problem}" for number, problem in enumerate(self.problems, 1))
        return f"{len(self.problems)} problems: {listed}"


@dataclass(eq=False)
class MissingConfigs(NotHere, FileNotFoundError):
    """Config files that are not there; `files` names all of them, `advice` says what to do."""

    id: ClassVar[str] = "missing-configs"
    files: tuple[str, ...]
    advice: str

    def __post_init__(self) -> None:
        self.errno = errno.ENOENT

    def __str__(self) -> str:
        """All files on one line."""
        return visible(f"not there: {', '.join(self.files)}; {self.advice}")
