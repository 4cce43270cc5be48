"""Chunks to put into packs, and a folder to put them into."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from onyxstore.disk.codecs.choose import choose_codec
from onyxstore.disk.packs.format import SUFFIX
from onyxstore.disk.packs.reader import Pack
from onyxstore.disk.packs.writer import NewChunk, WrittenPack, write_packs
from onyxstore.hashing import address_of


@dataclass(frozen=True)
class Folder:
    packs: Path
    tmp: Path

    def write(self, chunks: list[NewChunk]) -> WrittenPack:
        [written] = write_packs(chunks, self.packs, self.tmp, 2)
        return written

    def path(self, written: WrittenPack) -> Path:
        return self.packs / (written.name + SUFFIX)

    def open(self, written: WrittenPack) -> Pack:
        return Pack.open(self.path(written))

    def files(self) -> list[str]:
        return sorted(path.name for folder in (self.packs, self.tmp) if folder.exists() for path in folder.iterdir())


def new_chunk(dtype: str, values: np.ndarray) -> NewChunk:
    data = memoryview(values.tobytes())
    return NewChunk(address_of(data), data, choose_codec(dtype, data))


def weights(seed: int, count: int = 3000) -> NewChunk:
    return new_chunk("float32", (np.random.default_rng(seed).standard_normal(count) * 0.02).astype("<f4"))


def read(pack: Pack, row: int) -> bytes:
    out = memoryview(bytearray(pack.table[row].size))
    pack.read_into(row, out)
    return bytes(out)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "packs", tmp_path / "tmp")


@pytest.fixture(scope="session", name="chunks")
def _chunks() -> list[NewChunk]:
    """Chunks of every codec, with frames of one block and of many, compressed and raw."""
    random = np.random.default_rng(0)
    return [
        weights(1),
        weights(2, 600_000),
        new_chunk("bfloat16", (random.standard_normal(5000).astype("<f4").view("<u4") >> 16).astype("<u2")),
        new_chunk("int16", random.integers(0, 300, 4000).astype("<i2")),
        new_chunk("int32", random.integers(0, 70_000, 4000).astype("<i4")),
        new_chunk("float64", random.standard_normal(2000)),
        new_chunk("uint8", random.integers(0, 256, 300_000, dtype=np.uint8)),
        new_chunk("int64", np.array(7)),
        new_chunk("bool", np.array([True])),
    ]


@pytest.fixture(name="make_weights", scope="session")
def _make_weights():
    return weights


@pytest.fixture(name="make_chunk", scope="session")
def _make_chunk():
    return new_chunk


@pytest.fixture(name="read_row", scope="session")
def _read_row():
    return read
