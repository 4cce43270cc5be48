"""One word for each thing: the table *Not used* of the glossary holds in the code, the help and the documentation."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

READ = ["onyxstore/**/*.py", "examples/*", "docs/**/*.md", "changes/*.md", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"]

NAMES_THEM_TO_FORBID_THEM = "## Not used"


def not_used(glossary: str) -> dict[str, list[str]]:
    """The words of the table, each with the phrases in which it may stand."""
    table = glossary.partition(NAMES_THEM_TO_FORBID_THEM)[2]
    rows = [row.strip("| \n").split(" | ") for row in table.splitlines() if row.startswith("| `")]
    return {word: re.findall("`(.+?)`", "".join(row[2:])) for row in rows for word in re.findall("`(.+?)`", row[0])}


def uses(text: str, word: str, phrases: list[str]) -> Iterator[int]:
    """The numbers of the lines with `word`, its plural, or either as a part of a name, outside `phrases`."""
    allowed = re.compile("|".join(re.escape(phrase) for phrase in sorted(phrases, key=len, reverse=True)) or r"(?!)", re.IGNORECASE)
    apart = rf"(?<![a-z]){re.escape(word)}(?:e?s)?(?![a-z])"
    for number, line in enumerate(text.splitlines(), 1):
        rest = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", allowed.sub(" ", line))
        if re.search(apart, rest.lower()):
            yield number


def words_of(root: Path) -> dict[str, list[str]]:
    return not_used((root / "docs" / "glossary.md").read_text())


def test_no_second_word_is_used(root):
    files = sorted({path for pattern in READ for path in root.glob(pattern) if path.suffix in {".py", ".md", ".yaml"}})
    found = [
        f"{path.relative_to(root)}:{line}: '{word}'"
        for path in files
        for word, phrases in words_of(root).items()
        for line in uses(path.read_text().partition(NAMES_THEM_TO_FORBID_THEM)[0], word, phrases)
    ]
    assert found == []


def test_the_glossary_forbids_what_it_is_known_to_forbid(root):
    assert {"version", "blob", "oid", "sha", "experiment", "branch"} <= set(words_of(root))


@pytest.mark.parametrize("text", ["a blob", "Blobs", "blob_size", "packBlob", "read_blobs()", "BLOB_SIZE"])
def test_a_word_is_found_as_a_plural_and_as_a_part_of_a_name(text):
    assert list(uses(text, "blob", [])) == [1]


@pytest.mark.parametrize("text", ["blobby", "share", "--version of Python version 3"])
def test_a_longer_word_or_an_allowed_phrase_is_none(text):
    assert [line for word in ["blob", "sha", "version"] for line in uses(text, word, ["--version", "Python version"])] == []
