"""Values of a config file changed in place: comments, order, quotes and white space stay as they were.

An edit is believed only if the file, read again, says exactly what was wished. (Writing the file anew with ruamel.yaml was tried: it
keeps comments in most cases, not behind a mapping that is replaced, and sets the white space its own way everywhere.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onyxstore.configs.document import Document, decode_document
from onyxstore.configs.paths import Path, dotted, path_from, put, same
from onyxstore.configs.splice import spliced
from onyxstore.errors import BadConfig
from onyxstore.yaml12 import write_yaml


def edit(data: bytes, file: str, updates: Mapping[str, Any]) -> bytes:
    """A file's bytes with values changed or added, by dotted keys.

    A value that is a mapping takes the place of the one that stood there. BadConfig when the file is no config, or when a value cannot
    be changed without another (as one that an alias refers to); CannotEncode names the path of what has no YAML form.
    """
    for key, value in updates.items():
        document = decode_document(data, file)
        data = _with(document, path_from(key, document.values), value)
    return data


def _with(document: Document, path: Path, value: Any) -> bytes:
    try:
        wished = put(document.values, path, value)
        write_yaml(wished)  # says what has no YAML form
        new = document.data if same(document.values, wished) else spliced(document, path, value)
        if _reads_as(new, wished):
            return new
    except LookupError:
        pass
    raise BadConfig(document.file, f"{dotted(path)} cannot be changed alone; edit the file by hand", *(document.place(path) or ()))


def _reads_as(data: bytes, wished: Any) -> bool:
    try:
        return same(decode_document(data, "").values, wished)
    except BadConfig:
        return False
