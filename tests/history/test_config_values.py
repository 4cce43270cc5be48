import argparse
import collections
import dataclasses
import datetime as dt
import enum
import pathlib
import sys
import types
from typing import Any

import numpy as np
import pydantic
import pytest

from onyxstore.errors import CannotEncode
from onyxstore.history.config_values import plain_value


class Optimizer(enum.Enum):
    ADAMW = "adamw"


class Level(enum.IntEnum):
    HIGH = 3


class Word(str):
    __slots__ = ()


@dataclasses.dataclass
class Inner:
    betas: tuple[float, float] = (0.9, 0.999)


@dataclasses.dataclass
class Outer:
    name: str
    inner: Inner = dataclasses.field(default_factory=Inner)


class Model(pydantic.BaseModel):
    lr: float = 1e-3
    path: pathlib.Path = pathlib.Path("data/train")
    key: pydantic.SecretStr = pydantic.SecretStr("hunter2")


class Attrs:
    """As attrs makes them: the fields stand on the class."""

    __attrs_attrs__ = (types.SimpleNamespace(name="a"), types.SimpleNamespace(name="b"))

    def __init__(self):
        self.a, self.b = 1, (2,)


class Dumps:
    def to_dict(self):
        return {"hidden": {"size": np.int64(8)}}


class Slotted(collections.UserDict):
    """A mapping that is no dict."""


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ({"a": [1, 2.5, True, None, "x"], 3: {}}, {"a": [1, 2.5, True, None, "x"], 3: {}}),
        ((1, (2,)), [1, [2]]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", 1, None}), ["b", 1, None]),
        (range(3), [0, 1, 2]),
        (collections.deque([1]), [1]),
        (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (types.MappingProxyType({"a": (1,)}), {"a": [1]}),
        (Slotted(a=1), {"a": 1}),
        (Outer("x"), {"name": "x", "inner": {"betas": [0.9, 0.999]}}),
        (argparse.Namespace(lr=1, out=pathlib.Path("a/b")), {"lr": 1, "out": "a/b"}),
        (types.SimpleNamespace(a=1), {"a": 1}),
        ({Optimizer.ADAMW: Level.HIGH}, {"adamw": 3}),
        (Word("x"), "x"),
        (dt.date(2024, 1, 2), "2024-01-02"),
        (dt.datetime(2024, 1, 2, 3, tzinfo=dt.UTC), "2024-01-02T03:00:00+00:00"),
        ([np.float64(0.1), np.float32(0.5), np.int8(3), np.bool_(1), np.str_("x")], [0.1, 0.5, 3, True, "x"]),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        (Model(), {"lr": 1e-3, "path": "data/train", "key": "<masked>"}),
        (Attrs(), {"a": 1, "b": [2]}),
        (Dumps(), {"hidden": {"size": 8}}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_program_holds_as_config_becomes_plain(value, plain):
    made = plain_value(value)
    assert repr(made) == repr(plain)
    assert kinds(made) <= {dict, list, str, int, float, bool, type(None)}


def kinds(value):
    inner = [*value, *value.values()] if type(value) is dict else value if type(value) is list else []
    return {type(value)}.union(*map(kinds, inner))


def test_torch_kinds_are_their_names():
    torch = pytest.importorskip("torch")
    value = {"dtype": torch.bfloat16, "device": torch.device("cpu"), "scale": torch.tensor([1.0, 2.0]), "n": torch.tensor(3)}
    assert plain_value(value) == {"dtype": "torch.bfloat16", "device": "cpu", "scale": [1.0, 2.0], "n": 3}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (print, "the config cannot be stored: a builtins.builtin_function_or_method is no config value"),
        ({"model": {"act": int}}, "model.act cannot be stored: a builtins.type is no config value"),
        ({"a": [1, {"b": b"x"}]}, "a.1.b cannot be stored: a builtins.bytes is no config value"),
        ({"a": 1j}, "a cannot be stored: a builtins.complex is no config value"),
        ({"a": Outer}, "a cannot be stored: a builtins.type is no config value"),
        ({"a": {(1, 2): 3}}, "a cannot be stored: its key '(1, 2)' is no scalar, or stands for the same as another"),
        ({"a": {Optimizer.ADAMW: 1, "adamw": 2}}, "a cannot be stored: its key 'adamw' is no scalar, or stands for the same as another"),
        ({"a": np.zeros((400, 400))}, "a cannot be stored: an array of shape (400, 400) is no config value"),
        (list(range(100_000)), "99999 cannot be stored: it is more than 100000 values"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_anything_else_is_an_error_that_names_its_path(value, said):
    with pytest.raises(CannotEncode) as refusal:
        plain_value(value)
    assert str(refusal.value).partition(";")[0] == said


def test_what_holds_itself_ends_in_an_error():
    class Endless:
        def to_dict(self):
            return self.__class__()

    holds_itself: list[Any] = []
    holds_itself.append(holds_itself)
    for value in (holds_itself, Endless()):
        with pytest.raises(CannotEncode, match="nested deeper than 64 levels"):
            plain_value(value)


class FakeOmegaConf:
    """OmegaConf as far as it matters: a config that resolves its references when asked to, or cannot."""

    class OmegaConfBaseException(Exception):
        pass

    class DictConfig:
        __module__ = "omegaconf.dictconfig"

        def __init__(self, raw, resolved):
            self.raw, self.resolved = raw, resolved

    @staticmethod
    def to_container(config, *, resolve=False):
        if resolve and config.resolved is None:
            raise FakeOmegaConf.OmegaConfBaseException("Interpolation key 'nope' not found\n    full_key: a")
        return config.resolved if resolve else config.raw


@pytest.fixture
def omegaconf(monkeypatch):
    library = types.SimpleNamespace(OmegaConf=FakeOmegaConf, errors=FakeOmegaConf)
    monkeypatch.setitem(sys.modules, "omegaconf", library)
    return FakeOmegaConf.DictConfig


def test_references_of_omegaconf_are_resolved_but_not_those_to_the_environment(omegaconf):
    raw = {"lr": "${base}", "base": 1, "key": "${oc.env:WANDB}", "list": ["${oc.env:X}", "${base}"], "all": "${list}"}
    resolved = {"lr": 1, "base": 1, "key": "0123", "list": ["x", 1], "all": ["y", 1]}
    assert plain_value({"c": omegaconf(raw, resolved)}) == {
        "c": {"lr": 1, "base": 1, "key": "${oc.env:WANDB}", "list": ["${oc.env:X}", 1], "all": ["y", 1]},
    }


def test_a_reference_that_leads_nowhere_is_said_with_its_path(omegaconf):
    with pytest.raises(CannotEncode, match=r"^c cannot be stored: Interpolation key 'nope' not found"):
        plain_value({"c": omegaconf({"a": "${nope}"}, None)})
