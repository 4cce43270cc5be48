"""What is live, and what a run leads to: the two halves that gc, rm and purge ask for."""

import pytest

from onyxstore.store.marking import Mark, mark, mark_names, reach, run_places, stored_bytes


@pytest.fixture
def places(store, save):
    with store.start_run("a", best_metric="loss") as run:
        run.log_artifact("x.txt", b"x")
        for step in (1, 2):
            save(run, step, metrics={"loss": step})
    store.start_run("b", parent="a@step:1").finish()
    return {place.name: place for place in run_places(store._doors, Mark())}


def test_a_run_leads_to_all_that_it_needs_and_the_rest_is_what_others_need(store, places):
    doors = store._doors
    both = mark(doors)
    assert {place.latest for place in places.values()} == {store.commit(name).address for name in "ab"}
    assert places["a"].best == store.run("a").best.address
    of_a, of_b = (reach(doors, [places[name].folder]) for name in "ab")
    assert (of_a | of_b, both.unreadable) == (both.all, [])
    assert mark(doors, without={places["a"].folder}).all <= both.all
    only_a = of_a - mark(doors, without={places["a"].folder}).all
    assert store.run("a").latest.address in only_a
    assert store.commit("a@step:1").checkpoint.address not in only_a
    assert 0 < stored_bytes(doors, only_a) < stored_bytes(doors, both.all)
    assert (reach(doors, []), stored_bytes(doors, ["f" * 64])) == (set(), 0)


def test_names_are_known_without_looking_into_checkpoints(store, places):
    names, whole = mark_names(store._doors), mark(store._doors)
    assert (names.commits, names.kept, names.chunks) == (whole.commits, whole.kept, set())
    assert {commit.address for commit in store.commits()} == set(names.commits)


def test_a_run_in_the_trash_is_a_place_as_any_other(store, places):
    before = mark(store._doors).all
    store.run("a").remove()
    found = {place.name: place for place in run_places(store._doors, Mark())}
    assert [(found[name].latest, found[name].best) for name in "ab"] == [(places[name].latest, places[name].best) for name in "ab"]
    assert mark(store._doors).all == before
