import errno
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from onyxstore.disk import files, refs
from onyxstore.disk.layout import create_layout
from onyxstore.disk.linefile import replace_value
from onyxstore.disk.locks import try_lock
from onyxstore.disk.refs import BEST, HEAD, LATEST, Reason, Refs, is_call, new_call, run_ref, swap, tag_ref, to
from onyxstore.errors import CorruptFile, DiskError, DiskFull, RefConflict, StoreBusy

A, B, C = ({"commit": letter * 64} for letter in "abc")
WHY = Reason("test", "call 1")


@pytest.fixture
def store(layout):
    return Refs(layout)


def path_of(layout, name):
    return layout.root / HEAD if name == HEAD else layout.refs / name


def steps(store, name):
    return [(move.old, move.new) for move in store.moves(name)]


# ---------------------------------------------------------------------------------------------------------- reading


def test_a_ref_that_was_never_set_is_none(store):
    assert (store.read(LATEST), store.commit(HEAD), store.moves(BEST), store.names(), store.logged_names()) == (None, None, [], [], [])


def test_a_ref_holds_what_it_was_set_to(store):
    best = {**A, "metric": "val/loss", "mode": "min", "value": 0.25}
    assert store.update({BEST: to(best), HEAD: to({"run": "Main"})}, WHY) == {BEST: best, HEAD: {"run": "Main"}}
    assert (store.read(BEST), store.commit(BEST), store.read(HEAD), store.commit(HEAD)) == (best, "a" * 64, {"run": "Main"}, None)


def test_names_are_those_of_refs_and_head_is_none_of_them(store, layout):
    names = [LATEST, HEAD, tag_ref("v1.0"), run_ref("bert", LATEST), run_ref("bert", BEST)]
    store.update({name: to(A) for name in names}, WHY)
    store.update({tag_ref("gone"): to(A)}, WHY)
    store.update({tag_ref("gone"): to(None)}, WHY)
    for stray in ("HEAD", "tags/.hidden", "tags/UPPER", "runs/bert/other", "notes", "tags/deep/er"):
        path_of(layout, f"./{stray}").parent.mkdir(exist_ok=True, parents=True)
        (layout.refs / stray).write_bytes(b"")
    assert store.names() == ["latest", "runs/bert/best", "runs/bert/latest", "tags/v1.0"]
    assert store.logged_names() == ["HEAD", "latest", "runs/bert/best", "runs/bert/latest", "tags/gone", "tags/v1.0"]


@pytest.mark.parametrize(
    "name",
    ["", "head", "tags", "tags/", "tags/..", "tags/../latest", "../latest", "/etc/passwd", "tags/a/b", "tags/.a", "tags/A", "tags/-rf",
     "tags/a\n", "runs/a", "runs/a/other", "runs/../latest", "runs/a/latest/", "latest\0", "best ", "tags/" + "a" * 101, "tags/é"],
)  # fmt: skip
def test_a_name_that_is_no_ref_becomes_no_path(store, layout, name):
    for use in (store.read, store.moves, store.recall, lambda name: store.update({name: to(A)}, WHY)):
        with pytest.raises(ValueError, match="is no ref"):
            use(name)
    assert [path for path in layout.refs.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "value",
    [None, 1, [], {}, "a" * 64, {"commit": "a" * 63}, {"commit": "A" * 64}, {"commit": None}, {"run": 1}, {"run": ""}, {"run": "../x"},
     {"run": "a/b"}, {**A, "value": "0.5"}, {**A, "value": None}, {**A, "value": [1]}],
)  # fmt: skip
def test_a_checked_line_that_is_no_ref_is_damage(store, layout, value):
    replace_value(layout.tmp, layout.root / HEAD, value)
    with pytest.raises(CorruptFile, match="HEAD is damaged: it holds no ref"):
        store.read(HEAD)


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("best"), Path.mkdir, lambda path: path.write_bytes(b"")])
def test_a_link_a_folder_or_an_empty_file_is_no_ref(store, layout, make):
    store.update({BEST: to(A)}, WHY)
    make(layout.refs / "latest")
    with pytest.raises(CorruptFile):
        store.read(LATEST)


# ----------------------------------------------------------------------------------------------------------- moving


def test_refs_move_together_each_with_its_reason(store, monkeypatch):
    monkeypatch.setattr(refs, "time", type("Clock", (), {"time_ns": staticmethod(lambda: 7)}))
    store.update({LATEST: to(A), run_ref("a", LATEST): to(A)}, WHY)
    store.update({LATEST: to(B)}, Reason("commit"))
    assert store.moves(LATEST) == [
        refs.reflog.Move(7, None, A, "test", "call 1"),
        refs.reflog.Move(7, A, B, "commit", ""),
    ]
    assert steps(store, run_ref("a", LATEST)) == [(None, A)]


def test_a_change_decides_on_what_is_there_and_all_decide_before_one_moves(store):
    store.update({LATEST: to(A), BEST: to(B)}, WHY)
    seen = []

    def change(other, new):
        return lambda ref: seen.append((ref, store.read(other))) or new

    store.update({LATEST: change(BEST, C), BEST: change(LATEST, A)}, WHY)
    assert seen == [(A, B), (B, A)]
    assert (store.read(LATEST), store.read(BEST)) == (C, A)


def test_a_conflict_moves_nothing(store):
    store.update({LATEST: to(A)}, WHY)
    with pytest.raises(RefConflict, match="'latest' moved meanwhile"):
        store.update({BEST: to(B), LATEST: swap(LATEST, B, C), HEAD: to(B)}, WHY)
    assert (store.read(LATEST), store.read(BEST), store.read(HEAD), steps(store, BEST)) == (A, None, None, [])


@pytest.mark.parametrize(
    ("current", "expected", "moves"), [(A, A, True), (None, None, True), (A, None, False), (None, A, False), (A, B, False)]
)
def test_a_swap_moves_exactly_what_it_expects(store, current, expected, moves):
    store.update({tag_ref("t"): to(current)}, WHY)
    try:
        store.update({tag_ref("t"): swap(tag_ref("t"), expected, C)}, WHY)
    except RefConflict:
        assert not moves
    else:
        assert moves
    assert store.read(tag_ref("t")) == (C if moves else current)


def test_what_stays_is_not_moved(store, layout):
    store.update({LATEST: to(A)}, WHY)
    before = path_of(layout, LATEST).stat()
    store.update({LATEST: to(A), BEST: to(None)}, WHY)
    assert (steps(store, LATEST), path_of(layout, LATEST).stat(), store.logged_names()) == ([(None, A)], before, ["latest"])


def test_each_call_has_an_id_of_its_own_that_no_run_can_be_called():
    calls = {new_call() for _ in range(100)}
    assert (len(calls), all(map(is_call, calls))) == (100, True)
    assert [text for text in ("", "commit", "call", "call-0123456789abcdef", "call:0123", f"{min(calls)}0") if is_call(text)] == []


def test_the_reflog_is_on_disk_before_the_ref_and_the_ref_before_the_call_returns(store, layout, monkeypatch):
    done = []
    sync, replace = files._sync, files.os.rename
    names = {}

    def synced(fd):
        names.update({path.stat().st_ino: path.name for path in layout.root.rglob("*")})
        done.append(names[files.os.fstat(fd).st_ino])
        sync(fd)

    store.update({LATEST: to(A)}, WHY)
    monkeypatch.setattr(files, "_sync", synced)
    monkeypatch.setattr(files.os, "rename", lambda old, new: done.append(f"rename to {Path(new).name}") or replace(old, new))
    store.update({LATEST: to(B)}, WHY)
    staged = next(name for name in done if "-" in name)
    assert done == ["reflog", "latest", staged, "rename to latest", "refs"]
    done.clear()
    store.update({LATEST: to(None)}, WHY)
    assert done == ["reflog", "latest", "refs"]


def test_two_who_move_at_once_both_move_and_none_is_lost(store):
    store.update({LATEST: to({**A, "value": 0})}, WHY)

    def count():
        for _ in range(8):
            store.update({LATEST: lambda ref: {**ref, "value": ref["value"] + 1}}, WHY)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.read(LATEST)["value"] == 32
    assert [move.new["value"] for move in store.moves(LATEST)] == list(range(33))


def test_a_lock_that_is_not_had_moves_nothing_and_a_change_that_fails_lets_go(store, layout, monkeypatch):
    monkeypatch.setattr(refs, "PATIENCE", 0)
    held = try_lock(layout.locks / "refs")
    with pytest.raises(StoreBusy, match="others are moving refs in the store"):
        store.update({LATEST: to(A)}, WHY)
    held.release()
    with pytest.raises(ZeroDivisionError):
        store.update({LATEST: lambda _: 1 / 0}, WHY)
    assert store.update({LATEST: to(B)}, WHY) == {LATEST: B}


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_move_that_fails_leaves_the_ref_and_its_moves_as_they_were(store, layout, monkeypatch, call):
    store.update({LATEST: to(A)}, WHY)

    def fail(*_):
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr(files.os, call, fail)
    with pytest.raises(DiskFull):
        store.update({LATEST: to(B)}, WHY)
    monkeypatch.undo()
    assert (store.read(LATEST), steps(store, LATEST), files.list_folder(layout.tmp)) == (A, [(None, A)], [])
    store.update({LATEST: to(C)}, WHY)
    assert steps(store, LATEST) == [(None, A), (A, C)]


def test_on_a_full_disk_refs_stay_and_can_be_read(small_disk):
    store = Refs(create_layout(small_disk / ".onyx", b""))
    store.update({LATEST: to(A)}, WHY)
    with pytest.raises(DiskError), (small_disk / "ballast").open("wb", buffering=0) as ballast:  # noqa: PT012 - until it is full
        while ballast.write(bytes(100)) == 100:
            pass
        store.update({LATEST: to(B), BEST: to(B)}, WHY)
    assert (store.read(LATEST), store.read(BEST), steps(store, LATEST)) == (A, None, [(None, A)])
    (small_disk / "ballast").unlink()
    store.update({LATEST: to(B)}, WHY)
    assert steps(store, LATEST) == [(None, A), (A, B)]


# ----------------------------------------------------------------------------------------------------------- damage


def damage(layout, name):
    path_of(layout, name).write_bytes(path_of(layout, name).read_bytes().replace(b"commit", b"c0mmit"))


def test_a_damaged_ref_is_refused_remembered_and_made_whole_by_the_next_move(store, layout):
    best = {**B, "metric": "loss", "mode": "min", "value": 0.1}
    store.update({BEST: to(A)}, WHY)
    store.update({BEST: to(best)}, WHY)
    damage(layout, BEST)
    with pytest.raises(CorruptFile):
        store.read(BEST)
    assert (store.recall(BEST), steps(store, BEST)) == (best, [(None, A), (A, best)])
    seen = []
    store.update({BEST: lambda ref: seen.append(ref) or ref}, WHY)  # a worse commit leaves `best` as it is
    assert (seen, store.read(BEST), steps(store, BEST)) == ([best], best, [(None, A), (A, best)])
    damage(layout, BEST)
    store.update({BEST: swap(BEST, best, C)}, WHY)
    assert (store.read(BEST), steps(store, BEST)) == (C, [(None, A), (A, best), (best, C)])


def test_a_damaged_ref_without_a_reflog_is_none_until_it_is_set(store, layout):
    store.update({LATEST: to(A)}, WHY)
    damage(layout, LATEST)
    (layout.reflog / "latest").unlink()
    assert (store.recall(LATEST), store.moves(LATEST)) == (None, [])
    store.update({LATEST: swap(LATEST, None, B)}, WHY)
    assert (store.read(LATEST), steps(store, LATEST)) == (B, [(None, B)])


def test_a_lost_ref_is_recalled(store, layout):
    store.update({LATEST: to(A)}, WHY)
    store.update({LATEST: to(B)}, WHY)
    path_of(layout, LATEST).unlink()
    assert (store.read(LATEST), store.recall(LATEST), steps(store, LATEST)) == (None, B, [(None, A), (A, B)])


class Moves(RuleBasedStateMachine):
    """Refs against a model, with crashes between a reflog and its ref, torn reflogs and damaged refs."""

    NAMES = (HEAD, LATEST, "tags/a", "runs/a/latest")
    names = st.sampled_from(NAMES)
    values = st.one_of(st.none(), st.sampled_from([A, B, C]))

    @initialize()
    def init(self):
        self.folder = tempfile.TemporaryDirectory()
        self.layout = create_layout(Path(self.folder.name) / ".onyx", b"")
        self.store = Refs(self.layout)
        self.held = dict.fromkeys(self.NAMES)
        self.logged = {name: [] for name in self.NAMES}
        self.moved = {name: [] for name in self.NAMES}
        self.damaged = set()

    def teardown(self):
        self.folder.cleanup()

    def log(self, name, new):
        self.logged[name].append((self.held[name], new))

    def move(self, name, new):
        self.log(name, new)
        self.moved[name].append(self.logged[name][-1])
        self.held[name] = new

    def repair(self, names):
        for name in self.damaged & set(names):
            self.recall(name)
            if self.held[name] is not None:
                self.damaged.remove(name)

    def recall(self, name):
        """A damaged ref holds what its last entry says, also if a crash had come between the two."""
        old, new = self.logged[name][-1]
        if new != self.held[name]:
            self.moved[name].append((old, new))
            self.held[name] = new

    @rule(changes=st.dictionaries(names, values, min_size=1))
    def set(self, changes):
        self.repair(changes)
        self.store.update({name: to(new) for name, new in changes.items()}, WHY)
        for name, new in changes.items():
            if new != self.held[name]:
                self.move(name, new)
                self.damaged.discard(name)

    @rule(name=names, expected=values, new=values)
    def swap(self, name, expected, new):
        self.repair([name])
        try:
            self.store.update({name: swap(name, expected, new)}, WHY)
        except RefConflict:
            assert expected != self.held[name]
        else:
            assert expected == self.held[name]
            if new != expected:
                self.move(name, new)
                self.damaged.discard(name)

    @rule(changes=st.dictionaries(names, values, min_size=1), survivors=st.integers(0, 3))
    def crash(self, changes, survivors):
        """The process dies when some refs have moved and the next one's entry is written."""
        self.store.update(dict.fromkeys(changes, lambda ref: ref), WHY)
        self.repair(changes)
        left = iter(range(survivors))
        replace, remove = refs.replace_value, files.remove

        def or_die(act):
            def maybe(*arguments):
                if next(left, None) is None:
                    raise KeyboardInterrupt
                act(*arguments)

            return maybe

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(refs, "replace_value", or_die(replace))
            patch.setattr(refs.files, "remove", or_die(remove))
            moving = [name for name, new in changes.items() if new != self.held[name]]
            try:
                self.store.update({name: to(new) for name, new in changes.items()}, WHY)
            except KeyboardInterrupt:
                assert len(moving) > survivors
        for name in moving[:survivors]:
            self.move(name, changes[name])
            self.damaged.discard(name)
        if len(moving) > survivors:
            self.log(moving[survivors], changes[moving[survivors]])

    @rule(name=names, torn=st.binary(min_size=1, max_size=20))
    def tear(self, name, torn):
        if self.logged[name]:
            with (self.layout.reflog / name).open("ab") as opened:
                opened.write(torn.replace(b"\n", b"\0"))

    @precondition(lambda self: any(self.held.values()))
    @rule(data=st.data())
    def damage(self, data):
        name = data.draw(st.sampled_from([name for name in self.NAMES if self.held[name]]))
        damage(self.layout, name)
        self.damaged.add(name)

    @invariant()
    def reads(self):
        for name in self.NAMES if hasattr(self, "store") else ():
            if name in self.damaged:
                with pytest.raises(CorruptFile):
                    self.store.read(name)
                old, new = self.logged[name][-1]
                assert self.store.recall(name) == new
                unseen = [(old, new)] if new != self.held[name] else []
                assert steps(self.store, name) == [*self.moved[name], *unseen]
            else:
                assert self.store.read(name) == self.held[name]
                assert steps(self.store, name) == self.moved[name]


def test_refs_do_what_their_model_does_through_crashes_and_damage(monkeypatch):
    monkeypatch.setattr(files, "_sync", lambda _: None)
    run_state_machine_as_test(Moves, settings=settings(max_examples=30, stateful_step_count=20, deadline=None))
