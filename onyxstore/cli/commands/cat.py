"""`onyx cat`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import click

from onyxstore.cli import pager, screen
from onyxstore.cli.figures import figure, literal, size
from onyxstore.cli.json_shapes import Row, write_json
from onyxstore.cli.library import open_store
from onyxstore.cli.screen import Line, Painted
from onyxstore.cli.table import Column, lay_out, terminal_width
from onyxstore.cli.verb import json_option, verb
from onyxstore.errors import BadInput
from onyxstore.history.checkpoints.summary import Summary
from onyxstore.store.cat import Content, find_content

LONGEST_TEXT = 16 << 20
"""Bytes that a terminal is given as text, and a JSON document as one."""

_FIGURES = ("values", "min", "max", "mean", "std", "nan", "inf")


@verb(
    "cat",
    ("onyx cat bert-base@best:train.yaml", "a config file as it was, byte for byte"),
    ("onyx cat HEAD:artifact/sample.txt", "an artifact; config/NAME is a config by its name"),
    ("onyx cat best:encoder.0.weight", "what a tensor's values are like"),
    ("onyx cat best:encoder.0.weight --raw > w", "its bytes: little-endian, row after row"),
    ("onyx cat 3f2a91", "any object, by the first digits of its address"),
)
@click.argument("what", metavar="WHAT")
@click.option("--raw", is_flag=True, help="Write the bytes as they are, to a terminal too.")
@json_option
def command(what: str, raw: bool, as_json: bool) -> None:
    """Print anything that the store holds.

    REV:PATH is something that a commit holds: a config by its file, config/NAME, artifact/NAME, or a tensor by its path or by its
    name inside the model (tensor/PATH, where something else has that name). REV alone is the commit's own object, and an address
    that of any other. Objects that are JSON are laid out, a tensor is summed up, everything else is written byte for byte; what is no
    text goes to a terminal only with --raw.
    """
    content = find_content(open_store(), what)
    if as_json:
        write_json("objects", [_row(content)])
    elif raw:
        screen.write_bytes(content.blocks())
    elif content.place is not None:
        pager.page(_summary(content, content.summarize()))
    elif content.value is not None:
        pager.page(_json_lines(content.value))
    elif screen.is_watched():
        pager.page(_text_lines(content))
    else:
        screen.write_bytes(content.blocks())


def _json_lines(value: Any) -> Iterator[Line]:
    """A value laid out, with the letters that can be seen as they are; what cannot is spelt as JSON spells it."""
    for line in json.dumps(value, indent=2, ensure_ascii=False).split("\n"):
        yield line if line.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)


def _text_lines(content: Content) -> Sequence[Line]:
    """The lines of a text, for a terminal: a tab is some spaces there, and a line's end has one spelling."""
    text = _find_text(content)
    if text is None:
        raise BadInput(f"{content.name} is no text ({size(content.size)}); add '> FILE', or --raw to have it here")
    lines = text.removesuffix("\n").split("\n") if text else []
    return [line.removesuffix("\r").expandtabs(8) for line in lines]


def _find_text(content: Content) -> str | None:
    """What the bytes say, if they are a text of bearable length."""
    if content.place is not None or content.size > LONGEST_TEXT:
        return None
    try:
        text = b"".join(map(bytes, content.blocks())).decode()
    except UnicodeDecodeError:
        return None
    return text if "\0" not in text else None


def _summary(content: Content, summary: Summary | None) -> Iterator[Line]:
    yield Painted(content.name, "title")
    place = content.place
    if place is None or summary is None:
        return
    rows = [["dtype", place.dtype], ["shape", literal(list(place.shape))]]
    rows += [[name, figure(getattr(summary, name))] for name in _FIGURES]
    rows += [["first", " ".join(map(figure, summary.first))]]
    yield from lay_out([Column(), Column(cut=20)], rows, terminal_width(), indent=2).lines


def _row(content: Content) -> Row:
    summary = content.summarize()
    tensor: Row | None = None
    if content.place is not None and summary is not None:
        tensor = {"dtype": content.place.dtype, "shape": content.place.shape, **vars(summary)}
    text = None if content.value is not None or content.place is not None else _find_text(content)
    identity = {"name": content.name, "kind": content.kind, "address": content.address, "size": content.size}
    return {**identity, "value": content.value, "text": text, "tensor": tensor}
