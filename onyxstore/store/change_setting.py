"""One setting changed in its file, every other byte left as it was.

Where the setting stands in the file, the bytes that spell its value are replaced; where it doesn't, it gets a line of its own at the end.
The change is believed only if the file, read again, says exactly what was wished.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from onyxstore.disk import files
from onyxstore.errors import BadConfig, BadInput, BadSetting, UnknownName
from onyxstore.names import near
from onyxstore.store.settings import LARGEST, SETTINGS, Settings, check_setting, decode_settings
from onyxstore.yaml12 import encode_scalar, read_yaml


def change_setting(settings: Settings, name: str, text: str) -> Settings:
    """Sets one setting in the file that these were read from, to a value as YAML spells it; the settings as they are then.

    UnknownName, BadInput; BadSetting when the file is of a form that cannot be changed so.
    """
    path = settings.file
    if path is None:
        raise BadInput("these settings are of no store")
    value = _wished(name, text)
    try:
        data = files.read_bounded(path, LARGEST)
    except FileNotFoundError:
        data = b""
    wished = replace(decode_settings(data, path), **{name: value})
    changed = _with(data, name, encode_scalar(value).encode(), str(path))
    try:
        made = decode_settings(changed, path)
    except (BadConfig, BadSetting):
        made = None
    if made != wished:
        raise BadSetting(name, str(path), "cannot be changed alone in a file of this form; edit it by hand")
    files.replace_bytes(path.parent / "tmp", path, changed)
    return wished


def _wished(name: str, text: str) -> Any:
    """The value that a text spells, if the setting can have it."""
    if name not in SETTINGS:
        raise UnknownName("setting", name, "the store", near(name, SETTINGS))
    try:
        value = read_yaml(text.encode("utf-8", "surrogatepass"), name).value
    except BadConfig as error:
        raise BadInput(f"{name} cannot be {text!r}: {error.why}") from None
    holds, expected = check_setting(name, value)
    if not holds:
        raise BadInput(f"{name} should be {expected}, not {text!r}")
    return value


def _with(data: bytes, name: str, spelt: bytes, file: str) -> bytes:
    for scalar in read_yaml(data, file).scalars:
        if scalar.path == (name,):
            return data[: scalar.start] + spelt + data[scalar.end :]
    return data + (b"" if data.endswith(b"\n") or not data else b"\n") + name.encode() + b": " + spelt + b"\n"
