"""Reading every byte: each kind of file, damaged in turn."""

import os

import numpy as np
import pytest

from onyxstore.disk.linefile import append_values, replace_value
from onyxstore.disk.objects import NewTensor, ObjectStore
from onyxstore.disk.refs import Reason, Refs, to
from onyxstore.disk.verify import Finding, verify_disk
from onyxstore.hashing import address_of

DATA = np.random.default_rng(0).bytes(3000)


@pytest.fixture
def objects(layout):
    """A store with one object, one pack, one ref, and marks of one run."""
    objects = ObjectStore(layout)
    objects.put(b"some words")
    objects.put_tensors([NewTensor("uint8", memoryview(DATA), [(address_of(DATA), memoryview(DATA))])])
    Refs(layout).update({"latest": to({"commit": "a" * 64})}, Reason("test"))
    append_values(layout.runs / "a" / "pruned", [{"some": "mark"}, {"another": "mark"}])
    return objects


def found(layout):
    findings = verify_disk(ObjectStore(layout), layout)
    return [str(each) for each in findings.damage], [str(each) for each in findings.notes]


def flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 4
    path.write_bytes(data)


def only_pack(layout):
    (path,) = layout.packs.iterdir()
    return path


def test_a_whole_store_has_no_findings_and_every_byte_was_read(objects, layout):
    findings = verify_disk(objects, layout)
    assert (findings.damage, findings.notes, findings.objects, findings.chunks) == ([], [], 1, 1)
    assert findings.read == len(b"some words") + only_pack(layout).stat().st_size


@pytest.mark.parametrize("offset", [0, 4, 6, 12, -1])
def test_a_damaged_object_is_named_by_its_address(objects, layout, offset):
    address = address_of(b"some words")
    flip(layout.object(address), offset)
    (words,), notes = found(layout)
    assert (words.partition(":")[0], notes) == (f"object {address}", [])


def test_an_object_under_a_false_address_is_damage(objects, layout):
    (layout.objects / "ab").mkdir()
    layout.object(address_of(b"some words")).replace(layout.objects / "ab" / ("c" * 62))
    assert found(layout)[0] == [f"object ab{'c' * 62}: its bytes have another address"]


def test_a_damaged_chunk_is_named_by_its_pack_and_address(objects, layout):
    (pack,) = objects.packs()
    flip(pack.path, pack.table[0].offset + 1500)
    findings = verify_disk(ObjectStore(layout), layout)
    assert [(each.where, each.address) for each in findings.damage] == [(f"pack {pack.name}", address_of(DATA))]


@pytest.mark.parametrize("place", ["header", "index", "end", "cut", "empty"])
def test_a_pack_is_named_wherever_it_is_damaged(objects, layout, place):
    path = only_pack(layout)
    size = path.stat().st_size
    if place == "cut":
        path.write_bytes(path.read_bytes()[: size // 2])
    elif place == "empty":
        path.write_bytes(b"")
    else:
        flip(path, {"header": 20, "index": size - 60, "end": size - 1}[place])
    (words,), notes = found(layout)
    assert (words.partition(":")[0], notes) == (f"pack {path.name.partition('.')[0]}", [])


@pytest.mark.parametrize("name", ["format", "refs/latest", "reflog/latest", "runs/a/pruned"])
def test_a_damaged_line_is_named_by_its_file(objects, layout, name):
    flip(layout.root / name, 12)
    damage, notes = found(layout)
    assert ([words.partition(":")[0] for words in damage], notes) == ([name], [])


@pytest.mark.parametrize("name", ["reflog/latest", "runs/a/pruned"])
def test_an_unfinished_line_at_the_end_of_a_log_is_a_note(objects, layout, name):
    with (layout.root / name).open("ab") as file:
        file.write(b"0123")
    assert found(layout) == ([], [f"{name}: a crash left 4 bytes of an unfinished line"])


@pytest.mark.parametrize("name", ["format", "refs/latest"])
def test_a_file_of_one_line_that_was_cut_is_damage(objects, layout, name):
    path = layout.root / name
    path.write_bytes(path.read_bytes()[:-5])
    assert [words.partition(":")[0] for words in found(layout)[0]] == [name]


@pytest.mark.parametrize("name", ["refs/latest", "reflog/latest", "runs/a/pruned"])
def test_a_link_or_a_pipe_in_the_place_of_a_file_is_damage_and_nothing_waits_for_it(objects, layout, name):
    path = layout.root / name
    for make in (lambda: path.symlink_to(layout.format), lambda: os.mkfifo(path)):
        path.unlink()
        make()
        assert [words.partition(":")[0] for words in found(layout)[0]] == [name]


def test_what_lies_in_tmp_is_a_note(objects, layout):
    (layout.tmp / "1-abc").write_bytes(b"")
    assert found(layout) == ([], ["tmp/1-abc: a crash left it, or somebody is writing it now; gc removes it"])


def test_a_new_value_under_a_ref_is_no_damage(objects, layout):
    replace_value(layout.tmp, layout.refs / "latest", {"commit": "b" * 64})
    assert found(layout) == ([], [])


def test_a_finding_prints_itself():
    assert str(Finding("run a", "it crashed", is_damage=False)) == "run a: it crashed"
