"""Undo: a whole call back or nothing of it, never what a run moved, and the same again the other way."""

import re
import shutil

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

import onyxstore as onyx
from onyxstore.disk.refs import Reason, to
from onyxstore.errors import PlanSpent, RefConflict, Refused, UnknownName, UnknownRevision
from onyxstore.store.removing import RefChange


@pytest.fixture
def commit(store, folder):
    """Makes a commit of files, as `onyx commit` does."""

    def make(message, **metrics):
        (folder / "c.yaml").write_text(f"of: {message}\n")
        return store.add_commit(onyx.Addition(message=message, configs={"c": folder / "c.yaml"}, metrics=metrics))

    return make


def refs_of(store):
    return {name: ref for name in ["HEAD", *store._doors.refs.names()] if (ref := store._doors.refs.read(name))}


# ------------------------------------------------------------------------------------------------------------ whole calls


def test_a_commit_is_taken_back_with_every_ref_that_it_moved_and_made_again(store, commit):
    commit("one", accuracy=0.5)
    before = refs_of(store)
    commit("two", accuracy=0.6)
    after = refs_of(store)
    report = store.undo()
    assert (report.undone, [move.ref for move in report.moves]) == ("commit: two", ["latest", "main@latest"])
    assert refs_of(store) == before
    assert store.undo().undone == "undo commit: two"
    assert refs_of(store) == after
    assert store.undo().undone == "redo commit: two"
    assert refs_of(store) == before


def test_the_first_commit_of_a_store_is_taken_back_and_the_next_begins_anew(store, commit):
    commit("one")
    report = store.undo()
    assert [(move.ref, move.new) for move in report.moves] == [("HEAD", None), ("latest", None), ("main@latest", None)]
    assert (refs_of(store), store.commits()) == ({}, [])
    again = commit("another")
    assert (again.parents, store.commits("HEAD"), store.fsck().damage) == ([], [again], [])


def test_what_came_before_can_be_taken_back_ref_by_ref(store, commit):
    one, two = commit("one"), commit("two")
    store.tag("v", "main~1")
    assert store.undo().undone == "tag v"
    assert (store.tags(), store.undo("main").moves) == ({}, (RefChange("main@latest", {"commit": two.address}, {"commit": one.address}),))
    assert store.commit("main") == one


@pytest.mark.parametrize(
    ("act", "undone"),
    [
        (lambda store: store.tag("v", "main"), "tag v"),
        (lambda store: store.delete_tag("old"), "delete tag old"),
        (lambda store: store.checkout("main~1", onyx.CheckoutOptions(force=True)), r"checkout \w+"),
        (lambda store: store.run("main").elect_best("loss", "max"), "best main by loss"),
        (lambda store: store.run("main").remove(), "rm main"),
    ],
    ids=["tag", "delete tag", "checkout", "best", "rm"],
)
def test_each_verb_that_moves_refs_is_taken_back_and_done_again(store, commit, act, undone):
    commit("one", loss=1.0)
    commit("two", loss=2.0)
    store.tag("old", "main~1")
    before = refs_of(store)
    act(store)
    after = refs_of(store)
    assert after != before
    assert re.fullmatch(undone, store.undo().undone)
    assert refs_of(store) == before
    store.undo()
    assert refs_of(store) == after
    store.undo()
    assert (refs_of(store), store.fsck().damage) == (before, [])


def test_a_restoration_is_taken_back_by_removing_the_run_again(store, commit):
    commit("one")
    store.run("main").remove()
    store.trash.restore("main")
    report = store.undo()
    assert (report.undone, report.removed, [run.name for run in store.runs()]) == ("restore main", ("main",), [])
    assert store.undo().restored == ("main",)


def test_several_runs_that_went_in_one_call_come_back_in_one(store, save):
    for name in "ab":
        with store.start_run(name, best_metric="loss") as run:
            save(run, 1, metrics={"loss": 1.0})
    before = refs_of(store)
    store.trash.remove("a", "b")
    report = store.undo()
    assert (report.undone, sorted(report.restored), refs_of(store)) == ("rm a, rm b", ["a", "b"], before)
    assert [(move.ref, move.old, move.new) for move in report.moves] == [
        (name, None, before[name]) for name in ("latest", "best")
    ]


def test_an_election_is_taken_back_with_what_the_run_follows(store, commit):
    commit("one", loss=1.0)
    store.run("main").elect_best("loss", "min")
    store.run("main").elect_best("loss", "max")
    store.undo()
    assert (store.run("main").state.best_metric, store.run("main").state.best_mode) == ("loss", "min")
    store.undo()
    assert store.run("main").state.best_mode == "max"


# --------------------------------------------------------------------------------------------------------------- refused


def test_nothing_to_undo_is_said(store, save):
    with store.start_run("a") as run:
        save(run, 1)
    with pytest.raises(Refused, match="there is nothing to undo: no command has moved a ref yet"):
        store.undo()


def test_what_a_run_moved_is_its_own(store, save):
    with store.start_run("a", best_metric="loss") as run:
        save(run, 1, metrics={"loss": 1.0})
        for ref in ("a", "a@best", "latest", "best"):
            with pytest.raises(Refused, match=f"'{ref}' was moved last by run 'a' .*; undo takes back what a command did"):
                store.undo(ref)
    store.tag("v", "a@best")
    store.undo()
    with pytest.raises(Refused, match="'a' was moved last by run 'a'"):
        store.undo("a")


def test_a_call_is_not_taken_back_once_one_of_its_refs_has_moved_on(store, commit, save):
    commit("one")
    two = commit("two")
    with store.start_run("a") as run:
        save(run, 1)
    before = refs_of(store)
    words = r"'latest' has moved since 'commit: two': run 'a' moved it \(finish\); 'onyx undo REF' takes back one ref's last move"
    with pytest.raises(Refused, match=words):
        store.undo()
    assert refs_of(store) == before
    store.undo("main")
    assert store.commit("main") == two.parents[0]


def test_a_plan_is_executed_once_and_only_while_the_refs_are_where_they_were(store, commit):
    commit("one")
    store.tag("v", "main")
    plan, late = store.plan_undo(), store.plan_undo()
    assert str(plan) == f"tag v: would be taken back\nv: {store.commit('v').short} -> nothing"
    plan.execute()
    with pytest.raises(PlanSpent):
        plan.execute()
    with pytest.raises(RefConflict):
        late.execute()


def test_a_ref_does_not_go_back_to_what_is_gone(store, commit):
    commit("one")
    commit("two")
    store.undo()
    store.gc()
    with pytest.raises(Refused, match=r"cannot go back to \w+: the store has it no more; 'onyx restore' lists the trash"):
        store.undo()
    store.trash.restore(store.trash.list()[0].name)
    assert store.undo().undone == "undo commit: two"


def test_a_ref_that_never_was_is_named_with_what_was_perhaps_meant(store, commit):
    commit("one")
    with pytest.raises(UnknownName, match="the store has no ref that moved called 'man'; did you mean 'main'"):
        store.undo("man")
    for text in ("", "../HEAD", "main~1", "x" * 300):
        with pytest.raises(UnknownName):
            store.undo(text)


def test_one_ref_of_a_removal_does_not_go_back_alone(store, commit):
    commit("one")
    store.run("main").remove()
    with pytest.raises(Refused, match="'latest' was moved last by 'rm main', which is undone as a whole"):
        store.undo("latest")


def test_a_purge_is_not_undone(store, commit, save):
    with store.start_run("a") as run:
        save(run, 1)
    commit("one")
    store.trash.purge("main")
    with pytest.raises(Refused, match="cannot go back"):
        store.undo()


# ----------------------------------------------------------------------------------------------------- killed at any moment


def test_an_undo_that_is_killed_anywhere_leaves_whole_refs_and_can_be_repeated(store, folder, commit, killed_at):
    commit("one", accuracy=0.5)
    store.run("main").elect_best("accuracy", "max")
    commit("two", accuracy=0.4)
    before = refs_of(store)
    commit("three", accuracy=0.9)
    after = refs_of(store)
    assert len([name for name in after if after[name] != before.get(name)]) == 4
    copy = folder / "copy"
    calls, was_killed = 0, True
    while was_killed:
        shutil.copytree(folder / ".onyx", copy / ".onyx")
        was_killed = killed_at(calls, lambda: onyx.Store.open(copy).undo())
        found = onyx.Store.open(copy)
        left = refs_of(found)
        assert found.fsck().damage == [], f"killed at change {calls}"
        assert all(left[name] in (before.get(name), after.get(name)) for name in left), f"killed at change {calls}"
        if left not in (before, after):
            assert found.undo().undone == "undo commit: three"
            assert refs_of(found) == after, f"killed at change {calls}"
            found.undo()
        shutil.rmtree(copy)
        calls += 1
    assert (left, calls > 15) == (before, True)


# ------------------------------------------------------------------------------------------------------------ any sequence


class Undoing(RuleBasedStateMachine):
    """Tags, checkouts and moves of others in any order; a model knows the last call and what it moved."""

    def __init__(self):
        super().__init__()
        self.store = onyx.Store.init(Undoing.folder / str(id(self)))
        self.doors = self.store._doors
        self.model, self.last = {}, {}

    @initialize()
    def commits(self):
        with self.store.start_run("a") as run:
            self.addresses = [run.commit(str(number)).address for number in range(3)]
        self.model = refs_of(self.store)

    def moved(self):
        now = refs_of(self.store)
        names = {*now, *self.model}
        self.last = {name: (self.model.get(name), now.get(name)) for name in names if self.model.get(name) != now.get(name)}
        self.model = now

    @rule(name=st.sampled_from("uvw"), number=st.integers(0, 2))
    def tag(self, name, number):
        if name in self.store.tags():
            self.store.delete_tag(name)
        else:
            self.store.tag(name, self.addresses[number])
        self.moved()

    @rule(number=st.integers(0, 2))
    def checkout(self, number):
        self.store.checkout(self.addresses[number])
        if refs_of(self.store) != self.model:
            self.moved()

    @rule(number=st.integers(0, 2))
    def move_as_a_run(self, number):
        new = {"commit": self.addresses[number]}
        self.doors.refs.update({"latest": to(new), "HEAD": to(new)}, Reason("save", "a"))
        now = refs_of(self.store)
        if self.last and "HEAD" in self.last and now["HEAD"] != self.model.get("HEAD"):
            self.last = None  # the last call cannot be taken back any more
        self.model = now

    @rule()
    def undo(self):
        if not self.last:
            if self.last is None:
                with pytest.raises(Refused):
                    self.store.undo()
            return
        expected = {name: ref for name, ref in {**self.model, **{name: old for name, (old, _) in self.last.items()}}.items() if ref}
        self.store.undo()
        assert refs_of(self.store) == expected
        self.moved()

    @invariant()
    def every_move_has_a_name_that_leads_there(self):
        for move in self.store.reflog():
            if move.commit is not None:
                assert self.store.commit(move.name).address == move.commit
            else:
                with pytest.raises(UnknownRevision):
                    self.store.commit(move.name)

    def teardown(self):
        assert self.store.fsck().damage == []


def test_no_sequence_of_calls_and_undos_moves_anything_but_the_last_call(tmp_path):
    Undoing.folder = tmp_path
    run_state_machine_as_test(Undoing, settings=settings(max_examples=10, stateful_step_count=12, deadline=None))
