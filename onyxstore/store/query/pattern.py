"""Patterns of text, as a shell has them for names of files.

    *        any characters, or none
    ?        one character
    [abc]    one of these; [a-z] one of a range, [!abc] one that is none of these; [*], [?] and [[] are the signs themselves

A pattern is compared with the whole of a text. Not regular expressions: Python's take time exponential in the text for some patterns.
Here the pieces between the stars have a fixed length each, and the leftmost place where one fits is as good as any, so a text takes at
most its length times the pattern's.
"""

from __future__ import annotations

import re
from itertools import pairwise


class Pattern:
    """A pattern, ready to be compared with texts; ValueError says what is wrong with one."""

    def __init__(self, text: str) -> None:
        atoms = list(_atoms(text))
        stars = [number for number, atom in enumerate(atoms) if atom is None]
        bounds = [-1, *stars, len(atoms)]
        pieces = [[atom for atom in atoms[start + 1 : end] if atom is not None] for start, end in pairwise(bounds)]
        # Each piece is a row of single characters: there is nothing in it that could go back.
        self._pieces = [re.compile("".join(piece), re.DOTALL) for piece in pieces]
        self._last = len(pieces[-1])

    def matches(self, text: str) -> bool:
        """Whether the whole of `text` is as the pattern says."""
        if len(self._pieces) == 1:
            return self._pieces[0].fullmatch(text) is not None
        first, *middle, last = self._pieces
        found = first.match(text)
        end = len(text) - self._last
        for piece in middle:
            found = piece.search(text, found.end(), max(end, 0)) if found else None
        return found is not None and found.end() <= end and last.fullmatch(text, end) is not None


def _atoms(text: str) -> list[str | None]:
    """Each character that the pattern wants, as a regular expression of one character; None for a star."""
    atoms: list[str | None] = []
    position = 0
    while position < len(text):
        sign = text[position]
        if sign == "[":
            end = text.find("]", position + (3 if text[position + 1 : position + 2] == "!" else 2))
            if end < 0:
                raise ValueError("the '[' in the pattern has no ']'; [[] means the sign itself")
            atoms.append(_one_of(text[position + 1 : end]))
            position = end
        elif sign != "*":
            atoms.append("." if sign == "?" else re.escape(sign))
        elif not atoms or atoms[-1] is not None:
            atoms.append(None)
        position += 1
    return atoms


def _one_of(characters: str) -> str:
    """What stands between brackets, as a regular expression of one character."""
    is_opposite = characters.startswith("!")
    rest, parts = characters[is_opposite:], []
    while rest:
        if len(rest) > 2 and rest[1] == "-":
            if rest[0] > rest[2]:
                raise ValueError(f"the range '{rest[:3]}' in the pattern goes backwards")
            parts.append(f"{re.escape(rest[0])}-{re.escape(rest[2])}")
            rest = rest[3:]
        else:
            parts.append(re.escape(rest[0]))
            rest = rest[1:]
    return f"[{'^' if is_opposite else ''}{''.join(parts)}]"
