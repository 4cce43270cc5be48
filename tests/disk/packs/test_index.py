from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from onyxstore.disk import files
from onyxstore.disk.packs import index
from onyxstore.disk.packs.format import SUFFIX
from onyxstore.disk.packs.index import PackIndex
from onyxstore.disk.packs.reader import Pack
from onyxstore.errors import DiskError
from onyxstore.hashing import Address

ABSENT = Address("00" * 32)


def names(packs: PackIndex) -> list[str]:
    return [pack.name for pack in packs.packs()]


def test_a_chunk_is_found_in_the_pack_that_holds_it(folder, chunks, read_row):
    one, other = folder.write(chunks[:4]), folder.write(chunks[4:])
    packs = PackIndex(folder.packs)
    for number, chunk in enumerate(chunks):
        pack, row = packs.find(chunk.address)
        assert pack.name == (one if number < 4 else other).name
        assert read_row(pack, row) == bytes(chunk.data)
    assert packs.find(ABSENT) is None


def test_no_folder_holds_nothing(tmp_path):
    packs = PackIndex(tmp_path / "none")
    assert (packs.find(ABSENT), packs.lacking([ABSENT]), names(packs), dict(packs.damaged)) == (None, {ABSENT}, [], {})


def test_a_pack_that_came_later_is_seen_on_a_miss(folder, chunks):
    packs = PackIndex(folder.packs)
    assert packs.find(chunks[0].address) is None
    folder.write(chunks)
    assert packs.find(chunks[0].address)[1] == 0


def test_a_pack_that_went_away_is_forgotten(folder, chunks):
    gone, stays = folder.write(chunks[:4]), folder.write(chunks[3:])
    packs = PackIndex(folder.packs)
    assert len(names(packs)) == 2
    folder.path(gone).unlink()
    packs.refresh()
    assert packs.find(chunks[0].address) is None
    assert packs.find(chunks[3].address)[0].name == stays.name
    assert names(packs) == [stays.name]


def test_a_pack_that_goes_away_between_look_and_read_is_looked_for_elsewhere(folder, chunks, monkeypatch):
    old = folder.write(chunks)
    packs = PackIndex(folder.packs)
    packs.refresh()
    monkeypatch.setattr(index, "MOST_OPEN", 0)
    packs.pack(old.name)
    new = folder.write(chunks[:3])
    folder.path(old).unlink()
    assert packs.find(chunks[0].address)[0].name == new.name
    assert packs.find(chunks[5].address) is None


def test_lacking_asks_the_folder_each_time(folder, chunks):
    packs = PackIndex(folder.packs)
    addresses = [chunk.address for chunk in chunks]
    assert packs.lacking(addresses) == set(addresses)
    written = folder.write(chunks[:5])
    assert packs.lacking(addresses) == set(addresses[5:])
    folder.path(written).unlink()
    assert packs.lacking(addresses) == set(addresses)


def test_all_sizes_are_told_without_opening_packs(folder, chunks, monkeypatch):
    folder.write(chunks[:4])
    folder.write(chunks[2:])  # two of them are in both
    packs = PackIndex(folder.packs)
    expected = {}
    for chunk in chunks:
        pack, row = packs.find(chunk.address)
        expected[chunk.address] = pack.table.stored(row)
    monkeypatch.setattr(Pack, "open", None)
    assert packs.stored_sizes() == expected


def test_lacking_looks_once_for_all(folder, chunks, monkeypatch):
    folder.write(chunks)
    packs, looks, list_folder = PackIndex(folder.packs), [], files.list_folder
    monkeypatch.setattr(files, "list_folder", lambda path: looks.append(path) or list_folder(path))
    packs.lacking([Address(f"{number:064x}") for number in range(1000)])
    assert looks == [folder.packs]


@pytest.mark.parametrize("harm", ["cut", "name", "empty", "link"])
def test_a_damaged_pack_is_reported_and_hides_no_other(folder, chunks, harm):
    damaged, whole = folder.path(folder.write(chunks[:4])), folder.write(chunks[4:])
    data = damaged.read_bytes()
    damaged.unlink()
    if harm == "name":
        damaged = damaged.with_name("notes" + SUFFIX)
    damaged.symlink_to(folder.path(whole)) if harm == "link" else damaged.write_bytes({"cut": data[:-9], "name": data, "empty": b""}[harm])
    packs = PackIndex(folder.packs)
    assert packs.find(chunks[0].address) is None
    assert packs.find(chunks[8].address)[0].name == whole.name
    assert list(packs.damaged) == [damaged.name.removesuffix(SUFFIX)]
    assert names(packs) == [whole.name]


def test_a_damaged_pack_that_was_replaced_is_read_again(folder, chunks):
    path = folder.path(folder.write(chunks))
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    packs = PackIndex(folder.packs)
    packs.refresh()
    assert len(packs.damaged) == 1
    path.write_bytes(data)
    assert packs.find(chunks[0].address) is not None
    assert dict(packs.damaged) == {}


def test_other_files_in_the_folder_are_none_of_ours(folder, chunks):
    folder.write(chunks)
    (folder.packs / "notes.txt").write_text("mine")
    packs = PackIndex(folder.packs)
    assert (len(names(packs)), dict(packs.damaged)) == (1, {})


def test_a_disk_that_cannot_read_one_pack_hides_no_other(folder, chunks, monkeypatch):
    bad, good = folder.write(chunks[:4]), folder.write(chunks[4:])
    opened = files.open_read

    def open_read(path):
        if path == folder.path(bad):
            raise DiskError("opening", str(path), 5)
        return opened(path)

    monkeypatch.setattr(files, "open_read", open_read)
    packs = PackIndex(folder.packs)
    assert packs.find(chunks[8].address)[0].name == good.name
    assert list(packs.damaged) == [bad.name]


def test_too_many_open_files_is_no_damage(folder, chunks, monkeypatch):
    folder.write(chunks)

    def open_read(path):
        raise DiskError("opening", str(path), 24)

    monkeypatch.setattr(files, "open_read", open_read)
    with pytest.raises(DiskError):
        PackIndex(folder.packs).find(chunks[0].address)


def open_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_only_so_many_packs_are_kept_open_and_readers_keep_theirs(folder, make_weights, read_row, monkeypatch):
    monkeypatch.setattr(index, "MOST_OPEN", 3)
    chunks = [make_weights(seed, 100) for seed in range(10)]
    for chunk in chunks:
        folder.write([chunk])
    before = open_descriptors()
    packs = PackIndex(folder.packs)
    first, row = packs.find(chunks[0].address)
    assert all(packs.find(chunk.address) for chunk in chunks)
    assert open_descriptors() - before == 3 + 1
    assert read_row(first, row) == bytes(chunks[0].data)
    del first, packs
    assert open_descriptors() == before


def test_a_pack_that_went_away_is_let_go_so_that_its_space_is_free(folder, chunks):
    path = folder.path(folder.write(chunks))
    packs = PackIndex(folder.packs)
    before = open_descriptors()
    packs.refresh()
    path.unlink()
    packs.refresh()
    assert open_descriptors() == before


def test_a_pack_is_opened_by_its_name(folder, chunks):
    written = folder.write(chunks)
    packs = PackIndex(folder.packs)
    assert isinstance(packs.pack(written.name), Pack)
    assert packs.pack(written.name) is packs.pack(written.name)
    with pytest.raises(FileNotFoundError):
        packs.pack("0" * 32)


def test_many_threads_find_while_packs_come_and_go(folder, make_weights, read_row):
    chunks = [make_weights(seed, 200) for seed in range(12)]
    lasting = folder.write(chunks[:6])
    packs = PackIndex(folder.packs)

    def come_and_go(seed: int) -> None:
        written = folder.write([make_weights(100 + seed, 50)])
        packs.refresh()
        folder.path(written).unlink()

    def find(number: int) -> bytes:
        pack, row = packs.find(chunks[number % 6].address)
        return read_row(pack, row)

    with ThreadPoolExecutor(4) as pool:
        changes = [pool.submit(come_and_go, seed) for seed in range(20)]
        found = list(pool.map(find, range(60)))
        assert [change.result() for change in changes] == [None] * 20
    assert found == [bytes(chunks[number % 6].data) for number in range(60)]
    assert names(packs) == [lasting.name]
