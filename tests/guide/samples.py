"""The samples of a Markdown page: found, made runnable, run.

A sample is a fenced block with the headings that it stands under. It is run as it is written, but for two changes, each a line:
an import from a module of the guide's own becomes one from `onyxstore`, and a function whose body is nothing but comments gets a
`pass` below them. Line numbers in a traceback are those of the page.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """A fenced block: `first_line` is where its text begins in the page, `outline` the headings above it with their levels."""

    page: Path
    first_line: int
    language: str
    text: str
    outline: tuple[tuple[int, str], ...]

    @property
    def heading(self) -> str:
        """The nearest heading above it."""
        return self.outline[-1][1] if self.outline else ""

    @property
    def section(self) -> tuple[str, ...]:
        """The headings of the first three levels that it stands under."""
        return tuple(title for level, title in self.outline if level <= 3)


def read_samples(page: Path, language: str = "python") -> list[Sample]:
    """The samples of a page in one language, in their order."""
    return [sample for sample in find_samples(page.read_text("utf-8"), page) if sample.language == language]


def find_samples(text: str, page: Path = Path("page.md")) -> Iterator[Sample]:
    """All fenced blocks of a page; ValueError for one that is not closed, since nobody would miss what it hides."""
    outline: list[tuple[int, str]] = []
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if heading := _HEADING.match(line):
            level = len(heading["marks"])
            outline = [*(above for above in outline if above[0] < level), (level, heading["title"])]
        elif fence := _FENCE.match(line):
            inside = list(_until_closed(lines, fence, f"{page}:{number}"))
            yield Sample(page, number + 1, fence["language"], "".join(f"{each}\n" for each in inside), tuple(outline))


_HEADING = re.compile(r"(?P<marks>#{1,6}) +(?P<title>.*?)(?: +#+)? *$")
_FENCE = re.compile(r"(?P<indent> *)(?P<marks>`{3,}|~{3,}) *(?P<language>[^\s`{]*)")


def _until_closed(lines: Iterator[tuple[int, str]], fence: re.Match[str], place: str) -> Iterator[str]:
    for _, line in lines:
        if re.fullmatch(rf" *{fence['marks']}{fence['marks'][0]}* *", line):
            return
        yield line.removeprefix(fence["indent"])
    raise ValueError(f"{place}: this block is never closed")


# --------------------------------------------------------------------------------------------------------- made runnable


def make_runnable(text: str) -> str:
    """A sample with the two changes that it may need, and no other."""
    changed = "".join(_GUIDES_IMPORT.sub(r"\1from onyxstore import", line) for line in text.splitlines(keepends=True))
    while (empty := _find_empty_body(changed)) is not None:
        lines = changed.splitlines(keepends=True)
        comment = lines[empty]
        lines.insert(empty + 1, comment[: len(comment) - len(comment.lstrip())] + "pass\n")
        changed = "".join(lines)
    return changed


_GUIDES_IMPORT = re.compile(r"^(\s*)from onyx\.server\.features\.ads\.\w+ import\b")
_NO_BODY = re.compile(r"expected an indented block after function definition on line (\d+)")


def _find_empty_body(text: str) -> int | None:
    """The index of the last comment of the first function that has nothing else, if there is one."""
    try:
        ast.parse(text)
    except IndentationError as error:
        no_body = _NO_BODY.fullmatch(error.msg)
        if not no_body:
            raise
        lines, head = text.splitlines(), int(no_body[1]) - 1
        depth = len(lines[head]) - len(lines[head].lstrip())
        inside = [index for index in range(head + 1, min(error.lineno, len(lines))) if re.match(rf"\s{{{depth + 1},}}#", lines[index])]
        if not inside:
            raise
        return inside[-1]
    return None


# ------------------------------------------------------------------------------------------------------------------- run


@dataclass(frozen=True)
class Difference:
    """A line that says what it gives behind `# ->`, or in the next line, and gives something else."""

    line: int
    said: str
    given: str


def run_sample(sample: Sample, names: dict[str, object]) -> list[Difference]:
    """Runs a sample in a namespace; what its lines say that they give, and don't."""
    text = make_runnable(sample.text)
    lines = text.splitlines()
    found = []
    for statement in ast.parse(text).body:
        end = statement.end_lineno
        said = _GIVES.search(lines[end - 1]) or _GIVES.match("".join(lines[end : end + 1]))
        ast.increment_lineno(statement, sample.first_line - 1)
        if not said or not isinstance(statement, ast.Expr):
            exec(compile(ast.Module([statement], []), sample.page, "exec"), names)  # noqa: S102 (that is what a sample is for)
            continue
        given = repr(eval(compile(ast.Expression(statement.value), sample.page, "eval"), names))  # noqa: S307 (as above)
        if given != said[1]:
            found.append(Difference(statement.end_lineno, said[1], given))
    return found


_GIVES = re.compile(r"#? *# -> (.*)$")
