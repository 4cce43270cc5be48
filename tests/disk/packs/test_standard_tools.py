"""A pack is a zstd-compressed safetensors file: shown with the real tools, and a reader that knows only the format's words."""

import json
import shutil
import subprocess
from base64 import b64decode

import numpy as np
import pytest
import zstandard
from blake3 import blake3
from safetensors import safe_open
from safetensors.numpy import load

from onyxstore.disk.packs.format import SUFFIX
from onyxstore.disk.packs.reader import Pack

ZSTD = shutil.which("zstd")
needs_zstd = pytest.mark.skipif(ZSTD is None, reason="NOT TESTED: that `zstd` reads a pack (Debian package zstd is missing)")


@pytest.fixture(name="pack")
def _pack(folder, chunks):
    return folder.open(folder.write(chunks))


def rebuild(planes: list[np.ndarray], codec: str) -> bytes:
    """A chunk from its planes, by what docs say of its codec."""
    word = len(planes)
    columns = np.stack(planes, axis=1).astype("u8")
    words = sum(columns[:, plane] << np.uint64(8 * plane) for plane in range(word))
    if codec.startswith("rotated"):
        low = np.uint64(8 * word - 16)
        upper = words >> low
        upper = (upper >> np.uint64(1) | upper << np.uint64(15)) & np.uint64(0xFFFF)
        words = words & ((np.uint64(1) << low) - np.uint64(1)) | upper << low
    return words.astype(f"<u{word}").tobytes()


def chunks_in(tensors: dict[str, np.ndarray], recipe: str) -> dict[str, bytes]:
    planes = {"plain": 1, "planes-16": 2, "planes-32": 4, "planes-64": 8, "rotated-16": 2, "rotated-32": 4}
    made = {}
    for number, chunk in enumerate(json.loads(recipe)["chunks"]):
        parts = [tensors[f"{number}.{plane}"] for plane in range(planes[chunk["codec"]])]
        made[chunk["address"]] = rebuild(parts, chunk["codec"])
    return made


@needs_zstd
def test_zstd_finds_a_pack_whole(pack):
    done = subprocess.run([ZSTD, "-t", str(pack.path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@needs_zstd
def test_zstd_and_safetensors_alone_give_every_chunk_back(pack, chunks, tmp_path):
    path = tmp_path / "plain.safetensors"
    with path.open("wb") as out:
        subprocess.run([ZSTD, "-dc", str(pack.path)], stdout=out, check=True)
    with safe_open(path, "numpy") as opened:
        assert list(opened.metadata()) == ["onyx"]
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no dict
        made = chunks_in(tensors, opened.metadata()["onyx"])
    assert list(made.items()) == [(chunk.address, bytes(chunk.data)) for chunk in chunks]
    assert [blake3(data).hexdigest() for data in made.values()] == list(made)


@needs_zstd
def test_zstd_finds_damage_in_compressed_frames(pack):
    data = bytearray(pack.path.read_bytes())
    data[pack.table[3].offset + pack.table[3].stored - 2] ^= 1
    pack.path.write_bytes(data)
    assert subprocess.run([ZSTD, "-t", str(pack.path)], capture_output=True, check=False).returncode != 0


GOLDEN_NAME = "96b6590caf46a7f10ceeabadeff0ddc9"
GOLDEN = b64decode(
    b"KLUv/WQ4AhULAAbZSB9Qa+rACA+LfZx4rHQv+eH9EVXVSxJZUg9YAK2qimFiQAA/AD4ACsVBhhv1MZxOOobzaMpjePWsGm7NbsOK5pFgBMPXcAMFDXYBMnwN"
    b"h8WhSbBJBENleco/Q+GLO3QwTIJEB0BABr5p/eQ+4n3WlP/7epuvlH69pKndcv9O5/7c6JO5HyHCEFGUt+CcI+JAMEQUhAWDQUPEgQwbHBYMdDBU+PIUAspb"
    b"NHTO+ZML+cpNds31dtpFjnLpdkt1/RJVrtOTxyhRbfUfrXp1ax7MEHkPB8riwBMa7TlGQ8Qg8n5p0tUBAgKPBz6UIbK4wgLjETGJgwbcW3xhLBz1SyXeshk9"
    b"p1PVKPE56Pe9OVqrK0lcS85S+y5BKHGqWT3Vm6o8V1cHAhgAfEAQgM7sMbs8cBAAL9ah0U1TWUI5lvSCoHmAFmBUQDMwQpAEZNfrUnX4bleNgsS2GppWi8us"
    b"frfADW/tuusotS/94AcAAAAAAAAAOQAAAAECAwQFBii1L/0kUEUAABBveQEAG+qw/gRbISi1L/0kUEUAABBueAEAG+qw599MvCi1L/3gKAAAAAAAAABBAQAA"
    b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAKLUv/SQoRQAAEAAAAQAfgAVy0fEtKLUv/eAoAAAAAAAAAEEBAEExIREB4cGhgWFBIQHB"
    b"gUEBgQEBAAAAgABAgMAAIEBggKDA4AAQIDAotS/94CgAAAAAAAAAQQEAg4ODg4OCgoKCgoKCgoGBgYGAgH8Af4CAgYGBgYKCgoKCgoKCg4ODg14qTRi7AAAA"
    b"P4dw84f6rQj6qdhBTp9EmsaOb/BBf2c/YCpkaokUGf5tH1Y/8WxbN+ugjVG+jRDIYZA6NmSGjc1wYJo5AvIiPKUQaF5XhdszvfZZK827kWk6yvbzInQ4UdB/"
    b"N4DKtZ9SBwAAAKAAAACgAAAAFwAAABUAAAAVAAAAOAAAABUAAAA4AAAAOAAAAAABBQMAAAAHAAAAAAAAAAEAAABwAQAAAAAAALsAAAAAAAAAqqMPmW9ueXgg"
    b"cGFjayAxCg=="
)
GOLDEN_CHUNKS = [bytes(range(7)), b"onyx" * 40, np.arange(-20, 20, dtype="<f4").tobytes()]


def test_a_pack_of_the_first_release_is_read_for_ever(tmp_path, read_row):
    path = tmp_path / (GOLDEN_NAME + SUFFIX)
    path.write_bytes(GOLDEN)
    pack = Pack.open(path)
    assert [read_row(pack, row) for row in range(3)] == GOLDEN_CHUNKS
    assert [row.codec.name for row in pack.table] == ["plain", "planes-16", "rotated-32"]
    assert list(pack.verify()) == []


def test_a_pack_can_be_read_by_the_tables_of_the_format_alone():
    content_length = int.from_bytes(GOLDEN[-24:-16], "little")
    content = GOLDEN[-content_length:]
    count, frame_count, bases, number = (int.from_bytes(content[-48 + 4 * place :][:4], "little") for place in range(4))
    assert (count, bases, number, blake3(content).hexdigest()[:32]) == (3, 0, 1, GOLDEN_NAME)
    columns = np.frombuffer(content[32 * count : 36 * count + 4 * frame_count], "<u4")
    sizes, frames = columns[:count], columns[count:]
    offset = int.from_bytes(content[-32:-24], "little")
    assert (sizes.tolist(), offset + frames.sum() + 8 + content_length) == ([7, 160, 160], len(GOLDEN))
    assert [content[32 * row :][:32] for row in range(count)] == [blake3(chunk).digest() for chunk in GOLDEN_CHUNKS]
    assert load(unzip(GOLDEN)).keys() == {"0.0", "1.0", "1.1", "2.0", "2.1", "2.2", "2.3"}


def unzip(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read(10_000)
