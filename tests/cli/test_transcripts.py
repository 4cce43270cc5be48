"""Whole conversations: each file of `transcripts/` is a script, and what it prints.

    # in an empty folder | # in a trained folder
    $ onyx log -n 1              what is typed; `60$` instead of `$`: at a terminal 60 characters wide; another command goes to `sh`
    commit 0101010101 (…)        what it writes to stdout
    ! onyx: …                    what it writes to stderr
    [128]                        its exit status, if that is not 0

Commits' addresses and times of execution are made stable; lines of text stay as they are. After a change that is meant, run with
ONYX_REWRITE_TRANSCRIPTS=1 and read the difference.
"""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))
PROMPT = re.compile(r"(\d*)\$ (.*)")


def commands(transcript: str) -> list[tuple[str, str]]:
    """The width of the terminal ("" off one) and the command line, for each command."""
    return [match.groups() for line in transcript.splitlines() if (match := PROMPT.fullmatch(line))]


class Mask:
    """Makes what differs from run to run the same: addresses become numbers in the order in which they appear."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.numbers: dict[str, int] = {}
        self.known: set[str] = set()

    def __call__(self, text: str) -> str:
        # Those too that a purge has removed since.
        self.known |= {(path.parent.name + path.name)[:10] for path in self.folder.glob(".onyx/objects/*/*")}
        shorts = self.known
        number = lambda found: self._number(found[0]) if found[0][:10] in shorts else found[0]  # noqa: E731
        text = re.sub(r"\b(?:[0-9a-f]{10}|[0-9a-f]{64})\b", number, text)
        text = re.sub(r"\b\d+(\.\d+)? (ms|s)$", "N s", text, flags=re.MULTILINE)
        text = re.sub(r"\bcall:[0-9a-f]{16}\b", "call:N", text)
        # Compressed sizes depend on the digits of addresses.
        text = re.sub(r"(read \d+ objects and \d+ chunks, )[\d.]+ kB", r"\1N kB", text)
        text = re.sub(r"[\d.]+ kB(?= that nothing else| for good|  removed|  stays|  what only)", "N kB", text)
        text = re.sub(r"(purged \d+ objects?, )[\d.]+ kB", r"\1N kB", text)
        text = re.sub(r'("bytes": )\d{6,}', r"\1N", text)
        text = re.sub(r'("\w+_seconds": ).*?(,?)$', r"\1N\2", text, flags=re.MULTILINE)
        return text.replace(str(self.folder), "/folder")

    def _number(self, address: str) -> str:
        number = self.numbers.setdefault(address[:10], len(self.numbers) + 1)
        return f"{number:02}" * (len(address) // 2)


def answer(onyx, command: str) -> str:
    """What a command prints, in the form of a transcript."""
    words = shlex.split(command)
    if words[0] == "onyx":
        done = onyx(*words[1:])
        status, out, err = done.status, done.out, done.err
    else:
        ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        status, out, err = ended.returncode, ended.stdout, ended.stderr
    said = "".join(f"! {line}\n" for line in err.splitlines())
    return out + said + (f"[{status}]\n" if status else "")


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_command_speaks_as_its_transcript_says(path, onyx, clock, request, monkeypatch):
    expected = path.read_text()
    first = expected.splitlines()[0]
    folder = request.getfixturevalue({"# in an empty folder": "empty", "# in a trained folder": "trained"}[first])
    mask = Mask(folder)
    blocks = [first]
    for width, command in commands(expected):
        clock.now += 60
        with monkeypatch.context() as patched:
            patched.setattr(shutil, "get_terminal_size", lambda *_, width=width: os.terminal_size((int(width or 80), 40)))
            if width:
                patched.setattr("onyxstore.cli.screen.is_watched", lambda: True)
                patched.setenv("NO_COLOR", "1")
                patched.setenv("PAGER", "cat")
            blocks.append(f"{width}$ {command}\n{mask(answer(onyx, command))}".rstrip())
    found = "\n\n".join(blocks) + "\n"
    if os.environ.get("ONYX_REWRITE_TRANSCRIPTS"):
        path.write_text(found)
    assert found == expected


def test_every_verb_has_a_transcript():
    from onyxstore.cli.app import VERBS  # noqa: PLC0415

    assert {path.stem for path in TRANSCRIPTS} >= set(VERBS)
