import contextlib
import errno
import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onyxstore.disk import files, loose
from onyxstore.disk.layout import create_layout
from onyxstore.disk.loose import LooseObjects
from onyxstore.errors import BadFile, CorruptObject, DiskError, DiskFull, ObjectMissing
from onyxstore.hashing import Address, address_of

DATA = b"a small object, " * 20
FRAME = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(DATA)
MAGIC = bytes.fromhex("28b52ffd")

SIZES = [0, 1, 65_535, loose._STREAM - 1, loose._STREAM, loose._STREAM + 1, 3 * loose._STREAM + 7]


@pytest.fixture
def objects(layout):
    return LooseObjects(layout)


@pytest.fixture
def stored(objects, layout):
    """A stored object: its address and its file."""
    address = objects.put(DATA)
    return address, layout.object(address)


def pattern(size):
    return (b"0123456789abcdef!" * (size // 17 + 1))[:size]


def plant(layout, address, data):
    """Puts bytes under an address, whatever they are."""
    layout.object(address).parent.mkdir(exist_ok=True)
    layout.object(address).write_bytes(data)


# ---------------------------------------------------------------------------------------------------------- round trips


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=2000), kind=st.sampled_from([bytes, bytearray, memoryview]))
def test_what_was_put_comes_back_under_the_address_of_its_raw_bytes(objects, data, kind):
    address = objects.put(kind(data))
    assert (address, objects.get(address), b"".join(objects.stream(address))) == (address_of(data), data, data)


@pytest.mark.parametrize("size", SIZES)
def test_a_file_of_any_size_comes_back_in_bounded_blocks(objects, tmp_path, size):
    (tmp_path / "source").write_bytes(pattern(size))
    address, length = objects.put_file(tmp_path / "source")
    blocks = list(objects.stream(address))
    assert (address, length, b"".join(blocks), objects.get(address)) == (address_of(pattern(size)), size, pattern(size), pattern(size))
    assert all(0 < len(block) <= loose._STREAM for block in blocks)


def test_a_file_is_read_in_bounded_pieces(objects, tmp_path, monkeypatch):
    asked = []

    class Watched(io.FileIO):
        def read(self, size=-1):
            asked.append(size)
            return super().read(size)

    (tmp_path / "source").write_bytes(pattern(SIZES[-1]))
    monkeypatch.setattr(Path, "open", lambda path, mode: Watched(str(path), mode))
    objects.put_file(tmp_path / "source")
    assert 0 < min(asked) <= max(asked) <= loose._STREAM


@pytest.mark.skipif(shutil.which("zstd") is None, reason="the zstd command is not installed")
def test_the_zstd_command_gives_the_object(stored):
    shown = subprocess.run(["zstd", "-dc", str(stored[1].rename(stored[1].with_suffix(".zst")))], check=True, capture_output=True)
    assert shown.stdout == DATA


def test_a_frame_declares_its_size_and_has_a_checksum(objects, layout, tmp_path):
    (tmp_path / "source").write_bytes(DATA)
    for address in (objects.put(DATA + b"1"), objects.put_file(tmp_path / "source")[0]):
        parameters = zstandard.get_frame_parameters(layout.object(address).read_bytes())
        assert (parameters.content_size, parameters.has_checksum, parameters.dict_id) == (len(objects.get(address)), True, 0)


def test_objects_are_listed_in_order_and_other_files_are_none(objects, layout):
    addresses = [objects.put(bytes([number])) for number in range(20)]
    (layout.objects / "ab").mkdir(exist_ok=True)
    (layout.objects / "ab" / "short").write_bytes(b"")
    (layout.objects / "AB").mkdir()
    (layout.objects / "AB" / ("C" * 62)).write_bytes(b"")
    (layout.objects / "note.txt").write_bytes(b"")
    assert list(objects.addresses()) == sorted(addresses)
    assert [objects.has(addresses[0]), objects.has(Address("0" * 64))] == [True, False]
    assert objects.stored_size(addresses[0]) == layout.object(addresses[0]).stat().st_size


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_an_object_says_its_size_without_being_read(objects, size, monkeypatch):
    address = objects.put(bytes(size))
    monkeypatch.setattr(files, "read_bounded", None)
    assert objects.raw_size(address) == size


def test_a_size_that_cannot_be_read_is_damage(objects, layout):
    address = objects.put(b"some words")
    with pytest.raises(ObjectMissing):
        objects.raw_size(address_of(b"others"))
    streamed = zstandard.ZstdCompressor(write_content_size=False).compress(b"some words")
    for noise in (b"", b"noise", streamed):
        layout.object(address).write_bytes(noise)
        with pytest.raises(CorruptObject):
            objects.raw_size(address)
    layout.object(address).unlink()
    layout.object(address).mkdir()
    with pytest.raises(CorruptObject):
        objects.raw_size(address)


def test_nothing_that_is_missing_is_invented(objects):
    address = Address("0" * 64)
    for read in (objects.get, lambda address: list(objects.stream(address))):
        with pytest.raises(ObjectMissing) as caught:
            read(address)
        assert caught.value.address == address


# -------------------------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("data", [DATA, b"", b"x"])
def test_every_flipped_bit_is_found(objects, layout, data):
    address = objects.put(data)
    whole = layout.object(address).read_bytes()
    for place in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            plant(layout, address, damaged)
            # A few bits of a frame's header mean nothing for its content; then the content must be right.
            with contextlib.suppress(CorruptObject):
                assert objects.get(address) == data
            with contextlib.suppress(CorruptObject):
                assert b"".join(objects.stream(address)) == data


def test_most_flipped_bits_are_refused_and_not_only_corrected(objects, stored, layout):
    address, path = stored
    whole, refused = path.read_bytes(), 0
    for place in range(len(whole)):
        plant(layout, address, whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            objects.get(address)
        except CorruptObject:
            refused += 1
    assert refused >= len(whole) - 1


@pytest.mark.parametrize("data", [DATA, b""])
def test_every_truncation_is_found(objects, layout, data):
    address = objects.put(data)
    whole = layout.object(address).read_bytes()
    for cut in range(len(whole)):
        plant(layout, address, whole[:cut])
        with pytest.raises(CorruptObject):
            objects.get(address)


@pytest.mark.parametrize("size", [0, 100, 3 * loose._STREAM])
@pytest.mark.parametrize("more", [b"\0", b"junk", bytes(5000), FRAME, MAGIC])
def test_bytes_after_the_frame_are_refused(objects, layout, size, more):
    address = objects.put(pattern(size))
    plant(layout, address, layout.object(address).read_bytes() + more)
    with pytest.raises(CorruptObject):
        objects.get(address)
    if more != MAGIC:  # the beginning of another frame alone is not noticed by a stream, which the address does not speak of
        with pytest.raises(CorruptObject):
            list(objects.stream(address))


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 100])
def test_a_stream_never_ends_quietly_before_its_object_does(objects, layout, cut):
    data = os.urandom(2 * loose._STREAM)
    address = objects.put(data)
    plant(layout, address, layout.object(address).read_bytes()[:-cut])
    try:
        assert b"".join(objects.stream(address)) == data
    except CorruptObject:
        assert cut > 3


def test_another_object_s_bytes_are_refused(objects, stored, layout):
    other = objects.put(b"another")
    plant(layout, other, stored[1].read_bytes())
    with pytest.raises(CorruptObject, match="its bytes have another address"):
        objects.get(other)
    with pytest.raises(CorruptObject, match="its bytes have another address"):
        list(objects.stream(other))


def frame_of(header):
    """A frame with a chosen header, and one last raw block of no bytes."""
    return MAGIC + header + bytes([1, 0, 0])


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(frame_of(b"\xe0" + (1 << 60).to_bytes(8, "little")), id="an exabyte declared"),
        pytest.param(frame_of(b"\xe0" + (loose.LARGEST + 1).to_bytes(8, "little")), id="a byte too many declared"),
        pytest.param(frame_of(b"\xe0" + b"\xff" * 8), id="all bits of the size set"),
        pytest.param(zstandard.ZstdCompressor(write_content_size=False).compress(DATA), id="no size declared"),
        pytest.param(frame_of(b"\x21\x07\x00"), id="a dictionary"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"\0" * 100, id="zeros"),
        pytest.param(MAGIC, id="magic alone"),
        pytest.param(bytes.fromhex("502a4d18") + b"\x04\0\0\0abcd", id="a skippable frame"),
        pytest.param(bytes.fromhex("502a4d18") + b"\x04\0\0\0abcd" + FRAME, id="a skippable frame before"),
        pytest.param(frame_of(b"\x00\xf8"), id="a window of terabytes"),
    ],
)
def test_a_hostile_frame_is_refused_before_anything_is_allocated(objects, layout, monkeypatch, hostile):
    address = address_of(DATA)
    plant(layout, address, hostile)
    decoded = []
    decode = loose._decode

    def watched(stored):
        decoded.append(zstandard.get_frame_parameters(stored).content_size)
        return decode(stored)

    monkeypatch.setattr(loose, "_decode", watched)
    with pytest.raises(CorruptObject):
        objects.get(address)
    assert max(decoded, default=0) <= len(hostile)
    with contextlib.suppress(CorruptObject):
        assert b"".join(objects.stream(address)) == DATA


def test_a_bomb_is_streamed_in_bounded_blocks(objects, layout):
    repeated = bytes([0b010, 0, 0x10, 0])  # an RLE block: 128 kB of zeros from 4 bytes
    count = 400
    bomb = MAGIC + b"\xa0" + (count << 17).to_bytes(4, "little") + repeated * (count - 1) + bytes([0b011, 0, 0x10, 0])
    address = Address("ab" * 32)
    plant(layout, address, bomb)
    sizes = set()
    with pytest.raises(CorruptObject, match="another address"):
        sizes.update(len(block) for block in objects.stream(address))
    assert max(sizes, default=0) <= loose._STREAM


def test_streams_of_one_thread_may_interleave_with_each_other_and_with_reading(objects):
    contents = [os.urandom(3 * loose._STREAM), pattern(3 * loose._STREAM), pattern(100)]
    addresses = [objects.put(content) for content in contents]
    first, second, got = objects.stream(addresses[0]), objects.stream(addresses[1]), [b"", b""]
    for one, two in zip(first, second, strict=True):
        assert objects.get(addresses[2]) == contents[2]
        got = [got[0] + one, got[1] + two]
    assert got == contents[:2]


def test_a_stream_that_is_left_early_gives_its_descriptor_back(objects):
    address = objects.put(pattern(3 * loose._STREAM))
    before = os.listdir("/dev/fd")  # noqa: PTH208 - the names are numbers
    stream = objects.stream(address)
    next(stream)
    stream.close()
    assert os.listdir("/dev/fd") == before  # noqa: PTH208


def link_to(path):
    """A link to the very object, elsewhere: following it would give the right bytes."""
    path.with_name("elsewhere").write_bytes(FRAME)
    path.symlink_to("elsewhere")


@pytest.mark.parametrize(("make", "why"), [(link_to, "symbolic link"), (os.mkfifo, "no regular file"), (Path.mkdir, "no regular file")])
def test_what_is_no_file_in_an_object_s_place_is_damage_and_hangs_nobody(objects, stored, make, why):
    address, path = stored
    path.unlink()
    make(path)
    for read in (objects.get, lambda address: list(objects.stream(address))):
        with pytest.raises(CorruptObject, match=why) as caught:
            read(address)
        assert (caught.value.address, caught.value.file) == (address, str(path))


def test_a_file_of_an_absurd_size_is_not_read(objects, stored):
    with stored[1].open("wb") as sparse:
        sparse.truncate(loose._LARGEST_STORED + 1)
    with pytest.raises(CorruptObject, match="bytes where"):
        objects.get(stored[0])


def test_a_file_in_place_of_the_folder_is_an_absence(objects, layout):
    (layout.objects / "00").write_bytes(b"")
    with pytest.raises(ObjectMissing):
        objects.get(Address("0" * 64))


def test_a_disk_that_cannot_be_read_is_no_damage(objects, stored, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "")

    monkeypatch.setattr(files.os, "pread", fail)
    with pytest.raises(DiskError, match="Input/output error"):
        objects.get(stored[0])


# ------------------------------------------------------------------------------------------------- putting what is there


def test_a_whole_object_is_not_written_again_but_is_durable(objects, stored, monkeypatch):
    address, path = stored
    synced, before = [], (path.stat().st_ino, path.stat().st_mtime_ns)
    monkeypatch.setattr(files, "sync_folder", synced.append)
    assert objects.put(DATA) == address
    assert ((path.stat().st_ino, path.stat().st_mtime_ns), synced) == (before, [path.parent])


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
        lambda path: (path.unlink(), link_to(path)),
        lambda path: (path.unlink(), os.mkfifo(path)),
    ],
)
def test_a_damaged_object_is_replaced_by_putting_it_again(objects, stored, tmp_path, damage):
    address, path = stored
    (tmp_path / "source").write_bytes(DATA)
    for put in (lambda: objects.put(DATA), lambda: objects.put_file(tmp_path / "source")[0]):
        damage(path)
        assert (put(), path.is_symlink(), objects.get(address)) == (address, False, DATA)


def test_a_folder_in_an_object_s_place_is_an_error_not_a_silence(objects, stored, layout):
    stored[1].unlink()
    stored[1].mkdir()
    with pytest.raises(DiskError, match="Is a directory"):
        objects.put(DATA)
    assert files.list_folder(layout.tmp) == []


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("nowhere"), lambda _: None])
def test_only_regular_files_are_put(objects, layout, tmp_path, make):
    make(tmp_path / "source")
    with pytest.raises(BadFile, match="there is no regular file of that name"):
        objects.put_file(tmp_path / "source")
    assert files.list_folder(layout.objects) == []


def test_a_file_is_put_through_a_link(objects, tmp_path):
    (tmp_path / "source").write_bytes(DATA)
    (tmp_path / "link").symlink_to("source")
    assert objects.put_file(tmp_path / "link") == (address_of(DATA), len(DATA))


@pytest.mark.parametrize(("now", "outcome"), [(b"shrunk", "refused"), (DATA + b"grown", "as it was")])
def test_a_file_that_changes_while_it_is_read_is_whole_or_refused(objects, layout, tmp_path, monkeypatch, now, outcome):
    source = tmp_path / "source"
    source.write_bytes(DATA)
    opened = Path.open

    def written_meanwhile(path, mode):
        with opened(path, "wb") as other:
            other.write(now)
        return opened(path, mode)

    monkeypatch.setattr(Path, "open", written_meanwhile)
    if outcome == "refused":
        with pytest.raises(BadFile, match="something writes it"):
            objects.put_file(source)
        assert (files.list_folder(layout.objects), files.list_folder(layout.tmp)) == ([], [])
    else:
        assert objects.put_file(source) == (address_of(DATA), len(DATA))


@pytest.mark.parametrize("call", ["write", "fsync", "link", "close"])
def test_an_object_that_could_not_be_written_is_not_there(objects, layout, monkeypatch, call):
    def fail(*_):
        raise OSError(errno.EIO, "")

    files.make_folder(layout.object(address_of(DATA)).parent)
    close = os.close
    monkeypatch.setattr(files.os, call, fail if call != "close" else lambda fd: close(fd) or fail())
    with pytest.raises(DiskError):
        objects.put(DATA)
    monkeypatch.undo()
    assert (objects.has(address_of(DATA)), files.list_folder(layout.tmp)) == (False, [])
    assert objects.get(objects.put(DATA)) == DATA


def test_on_a_full_disk_what_was_stored_stays_and_what_was_not_is_not_there(small_disk):
    layout = create_layout(small_disk / ".onyx", b"")
    objects, kept = LooseObjects(layout), []
    with pytest.raises(DiskFull):  # noqa: PT012 - which of them fails, the filesystem knows
        while True:
            kept.append(objects.put(os.urandom(3000)))
    assert len(kept) > 3
    assert list(objects.addresses()) == sorted(kept)
    assert [address_of(objects.get(address)) for address in kept] == kept
    assert files.list_folder(layout.tmp) == []
