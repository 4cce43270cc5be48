"""A commit of files without a run: where it goes, what it reads, what it refuses."""

import os
import threading

import numpy as np
import pytest
from safetensors.numpy import save_file

import onyxstore as onyx
from onyxstore.disk.locks import pinned
from onyxstore.errors import BadConfig, BadFile, BadInput, BadMetric, BadName, RunIsLive
from onyxstore.store import adding
from onyxstore.store.adding import Addition


@pytest.fixture
def commit(store):
    """Makes a commit; its message is `words` unless given."""
    return lambda message="words", **parts: store.add_commit(Addition(message=message, **parts))


@pytest.fixture
def config(folder):
    def write(text, name="c.yaml"):
        (folder / name).write_text(text)
        return folder / name

    return write


@pytest.fixture
def model(folder):
    """A `.safetensors` file whose tensor holds this number."""

    def write(number, path="model.safetensors", size=1000):
        (folder / path).parent.mkdir(exist_ok=True)
        save_file({"w": np.full(size, number, np.float32)}, folder / path)
        return folder / path

    return write


# ---------------------------------------------------------------------------------------------------- where it goes


def test_commits_without_a_run_go_to_main_one_after_another(store, commit):
    made = [commit(message) for message in ("one", "two", "three")]
    run = store.run("main")
    assert (run.commits, run.status, run.state.attempts) == (made, "open", ())
    assert [each.parents for each in made] == [[], made[:1], made[1:2]]
    assert store.commit("HEAD") == store.commit("latest") == made[2]
    assert store._doors.refs.read("HEAD") == {"run": "main"}


def test_after_a_checkout_of_one_commit_a_new_run_begins_there(store, commit, config, model):
    commit("one", configs={"c": config("lr: 1\n")}, checkpoint=model(1))
    two = commit("two", configs={"c": config("lr: 2\n")})
    store.checkout("main~1")
    made = commit("another way")
    assert (made.run, made.parents, made.config) == ("main-2", [two.parents[0]], {"c": {"lr": 1}})
    assert made.checkpoint.address == two.checkpoint.address
    assert (store.run("main").latest, store._doors.refs.read("HEAD")) == (two, {"run": "main-2"})
    assert commit("and on").parents == [made]


def test_a_commit_after_a_checkout_of_a_training_run_begins_a_run_there(store, save, commit):
    with store.start_run("bert", configs={"c": {"lr": 1}}) as run:
        save(run, 1)
    store.checkout("bert@step:1", onyx.store.checkout.CheckoutOptions(checkpoint=False))
    made = commit("from there")
    assert (made.run, made.parents[0].run, made.checkpoint.step, made.config) == ("main", "bert", 1, {"c": {"lr": 1}})


def test_a_run_called_main_that_a_program_made_is_not_added_to(store, commit):
    store.start_run("main").finish()
    assert [commit().run, commit().run] == ["main-2", "main-2"]


def test_runs_of_the_library_do_not_move_head(store, commit, save):
    made = commit()
    with store.start_run("bert") as run:
        save(run, 1)
    assert store.commit("HEAD") == made


def test_two_commits_at_once_both_arrive_or_one_is_told_to_wait(store, commit):
    commit("first")
    ends = []

    def work(number):
        try:
            ends.append(onyx.Store.open(store.folder).add_commit(Addition(message=f"number {number}")).message)
        except RunIsLive as error:
            ends.append(error.id)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    arrived = [each.message for each in store.run("main").commits[1:]]
    assert sorted(arrived + [end for end in ends if end == "run-is-live"]) == sorted(ends)
    assert len(ends) == 4


# ------------------------------------------------------------------------------------------------------------ configs


def test_the_configs_of_the_commit_before_are_read_again_from_where_they_lie(commit, config):
    one = commit("one", configs={"c": config("lr: 1\n"), "d": config("n: 1\n", "d.yaml")})
    config("lr: 2 # better\n")
    two = commit("two")
    assert (one.config, two.config) == ({"c": {"lr": 1}, "d": {"n": 1}}, {"c": {"lr": 2}, "d": {"n": 1}})
    assert two.config_bytes("c") == b"lr: 2 # better\n"


def test_a_config_whose_file_is_gone_drops_out_and_that_is_said(commit, config, said):
    commit("one", configs={"c": config("lr: 1\n"), "d": config("n: 1\n", "d.yaml")})
    (config("lr: 1\n").parent / "d.yaml").unlink()
    assert commit("two").config == {"c": {"lr": 1}}
    assert said() == ["config 'd' drops out: there is no d.yaml"]


def test_a_config_that_is_given_takes_the_place_of_the_old_one(commit, config):
    commit("one", configs={"c": config("lr: 1\n")})
    two = commit("two", configs={"c": config("lr: 5\n", "other.yaml")})
    assert (two.config, two.config_entries["c"].path) == ({"c": {"lr": 5}}, "other.yaml")


def test_configs_that_were_values_are_carried_over(store, commit, config):
    store.start_run("a", configs={"v": {"x": 1}, "c": config("lr: 1\n")}).finish()
    store.checkout("a")
    config("lr: 2\n")
    assert commit().config == {"v": {"x": 1}, "c": {"lr": 2}}


def test_a_config_that_cannot_be_read_stops_the_commit(store, commit, config):
    commit("one", configs={"c": config("lr: 1\n")})
    config("lr: [1\n")
    with pytest.raises(BadConfig, match=r"c\.yaml"):
        commit("two")
    assert [each.message for each in store.run("main").commits] == ["one"]


# --------------------------------------------------------------------------------------------------- metrics and files


def test_metrics_come_from_a_mapping_or_a_json_file(commit, folder):
    (folder / "m.json").write_text('{"loss": 0.5, "test": {"acc": 1, "ok": true}}')
    assert dict(commit(metrics={"loss": np.float32(0.25)}).values) == {"loss": 0.25}
    assert dict(commit(metrics=folder / "m.json").values) == {"loss": 0.5, "test/acc": 1, "test/ok": True}


@pytest.mark.parametrize("text", ["[1]", "1", "{", '{"a": "b"}', '{"a": 1, "a": 2}', '{"a": NaN}', "", '{"a": 1} x'])
def test_a_file_that_holds_no_metrics_is_refused(store, commit, folder, text):
    (folder / "m.json").write_text(text)
    with pytest.raises((BadFile, BadMetric)):
        commit(metrics=folder / "m.json")
    assert store.runs() == []


def test_the_better_of_two_commits_is_best_by_the_settings(store, folder, model):
    (folder / ".onyx" / "settings.yaml").write_text("best_metric: acc\nbest_mode: max\n")
    store = onyx.Store.open(folder)
    for number, acc in enumerate([0.5, 0.9, 0.7]):
        store.add_commit(Addition(message=f"{number}", metrics={"acc": acc}, checkpoint=model(number)))
    assert (store.commit("best").message, store.commit("main@best").message) == ("1", "1")


def test_artifacts_are_kept_under_their_names(commit, folder):
    (folder / "plot.png").write_bytes(b"\x89PNG")
    made = commit(artifacts=[folder / "plot.png"])
    assert ([(each.name, each.size) for each in made.artifacts], made.artifact_bytes("plot.png")) == ([("plot.png", 4)], b"\x89PNG")


def test_artifacts_are_carried_over_until_others_of_their_names_come(store, commit, folder):
    for name, text in (("plot.png", "old"), ("table.csv", "a,b")):
        (folder / name).write_text(text)
    commit(artifacts=[folder / "plot.png", folder / "table.csv"])
    between = commit("words alone")
    (folder / "plot.png").write_text("new")
    made = commit(artifacts=[folder / "plot.png"])
    assert (between.artifact_bytes("plot.png"), made.artifact_bytes("plot.png")) == (b"old", b"new")
    assert between.artifact_bytes("table.csv") == made.artifact_bytes("table.csv") == b"a,b"
    store.tag("plots", between.address)
    with store.start_run("fork", parent="plots") as run:
        run.log({"loss": 1.0})
    assert [each.name for each in run.latest.artifacts] == ["plot.png", "table.csv"]


def test_a_checkpoint_is_a_safetensors_file_and_the_next_commit_carries_it(commit, model):
    one = commit("one", checkpoint=model(1), metrics={"loss": 1.0})
    two = commit("two")
    np.testing.assert_array_equal(one.checkpoint.tensors.numpy("w"), np.full(1000, 1, np.float32))
    assert (dict(one.checkpoint.metrics), two.checkpoint.address) == ({"loss": 1.0}, one.checkpoint.address)


def test_a_torch_file_comes_in_as_its_tree(commit, folder):
    torch = pytest.importorskip("torch")
    state = {"model": {"w": torch.arange(6.0).reshape(2, 3), "tied": None}, "step": 3, "betas": (0.9, 0.99), 7: "int key"}
    state["model"]["tied"] = state["model"]["w"]
    torch.save(state, folder / "c.pt")
    loaded = commit(checkpoint=folder / "c.pt").checkpoint.load()
    assert (loaded["step"], loaded["betas"], loaded[7]) == (3, (0.9, 0.99), "int key")
    assert torch.equal(loaded["model"]["w"], state["model"]["w"])
    assert loaded["model"]["tied"] is loaded["model"]["w"]


def test_a_torch_file_with_code_in_it_is_refused(store, commit, folder):
    torch = pytest.importorskip("torch")
    torch.save({"w": os.getcwd}, folder / "c.pt")
    with pytest.raises(BadFile, match=r"c\.pt is no whole torch file: it holds posix\.getcwd"):
        commit(checkpoint=folder / "c.pt")
    assert store.runs() == []


@pytest.mark.parametrize("part", ["checkpoint", "metrics", "artifact", "config"])
def test_a_file_that_is_none_is_refused_by_name_before_anything_is_written(store, commit, folder, size_of, part):
    suffix = {"checkpoint": "safetensors", "metrics": "json", "artifact": "png", "config": "yaml"}[part]
    (folder / f"folder.{suffix}").mkdir()
    os.mkfifo(folder / f"fifo.{suffix}")
    (folder / f"file.{suffix}").write_bytes(b"\x02\0\0\0\0\0\0\0{}" if part == "checkpoint" else b"{}")
    (folder / f"link.{suffix}").symlink_to(folder / f"file.{suffix}")
    before = size_of(folder / ".onyx")
    for kind in ("missing", "folder", "fifo", *(() if part == "artifact" else ("link",))):
        path = folder / f"{kind}.{suffix}"
        given = {"artifact": {"artifacts": [path]}, "config": {"configs": {"c": path}}}.get(part, {part: path})
        with pytest.raises((BadFile, BadConfig), match=f"{kind}.{suffix}") as caught:
            commit(**given)
        assert "fsck" not in str(caught.value)
    assert (store.runs(), size_of(folder / ".onyx")) == ([], before)


@pytest.mark.parametrize("data", [b"", b"\x10\0\0\0\0\0\0\0{}", b"\x02\0\0\0\0\0\0\0{}x", b"\xff" * 20])
def test_a_damaged_safetensors_file_is_refused(store, commit, folder, data):
    (folder / "m.safetensors").write_bytes(data)
    with pytest.raises(BadFile, match="is no whole safetensors file"):
        commit(checkpoint=folder / "m.safetensors")
    assert store.runs() == []


def test_a_checkpoint_with_another_ending_is_refused(commit, folder):
    (folder / "m.onnx").write_bytes(b"x")
    with pytest.raises(BadFile, match=r"should end in \.safetensors, \.pt or \.pth"):
        commit(checkpoint=folder / "m.onnx")


def test_a_path_with_detours_is_stored_as_the_plain_one(store, commit, folder, model):
    model(1, "out/model.safetensors")
    (folder / "sub").mkdir()
    commit(checkpoint=folder / "sub" / ".." / "out" / "model.safetensors")
    assert store.commit("HEAD").checkpoint.manifest.file.name == "out/model.safetensors"


def test_a_file_from_outside_is_stored_by_its_bare_name(commit, tmp_path_factory):
    path = tmp_path_factory.mktemp("outside") / "m.safetensors"
    save_file({"w": np.zeros(3)}, path)
    assert commit(checkpoint=path).checkpoint.manifest.file.name == "m.safetensors"


@pytest.mark.parametrize("name", ["back\\slash.safetensors", "new\nline.safetensors"])
def test_a_name_that_checkout_could_not_write_is_refused(store, commit, model, name):
    path = model(1, name)
    with pytest.raises(BadName):
        commit(checkpoint=path)
    with pytest.raises(BadName):
        commit(artifacts=[path])
    assert store.fsck().damage == []


@pytest.mark.parametrize("message", ["", "   ", "\n", "\udcff"])
def test_a_commit_needs_a_message(store, commit, message):
    with pytest.raises(BadInput):
        commit(message)
    assert store.runs() == []


# ----------------------------------------------------------------------------------------------- retention, other writers


def test_commits_keep_as_many_checkpoints_as_the_settings_say(store, folder, steps_kept):
    (folder / ".onyx" / "settings.yaml").write_text("max_checkpoints: 2\n")
    store = onyx.Store.open(folder)
    for number in range(4):
        save_file({"w": np.random.default_rng(number).standard_normal(30_000)}, folder / "m.safetensors")
        store.add_commit(Addition(message=f"{number}", checkpoint=folder / "m.safetensors"))
    store.gc()
    kept = []
    for each in store.run("main").commits:
        try:
            each.checkpoint.load()
        except onyx.OnyxError:
            continue
        kept.append(each.message)
    assert kept == ["2", "3"]


def test_nothing_of_a_commit_is_written_before_it_keeps_sweeps_away(store, commit, model, folder, monkeypatch):
    """The header of a file, put before, would be swept in between."""
    before, seen = set((folder / ".onyx" / "objects").rglob("*")), []
    monkeypatch.setattr(adding, "pinned", lambda locks: seen.append(set((folder / ".onyx" / "objects").rglob("*"))) or pinned(locks))
    commit(checkpoint=model(1))
    assert seen == [before]


def test_a_commit_says_its_code_and_environment(store, commit):
    made = commit()
    assert (made.code, made.environment["started_in"]) == (None, ".")
    assert store.fsck().damage == []
