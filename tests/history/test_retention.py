import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onyxstore.disk.linefile import append_values
from onyxstore.disk.lines import split_lines
from onyxstore.errors import CorruptFile
from onyxstore.hashing import address_of
from onyxstore.history import retention
from onyxstore.history.retention import PruneMark, RetentionPlan, append_marks, plan_retention, read_marks, read_pruned

A, B, C, D, E = (address_of(letter.encode()) for letter in "abcde")

manifests = st.lists(st.sampled_from([A, B, C, D, E]), max_size=12)
protections = st.dictionaries(st.sampled_from([A, B, C, D, E, address_of(b"elsewhere")]), st.sampled_from(["best", "tagged v1"]))
limits = st.one_of(st.none(), st.integers(0, 7))


def test_the_newest_and_the_protected_stay_and_the_oldest_go_first():
    plan = plan_retention([E, D, C, B, A], 2, {B: "best", E: "latest"})
    assert plan == RetentionPlan({E: "latest", D: "among the newest 2", B: "best"}, (A, C))


def test_commits_that_carry_their_parent_s_checkpoint_do_not_count():
    assert plan_retention([C, C, C, B, B, A], 2, {}) == RetentionPlan(dict.fromkeys([C, B], "among the newest 2"), (A,))


def test_a_checkpoint_that_comes_again_is_as_new_as_its_newest_commit():
    assert plan_retention([A, C, B, A], 1, {}).pruned == (B, C)


def test_no_limit_keeps_all():
    assert plan_retention([C, B, A], None, {}).pruned == ()


@given(manifests, limits, protections)
def test_each_checkpoint_is_kept_or_pruned_and_for_a_reason(line, limit, protected):
    plan = plan_retention(line, limit, protected)
    distinct = list(dict.fromkeys(line))
    newest = distinct if limit is None else distinct[:limit]
    assert set(plan.kept) == set(newest) | (set(distinct) & set(protected))
    assert list(plan.pruned) == [manifest for manifest in reversed(distinct) if manifest not in plan.kept]
    said = f"among the newest {len(newest) if limit is None else limit}"
    assert plan.kept == {manifest: protected.get(manifest, said) for manifest in plan.kept}


@given(manifests, limits, protections)
def test_repeats_change_nothing_and_what_is_kept_stays_kept(line, limit, protected):
    plan = plan_retention(line, limit, protected)
    distinct = list(dict.fromkeys(line))
    assert plan_retention(distinct, limit, protected) == plan
    again = plan_retention([manifest for manifest in distinct if manifest in plan.kept], limit, protected)
    assert (set(again.kept), again.pruned) == (set(plan.kept), ())


@given(manifests, st.integers(0, 6), protections)
def test_a_larger_limit_keeps_no_less(line, limit, protected):
    assert set(plan_retention(line, limit, protected).kept) <= set(plan_retention(line, limit + 1, protected).kept)


# --------------------------------------------------------------------------------------------------------------- marks


def pruned(manifest, *, back=False):
    return PruneMark(manifest, 1_700_000_000_000_000_000, pruned=not back, stored=0 if back else 4096)


MARKS = [pruned(A), pruned(B), pruned(C), pruned(A, back=True), pruned(D), pruned(D, back=True), pruned(E), pruned(E, back=True)]


@pytest.fixture
def folder(tmp_path):
    append_marks(tmp_path / "run", MARKS)
    return tmp_path / "run"


def test_marks_come_back_in_order_and_the_last_one_of_each_counts(folder, tmp_path):
    assert (read_marks(folder), read_pruned(folder)) == (MARKS, {B, C})
    append_marks(folder, [pruned(A)])
    assert read_pruned(folder) == {A, B, C}
    assert (read_marks(tmp_path), read_pruned(tmp_path)) == ([], set())


@pytest.fixture
def read_as(folder, monkeypatch):
    """What counts as pruned if the file held other bytes."""

    def read(data):
        monkeypatch.setattr(retention, "read_log", lambda _: split_lines(data))
        return read_pruned(folder)

    return read


def test_whatever_byte_is_damaged_nothing_counts_as_pruned_that_was_not(folder, read_as):
    whole = (folder / "pruned").read_bytes()
    for place in range(len(whole)):
        for flip in (1, 0x20, whole[place] ^ 0x0A or 2):
            assert read_as(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :]) <= {B, C}


def test_however_the_file_is_cut_only_whole_marks_before_the_cut_can_count(folder, read_as):
    whole = (folder / "pruned").read_bytes()
    for cut in range(len(whole)):
        last = {mark.manifest: mark.pruned for mark in MARKS[: whole[:cut].count(b"\n")]}
        certain = not cut or whole[cut - 1] == 0x0A
        assert read_as(whole[:cut]) == ({manifest for manifest, gone in last.items() if gone} if certain else set())


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    marks=st.lists(
        st.builds(PruneMark, st.sampled_from([A, B, C]), st.integers(0, 2**62), st.booleans(), st.integers(0, 2**62)), max_size=8
    )
)
def test_marks_are_counted_again_when_what_was_torn_or_damaged_is_followed_by_new_ones(tmp_path, marks):
    (tmp_path / "pruned").unlink(missing_ok=True)
    append_marks(tmp_path, [pruned(D)])
    with (tmp_path / "pruned").open("ab") as opened:
        opened.write(b"torn")
    assert read_pruned(tmp_path) == set()
    append_marks(tmp_path, marks)
    last = {mark.manifest: mark.pruned for mark in marks}
    assert read_pruned(tmp_path) == ({manifest for manifest, gone in last.items() if gone} | {D} if marks else set())


@pytest.mark.parametrize(
    "line",
    [
        None,
        [],
        {},
        {"manifest": A, "time": 1, "pruned": True},
        {"manifest": "a" * 63, "time": 1, "pruned": True, "stored": 1},
        {"manifest": None, "time": 1, "pruned": True, "stored": 1},
        {"manifest": A, "time": float("inf"), "pruned": True, "stored": 1},
        {"manifest": A, "time": 1, "pruned": 1, "stored": 1},
        {"manifest": A, "time": 1, "pruned": True, "stored": "1"},
        {"manifest": A, "time": 1, "pruned": True, "stored": True},
    ],
)
def test_a_line_that_is_no_mark_is_left_out(tmp_path, line):
    append_values(tmp_path / "pruned", [line])
    append_marks(tmp_path, [pruned(B)])
    assert (read_marks(tmp_path), read_pruned(tmp_path)) == ([pruned(B)], {B})


def test_a_list_of_marks_that_is_no_file_is_an_error_not_an_empty_list(tmp_path):
    (tmp_path / "pruned").mkdir()
    with pytest.raises(CorruptFile, match="no regular file"):
        read_pruned(tmp_path)
