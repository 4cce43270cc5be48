"""The examples and tables of `docs/format.md`, taken from the page as a reader of it would."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text()


def example(name):
    """The text of the fenced block whose info string is `name`."""
    return re.search(rf"^```{re.escape(name)}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]


def dumped(name):
    """The bytes of a block of a hex dump."""
    return bytes.fromhex("".join(line[6:53] for line in example(name).splitlines()))


def tables(heading):
    """The rows of every table in the section of that heading, each a list of its cells without the header."""
    section = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#)", PAGE + "\n#", re.MULTILINE | re.DOTALL)[1]
    found = re.findall(r"^\|.*\|\n\| --- .*\|\n((?:\|.*\|\n)+)", section, re.MULTILINE)
    return [[[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows.splitlines()] for rows in found]


def words(heading, table=0, column=0):
    """The first word in code quotes of each row of a table, in one column; rows without one are left out."""
    cells = (row[column] for row in tables(heading)[table])
    return [match[1] for cell in cells if (match := re.search("`([^`]+)`", cell))]
