import os
import threading
from pathlib import Path

import pytest

from onyxstore.disk import files
from onyxstore.disk.layout import FORMAT, Layout, check_format, create_layout, find_layout
from onyxstore.disk.linefile import read_value, replace_value
from onyxstore.errors import CorruptFile, DiskError, FormatTooNew, StoreNotFound
from onyxstore.hashing import Address

FOLDERS = ["locks", "objects", "packs", "reflog", "refs", "runs", "tmp", "trash"]


def content(root):
    """Every file and folder below `root`, with the files' bytes."""
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in root.rglob("*")}


def test_a_new_store_has_its_folders_its_settings_and_stays_out_of_git(layout):
    assert content(layout.root) == {
        **dict.fromkeys(FOLDERS),
        ".gitignore": b"*\n",
        "settings.yaml": b"",
        "format": b'79d835d0 {"format":1,"hash":"blake3"}\n',
    }
    check_format(layout)


def test_every_path_lies_below_the_root(layout):
    address = Address("ab" + "c" * 62)
    assert layout.object(address) == layout.root / "objects" / "ab" / ("c" * 62)
    assert layout.run("Bert-2") == layout.root / "runs" / "bert-2"
    assert layout.folder == layout.root.parent


def test_the_nearest_store_above_is_found(layout, tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert [find_layout(start) for start in (tmp_path, inner, tmp_path / "a")] == [layout] * 3
    nearer = create_layout(tmp_path / "a" / ".onyx", b"")
    assert find_layout(inner) == nearer


def test_above_two_dots_lies_what_is_above_them_on_the_disk(tmp_path):
    create_layout(tmp_path / "outer" / "sub" / ".onyx", b"")
    with pytest.raises(StoreNotFound):
        find_layout(tmp_path / "outer" / "sub" / "..")


def test_a_store_is_found_from_where_a_link_leads(layout, tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path.parent / f"{tmp_path.name}-link").symlink_to(tmp_path / "inner")
    assert find_layout(tmp_path.parent / f"{tmp_path.name}-link") == layout


def test_the_search_stops_where_the_filesystem_does(small_disk, tmp_path):
    create_layout(tmp_path / ".onyx", b"")
    (small_disk / "inner").mkdir()
    for start in (small_disk, small_disk / "inner"):
        with pytest.raises(StoreNotFound, match="or above it; make one with 'onyx init'"):
            find_layout(start)


def test_a_folder_that_is_gone_has_no_store(tmp_path):
    with pytest.raises(StoreNotFound):
        find_layout(tmp_path / "none" / "at" / "all")


def test_a_store_of_somebody_else_above_is_passed_by(layout, monkeypatch):
    (layout.root.parent / "inner").mkdir()
    lstat = os.lstat

    def closed(path, **kwargs):
        if Path(path).parent == layout.root:
            raise PermissionError(13, "")
        return lstat(path, **kwargs)

    monkeypatch.setattr(os, "lstat", closed)
    with pytest.raises(StoreNotFound):
        find_layout(layout.root.parent / "inner")


def test_an_unfinished_store_is_none_and_a_second_init_completes_it(layout, tmp_path):
    whole = content(layout.root)
    (layout.root / "format").unlink()
    (layout.root / "settings.yaml").write_bytes(b"max_checkpoints: 3\n")
    layout.trash.rmdir()
    (layout.tmp / "123-left").write_bytes(b"half")
    with pytest.raises(StoreNotFound):
        find_layout(tmp_path)
    with pytest.raises(StoreNotFound):
        check_format(layout)
    create_layout(layout.root, b"")
    assert content(layout.root) == {**whole, "settings.yaml": b"max_checkpoints: 3\n", "tmp/123-left": b"half"}


@pytest.mark.parametrize("call", range(1, 24))
def test_an_init_that_fails_at_any_sync_leaves_no_store_and_can_be_repeated(tmp_path, monkeypatch, call):
    left = iter(range(call - 1))
    fsync = os.fsync

    def fail(fd):
        if next(left, None) is None:
            raise OSError(5, "")
        fsync(fd)

    monkeypatch.setattr(files, "_lasting_folders", set())
    monkeypatch.setattr(files.os, "fsync", fail)
    try:
        create_layout(tmp_path / ".onyx", b"")
    except OSError:
        if (tmp_path / ".onyx" / "format").exists():
            # Only the last sync, of the folder that has its name, comes after it.
            check_format(Layout(tmp_path / ".onyx"))
    else:
        assert call > 15
    monkeypatch.undo()
    create_layout(tmp_path / ".onyx", b"")
    check_format(find_layout(tmp_path))
    assert sorted(path.name for path in (tmp_path / ".onyx").iterdir()) == sorted([*FOLDERS, ".gitignore", "settings.yaml", "format"])


def test_two_inits_at_once_make_one_store(tmp_path):
    barrier, errors = threading.Barrier(4), []

    def init():
        barrier.wait()
        try:
            check_format(create_layout(tmp_path / "new" / ".onyx", b""))
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=init) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert files.list_folder(tmp_path / "new" / ".onyx" / "tmp") == []


def test_init_on_a_store_changes_nothing(layout):
    layout.settings.write_bytes(b"max_checkpoints: 3\n")
    (layout.root / ".gitignore").unlink()
    before = content(layout.root)
    create_layout(layout.root, b"")
    assert content(layout.root) == before


@pytest.mark.parametrize(
    "line", [{"format": FORMAT + 1, "hash": "blake3"}, {"format": 99, "hash": "later", "more": 1}, {"format": 1, "hash": "sha3"}]
)
def test_a_newer_store_is_refused_by_all_and_left_alone(layout, line):
    replace_value(layout.tmp, layout.format, line)
    layout.trash.rmdir()
    before = content(layout.root)
    for use in (check_format, lambda layout: create_layout(layout.root, b"")):
        with pytest.raises(FormatTooNew, match="install a newer onyxstore") as caught:
            use(layout)
        assert (caught.value.found, caught.value.known) == (line["format"], FORMAT)
    assert content(layout.root) == before


@pytest.mark.parametrize("value", [1, [], {"format": 1}, {"hash": "blake3"}, None, "1"])
def test_a_format_line_without_its_two_words_is_damage(layout, value):
    replace_value(layout.tmp, layout.format, value)
    with pytest.raises(CorruptFile, match="it is no format line"):
        check_format(layout)


@pytest.mark.parametrize("value", ["1", 1.0, True, None])
def test_a_format_that_is_no_whole_number_is_not_read(layout, value):
    replace_value(layout.tmp, layout.format, {"format": value, "hash": "blake3"})
    with pytest.raises(FormatTooNew):
        check_format(layout)


def test_a_format_line_with_a_flipped_bit_is_damage(layout):
    layout.format.write_bytes(layout.format.read_bytes().replace(b"1,", b"0,"))
    with pytest.raises(CorruptFile, match="onyx fsck"):
        check_format(layout)


def test_a_file_in_the_store_s_place_is_no_store(tmp_path):
    (tmp_path / ".onyx").write_bytes(b"")
    with pytest.raises(StoreNotFound):
        check_format(Layout(tmp_path / ".onyx"))
    with pytest.raises(DiskError, match="Not a directory"):
        create_layout(tmp_path / ".onyx", b"")


@pytest.mark.parametrize("name", [*FOLDERS, "cache"])
def test_a_store_with_a_link_for_a_folder_is_refused(layout, tmp_path, name):
    (tmp_path / "elsewhere").mkdir()
    files.remove_folder(layout.root / name)
    (layout.root / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CorruptFile, match=f"{name} is damaged: it is a symbolic link"):
        check_format(layout)


def test_a_store_that_lost_its_empty_folders_is_whole(layout):
    for name in FOLDERS:
        (layout.root / name).rmdir()
    check_format(layout)
    files.replace_bytes(layout.tmp, layout.refs / "latest", b"x")
    assert read_value(layout.format) == {"format": 1, "hash": "blake3"}


def test_only_a_search_says_that_it_looked_above(tmp_path):
    words = f"no store in {tmp_path}{{}}; make one with 'onyx init', or name one with -C DIR or --store PATH"
    with pytest.raises(StoreNotFound) as of_one_folder:
        check_format(Layout(tmp_path / ".onyx"))
    with pytest.raises(StoreNotFound) as of_a_search:
        find_layout(tmp_path)
    assert [str(of_one_folder.value), str(of_a_search.value)] == [words.format(""), words.format(" or above it")]
