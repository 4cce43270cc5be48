"""The reflog as one reads it: every move, under a name that leads there."""

import pytest

import onyxstore as onyx
from onyxstore.errors import UnknownName, UnknownRevision
from onyxstore.store.checkout import CheckoutOptions


@pytest.fixture
def commit(store, folder):
    def make(message):
        (folder / "c.yaml").write_text(f"of: {message}\n")
        return store.add_commit(onyx.Addition(message=message, configs={"c": folder / "c.yaml"}))

    return make


def told(moves):
    return [(move.name, move.by, move.commit) for move in moves]


def test_the_moves_of_a_ref_are_there_newest_first_and_can_be_typed(store, commit):
    one, two = commit("one"), commit("two")
    store.tag("Paper", "main~1")
    store.delete_tag("paper")
    assert told(store.reflog("main")) == [("main@latest@{0}", "commit: two", two.address), ("main@latest@{1}", "commit: one", one.address)]
    assert told(store.reflog("paper")) == [("Paper@{0}", "delete tag paper", None), ("Paper@{1}", "tag Paper", one.address)]
    assert {store.commit(name) for name in ("main@latest@{1}", "main@{1}", "Paper@{1}", "paper@{1}")} == {one}


def test_all_refs_together_are_in_the_order_in_which_they_moved(store, commit, save):
    commit("one")
    with store.start_run("a") as run:
        save(run, 1)
    store.tag("v", "a")
    moves = store.reflog()
    assert [move.time for move in moves] == sorted((move.time for move in moves), reverse=True)
    assert moves[0].name == "v@{0}"
    assert {move.name.rpartition("@{")[0] for move in moves} == {"v", "HEAD", "latest", "main@latest", "a@latest"}
    assert {move.run for move in moves if move.ref == "runs/a/latest"} == {"a"}
    assert {move.run for move in moves if move.ref in {"tags/v", "HEAD"}} == {None}


def test_what_never_was_a_ref_is_named_with_what_was_perhaps_meant(store, commit):
    commit("one")
    with pytest.raises(UnknownName, match="the store has no ref called 'man'; did you mean 'main'"):
        store.reflog("man")
    for text in ("", "~", "main@step:1", "../HEAD", "main@{0}", "x" * 300):
        with pytest.raises(UnknownName):
            store.reflog(text)
    assert (store.reflog("HEAD")[0].commit, store.reflog("best")) == (None, [])


def test_an_empty_store_has_no_moves(store):
    assert store.reflog() == []


# ----------------------------------------------------------------------------------------------------------------- HEAD


def test_where_head_named_a_run_it_leads_to_what_the_run_had_come_to_when_head_left(store, commit):
    one, two = commit("one"), commit("two")
    store.checkout("main~1", CheckoutOptions(force=True))
    three = commit("three")
    assert three.run == "main-2"
    store.checkout(two.address, CheckoutOptions(force=True))
    assert [store.commit(f"HEAD@{{{number}}}") for number in range(4)] == [two, three, one, two]
    store.checkout("HEAD@{1}", CheckoutOptions(force=True))
    assert store.commit("HEAD") == three


def test_while_head_is_there_it_is_what_the_run_has_come_to_now(store, commit):
    commit("one")
    two = commit("two")
    assert store.commit("HEAD@{0}") == two


def test_after_the_first_commit_was_taken_back_it_can_still_be_reached(store, commit):
    one = commit("one")
    store.undo()
    with pytest.raises(UnknownRevision, match="named no commit then"):
        store.commit("HEAD@{0}")
    assert store.commit("HEAD@{1}") == one


def test_of_a_run_that_is_gone_nothing_is_known(store, commit):
    commit("one")
    store.run("main").remove()
    with pytest.raises(UnknownRevision, match="HEAD named run 'main' then, of which nothing is known any more"):
        store.commit("HEAD@{1}")
    store.trash.restore("main")
    assert store.commit("HEAD@{0}").message == "one"
