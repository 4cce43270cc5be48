"""What a user types for a commit: every form, their order, and what is said when nothing answers."""

import contextlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onyxstore.errors import AmbiguousRevision, BadInput, ObjectMissing, UnknownRevision
from onyxstore.hashing import address_of
from onyxstore.history.commits import CommitRecord, encode_commit
from onyxstore.store import revisions
from onyxstore.store.adding import Addition
from onyxstore.store.revisions import commits_with_prefix, find_ref, resolve


@pytest.fixture
def line(store, save):
    """A run with checkpoints at steps 10, 20 and 30, the second of which is best; the store's commits by message."""
    with store.start_run("Bert", best_metric="loss") as run:
        for step, loss in [(10, 3.0), (20, 1.0), (30, 2.0)]:
            save(run, step, epoch=step / 20, metrics={"loss": loss})
    return {commit.message: commit.address for commit in store.run("bert").commits}


@pytest.fixture
def find(store, line):
    """The message of the commit that a revision names."""
    return lambda revision: store.commit(revision).message


@pytest.mark.parametrize(
    ("revision", "message"),
    [
        ("latest", "finish"),
        ("LATEST", "finish"),
        ("best", "checkpoint at step 20"),
        ("Bert", "finish"),
        ("bERT", "finish"),
        ("bert@latest", "finish"),
        ("bert@best", "checkpoint at step 20"),
        ("bert@step:10", "checkpoint at step 10"),
        ("bert@step:30", "checkpoint at step 30"),
        ("bert@epoch:0.5", "checkpoint at step 10"),
        ("bert@epoch:1", "checkpoint at step 20"),
        ("bert@epoch:1.0", "checkpoint at step 20"),
        ("bert~", "checkpoint at step 30"),
        ("bert~0", "finish"),
        ("bert~1", "checkpoint at step 30"),
        ("bert~4", "start"),
        ("bert~~2~", "start"),
        ("bert@best~1", "checkpoint at step 10"),
        ("bert@step:20~1", "checkpoint at step 10"),
        ("latest@{0}", "finish"),
        ("latest@{1}", "checkpoint at step 30"),
        ("bert@{4}", "start"),
        ("bert@latest@{4}", "start"),
        ("bert@best@{0}", "checkpoint at step 20"),
        ("bert@best@{1}", "checkpoint at step 10"),
        ("bert@{1}~2", "checkpoint at step 10"),
    ],
)
def test_every_form_names_its_commit(find, revision, message):
    assert find(revision) == message


def test_a_tag_names_its_commit_in_any_case(store, find):
    store.tag("V1.0", "bert@step:10")
    assert [find(revision) for revision in ("V1.0", "v1.0", "v1.0~1", "v1.0@{0}")] == [
        "checkpoint at step 10",
        "checkpoint at step 10",
        "start",
        "checkpoint at step 10",
    ]


def test_head_names_the_newest_commit_of_its_run_or_the_one_that_was_checked_out(store, line):
    with pytest.raises(UnknownRevision, match="no commit is called 'HEAD': nothing was committed"):
        store.commit("HEAD")
    store.add_commit(Addition(message="one"))
    store.add_commit(Addition(message="two"))
    assert (store.commit("HEAD").message, store.commit("HEAD~1").message) == ("two", "one")
    store.checkout("bert@step:10")
    assert store.commit("HEAD").message == "checkpoint at step 10"


def test_an_address_may_be_cut_to_four_digits_and_written_in_capitals(store, line):
    for message, address in line.items():
        for text in (address, address[:10], address[:10].upper()):
            assert store.commit(text).message == message
        assert address in list(commits_with_prefix(store._doors, address[:4]))


def test_three_digits_are_no_address(store, line):
    with pytest.raises(UnknownRevision):
        store.commit(line["start"][:3])


def test_an_address_of_something_else_than_a_commit_names_none(store, line):
    for address in (store.commit("bert").checkpoint.address, store.commit("bert").record.environment):
        with pytest.raises(UnknownRevision, match="no commit's address begins with it"):
            store.commit(address[:12])


def test_several_commits_with_the_same_first_digits_are_all_named(store, line, monkeypatch):
    both = tuple(sorted([line["start"], line["finish"]]))
    monkeypatch.setattr(revisions, "commits_with_prefix", lambda _, __: iter(both))
    with pytest.raises(AmbiguousRevision) as caught:
        store.commit("abcd")
    words = {line["start"]: "start", line["finish"]: "finish"}
    assert caught.value.candidates == tuple(f"{address[:10]} ({words[address]})" for address in both)
    assert all(candidate in str(caught.value) for candidate in caught.value.candidates)


def test_digits_that_two_commits_and_another_object_share_name_the_two(doors):
    seen = {}
    for number in range(10_000):  # by chance some 300 do
        data = encode_commit(CommitRecord(run="a", parents=(), message=f"number {number}", time=0))
        if (other := seen.setdefault(address_of(data)[:4], data)) is not data:
            break
    first, second = sorted([doors.objects.put(other), doors.objects.put(data)])
    prefix = first[:4]
    doors.objects.put(next(text for number in range(10_000_000) if address_of(text := b"%d" % number).startswith(prefix)))
    with pytest.raises(AmbiguousRevision) as caught:
        resolve(doors, prefix)
    assert caught.value.candidates == tuple(f"{each[:10]} ({doors.commit(each).message})" for each in (first, second))
    differ = next(number for number in range(64) if first[number] != second[number])
    assert [resolve(doors, each[: differ + 1]) for each in (first, second)] == [first, second]


def test_a_tag_comes_before_a_run_and_both_before_an_address(store, line):
    with store.start_run("other") as other:
        pass
    store.tag("bert", "other")
    assert store.commit("bert").run == "other"
    assert store.commit("bert@latest").run == "Bert"
    digits = line["start"][:8]
    store.start_run(digits).finish()
    assert store.commit(digits).run == digits
    assert other.name == "other"


# ------------------------------------------------------------------------------------------------------- nothing answers


@pytest.mark.parametrize(
    ("revision", "words"),
    [
        ("Brt", "no commit is called 'Brt'; did you mean 'Bert'?"),
        ("bert@", "no commit is called 'bert@'; did you mean 'Bert'"),
        ("lates", "no commit is called 'lates'; did you mean 'latest'?"),
        ("brt@best", "no commit is called 'brt@best'; did you mean 'Bert'?"),
        ("zzzzz", "no commit is called 'zzzzz'; 'onyx log' lists the commits, 'onyx runs' the runs"),
        ("", "no commit is called ''; 'onyx log' lists the commits, 'onyx runs' the runs"),
        ("bert@worst", "no commit is called 'bert@worst'; did you mean 'Bert'"),
        ("bert~5", "its line has only 4 commits before {finish}"),
        ("bert@{5}", "'bert' moved 5 times"),
        ("bert@step:20@{1}", "'bert@step:20' is no ref"),
        ("zzzzz@{1}", "'zzzzz' is no ref"),
        ("bert@step:14", "no commit of 'bert' has that step; did you mean 'bert@step:10' or 'bert@step:20'?"),
        ("bert@step:1000", "no commit of 'bert' has that step; did you mean 'bert@step:20' or 'bert@step:30'?"),
        ("bert@step:-5", "no commit of 'bert' has that step; did you mean 'bert@step:10' or 'bert@step:20'?"),
        ("bert@step:9999999999999999", "no commit of 'bert' has that step; did you mean 'bert@step:20' or 'bert@step:30'?"),
        ("bert@epoch:0.7", "no commit of 'bert' has that epoch; did you mean 'bert@epoch:0.5' or 'bert@epoch:1'?"),
        ("brt@step:10", "there is no run 'brt'; did you mean 'Bert'?"),
        ("latest@step:10", "there is no run 'latest'"),
        ("0123456789abcdef", "no commit's address begins with it"),
        ("../../etc/passwd", "no commit is called '../../etc/passwd'"),
        ("tags/../HEAD", "no commit is called"),
        ("bert\n", "no commit is called 'bert\\x0a'"),
        ("~1", "no commit is called '~1'"),
        ("@{1}", "no commit is called '@{1}'"),
        ("bert" + "~" * 5000, "it is longer than any revision"),
        ("bert" + "~0" * 100, None),
    ],
)
def test_what_names_nothing_says_what_was_perhaps_meant(store, line, revision, words):
    if words is None:
        assert store.commit(revision).message == "finish"
        return
    with pytest.raises(UnknownRevision) as caught:
        store.commit(revision)
    assert words.replace("{finish}", line["finish"][:10]) in str(caught.value)


@pytest.mark.parametrize("revision", [None, 5, b"bert"])
def test_what_is_no_text_is_told_what_a_revision_is(store, revision):
    with pytest.raises(BadInput, match="a revision is text"):
        store.commit(revision)


def test_near_matches_know_tags_as_they_are_spelt(store, line):
    store.tag("Release", "bert")
    with pytest.raises(UnknownRevision, match="did you mean 'Release'"):
        store.commit("relaese")


def test_a_step_beyond_what_a_float_holds_is_exact(store, weights):
    with store.start_run("a", max_checkpoints=None) as run:
        for step in (2**53, 2**53 + 1):
            run.save_checkpoint(state=weights(step % 7, 10), step=step, wait=True)
    assert store.commit(f"a@step:{2**53}").step == 2**53
    assert store.commit(f"a@step:{2**53 + 1}").step == 2**53 + 1


def test_the_newest_of_several_commits_of_a_step_is_meant(store, save):
    with store.start_run("a") as run:
        for seed in (1, 2):
            save(run, 5, seed=seed)
        run.log({"loss": 1.0}, step=6)
    np.testing.assert_array_equal(store.commit("a@step:5").parents[0].checkpoint.step, 5)


def test_steps_of_a_fork_are_its_own_and_those_before_it_are_reached_by_tildes(store, save):
    with store.start_run("a") as run:
        save(run, 1)
        save(run, 2)
    with store.start_run("b", parent="a@step:1") as fork:
        save(fork, 5)
    assert (store.commit("b~2").step, store.commit("b~2").run, store.commit("b~3").run) == (1, "b", "a")
    with pytest.raises(UnknownRevision, match=r"did you mean 'b@step:1' or 'b@step:5'\?"):
        store.commit("b@step:2")


def test_a_run_without_a_best_says_so(store):
    store.start_run("a").finish()
    for revision in ("a@best", "best"):
        with pytest.raises(UnknownRevision, match=f"no commit is called '{revision}': "):
            store.commit(revision)


def test_an_empty_store_has_no_latest(store):
    with pytest.raises(UnknownRevision, match="nothing was committed yet"):
        store.commit("latest")


def test_a_ref_that_named_nothing_then_says_so(store, line):
    store.tag("v1", "bert")
    store.delete_tag("v1")
    store.tag("v1", "bert~1")
    assert store.commit("v1@{2}").message == "finish"
    with pytest.raises(UnknownRevision, match="'v1' named no commit then"):
        store.commit("v1@{1}")
    store.tag("v2", "bert")
    with pytest.raises(UnknownRevision, match="'v2' moved only once"):
        store.commit("v2@{1}")


def test_a_commit_whose_object_is_gone_is_missing_and_not_unknown(store, line):
    store._doors.layout.object(line["finish"]).unlink()
    with pytest.raises(ObjectMissing):
        type(store).open(store.folder).commit("bert")


def test_find_ref_says_which_ref_a_word_is(store, line):
    store.tag("v1", "bert")
    words = ["HEAD", "latest", "Best", "v1", "bert", "bert@best", "bert@latest", "bert@step:1", "no", "", "v1@best", "head"]
    assert [find_ref(store._doors, word) for word in words] == [
        "HEAD",
        "latest",
        "best",
        "tags/v1",
        "runs/bert/latest",
        "runs/bert/best",
        "runs/bert/latest",
        None,
        None,
        None,
        None,
        None,
    ]


def test_resolving_reads_the_store_as_it_is_now(store, line):
    before = resolve(store._doors, "latest")
    type(store).open(store.folder).start_run("c").finish()
    assert (before, store.commit("latest").run) == (line["finish"], "c")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.text(max_size=40),
        st.lists(st.sampled_from(["bert", "latest", "best", "@", "~", "{", "1", "}", "step:", "20", "-", "."])).map("".join),
    )
)
def test_any_text_names_a_commit_or_none(doors, line, text):
    with contextlib.suppress(UnknownRevision, AmbiguousRevision):
        assert resolve(doors, text) in line.values()
