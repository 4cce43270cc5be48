import pytest

from onyxstore.disk import files, trash
from onyxstore.disk.locks import try_lock
from onyxstore.disk.trash import Discarded, Trash
from onyxstore.errors import CorruptFile, NameTaken

DAY = 86_400 * 10**9


@pytest.fixture
def bin_(layout):
    return Trash(layout)


@pytest.fixture
def clock(monkeypatch):
    """The files' clock, set by hand."""
    time = [1_700_000_000 * 10**9]
    monkeypatch.setattr(trash.files, "clock", lambda _: time[0])
    return time


def write(layout, *names):
    for name in names:
        files.replace_bytes(layout.tmp, layout.root / name, name.encode())
    return [layout.root / name for name in names]


def set_aside(bin_, *paths):
    batch = bin_.open_batch()
    for path in paths:
        bin_.set_aside(batch, path)
    return int(batch.name)


def stored(layout):
    kept = (path for path in layout.root.rglob("*") if path.is_file() and path.name not in {"format", ".gitignore", "settings.yaml"})
    return {str(path.relative_to(layout.root)): path.read_bytes() for path in kept}


def test_what_is_set_aside_lies_in_the_trash_under_its_own_path(bin_, layout, clock):
    write(layout, "runs/a/state", "runs/a/tail", "packs/p")
    time = set_aside(bin_, layout.runs / "a", layout.packs / "p")
    assert time == clock[0]
    assert stored(layout) == {f"trash/{time}/{name}": name.encode() for name in ("runs/a/state", "runs/a/tail", "packs/p")}
    assert list(bin_.batches()) == [Discarded(time, ("packs/p", "runs/a/state", "runs/a/tail"))]


def test_what_is_gone_already_is_no_error(bin_, layout, monkeypatch):
    (path,) = write(layout, "packs/p")
    batch = bin_.open_batch()
    exists = files.exists
    monkeypatch.setattr(files, "exists", lambda path: exists(path) and (path.name != "p" or path.unlink() is None))
    bin_.set_aside(batch, path)
    bin_.set_aside(batch, layout.packs / "never")
    assert stored(layout) == {}


def test_two_batches_of_one_moment_are_two(bin_, layout, clock):
    paths = write(layout, "packs/p", "packs/q")
    first, second = set_aside(bin_, paths[0]), set_aside(bin_, paths[1])
    assert (first, second) == (clock[0], clock[0] + 1)
    assert list(bin_.batches()) == [Discarded(first, ("packs/p",)), Discarded(second, ("packs/q",))]


def test_restoring_brings_everything_back(bin_, layout):
    before = stored(layout)
    paths = write(layout, "packs/p", "runs/a/state", "objects/ab/cd")
    before = stored(layout)
    set_aside(bin_, paths[0], layout.runs / "a", paths[2])
    (batch,) = bin_.batches()
    bin_.restore(batch)
    assert (stored(layout), list(bin_.batches())) == (before, [])


def test_a_name_that_is_taken_again_is_not_overwritten_and_then_nothing_moves(bin_, layout):
    paths = write(layout, "packs/p", "runs/a/lock", "runs/a/state", "runs/b/state")
    set_aside(bin_, paths[0], layout.runs / "a", layout.runs / "b")
    files.replace_bytes(layout.tmp, layout.root / "runs/a/state", b"a new run")
    (batch,) = bin_.batches()
    before = stored(layout)
    with pytest.raises(NameTaken, match="'runs/a/state' exists"):
        bin_.restore(batch)
    assert stored(layout) == before


def test_an_object_that_is_there_again_is_not_moved_and_the_rest_is(bin_, layout):
    paths = write(layout, "packs/p", "objects/ab/cd", "runs/a/state")
    before = stored(layout)
    set_aside(bin_, *paths)
    write(layout, "packs/p", "objects/ab/cd")
    (batch,) = bin_.batches()
    bin_.restore(batch)
    assert (stored(layout), list(bin_.batches())) == (before, [])


def test_only_what_has_had_its_grace_is_removed(bin_, layout, clock):
    paths = write(layout, "packs/p", "packs/qq", "packs/rrr")
    start = clock[0]
    for days, path in enumerate(paths):
        clock[0] = start + days * DAY
        set_aside(bin_, path)
    sizes = [len(b"packs/p"), len(b"packs/qq"), len(b"packs/rrr")]
    assert [bin_.expired(days) for days in (3, 2, 1, 0)] == [0, sizes[0], sizes[0] + sizes[1], sum(sizes)]
    assert bin_.empty(older_than_days=1) == sizes[0] + sizes[1]
    assert [batch.paths for batch in bin_.batches()] == [("packs/rrr",)]
    clock[0] -= 400 * DAY  # a clock that was set back makes nothing older
    assert bin_.empty(older_than_days=1) == 0
    assert bin_.empty() == sizes[2]
    assert list(bin_.batches()) == []


def test_a_batch_whose_run_somebody_holds_stays(bin_, layout):
    paths = write(layout, "runs/a/state", "runs/a/lock", "packs/p")
    set_aside(bin_, layout.runs / "a")
    set_aside(bin_, paths[2])
    first, second = bin_.batches()
    held = try_lock(bin_.folder(first) / "runs" / "a" / "lock")
    assert (bin_.empty(), list(bin_.batches())) == (7, [first])
    held.release()
    assert (bin_.empty(), list(bin_.batches())) == (23, [])
    assert (bin_.discard(second), bin_.size(first)) == (0, 0)


def test_a_removal_that_is_interrupted_leaves_no_run_that_looks_whole(bin_, layout, monkeypatch):
    write(layout, "runs/a/state", "runs/a/lock", "runs/a/tail-000001")
    set_aside(bin_, layout.runs / "a")
    monkeypatch.setattr(files, "remove_folder", lambda _: pytest.fail("here comes the crash"))
    with pytest.raises(pytest.fail.Exception):
        bin_.empty()
    (batch,) = bin_.batches()
    assert batch.paths == ("runs/a/lock", "runs/a/tail-000001")


def test_a_full_disk_is_emptied_without_staging_anything(bin_, layout, monkeypatch):
    set_aside(bin_, *write(layout, "packs/p"))
    monkeypatch.setattr(trash.files, "clock", lambda _: pytest.fail("it staged a file"))
    assert bin_.empty() == 7


@pytest.mark.parametrize("name", ["²", "٣", "007", "0", "-1", "1e9", "note", "1" * 40, "1_0"])
def test_what_is_no_batch_is_left_alone(bin_, layout, name):
    write(layout, f"trash/{name}/packs/p")
    assert (list(bin_.batches()), bin_.empty(), len(stored(layout))) == ([], 0, 1)


def test_no_batch_leads_out_of_the_trash(bin_, layout, tmp_path):
    (tmp_path / "outside" / "packs").mkdir(parents=True)
    (tmp_path / "outside" / "packs" / "p").write_bytes(b"precious")
    (layout.trash / "123").symlink_to(tmp_path / "outside")
    for use in (lambda: list(bin_.batches()), bin_.empty, lambda: bin_.restore(Discarded(123, ("packs/p",)))):
        with pytest.raises(CorruptFile):
            use()
    assert (tmp_path / "outside" / "packs" / "p").read_bytes() == b"precious"
