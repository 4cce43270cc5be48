"""A store of each format there ever was is read as on the day when it was made, by the library and by the reader of the page."""

import json
import re
import shutil
from pathlib import Path

import pytest

import onyxstore as onyx
from onyxstore.canonical import encode_value
from onyxstore.disk.layout import FORMAT
from onyxstore.hashing import address_of
from tests.format.golden.v1 import make
from tests.format.mini_reader import Store, lines, untag
from tests.format.page import PAGE, tables

GOLDEN = Path(__file__).parent / "golden"
FORMATS = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())
CURRENT = "v1"
ELSEWHERE = {"model.tied", "model.rows", "model.columns"}
"""What is tied to another tensor, or a view of one: it is in the tree, which the reader passes over, and not in the list of tensors."""


def expected_of(name):
    return json.loads((GOLDEN / name / "expected.json").read_text())


@pytest.fixture
def golden(tmp_path):
    """A copy of a golden store, in the place where the library looks for one."""

    def copy(name):
        shutil.copytree(GOLDEN / name / "onyx", tmp_path / name / ".onyx")
        return tmp_path / name

    return copy


@pytest.mark.parametrize("name", FORMATS)
def test_the_library_reads_it_as_it_was(golden, name):
    described = make.described(onyx.Store.open(golden(name)))
    assert json.loads(json.dumps(encode_value(described))) == expected_of(name)


@pytest.mark.parametrize("name", FORMATS)
def test_it_is_whole(golden, name):
    report = onyx.Store.open(golden(name)).fsck()
    assert list(report.damage) == []
    assert any("crashed" in str(note) for note in report.notes)


@pytest.mark.parametrize("name", FORMATS)
def test_its_checkpoint_loads_as_it_was_handed_in(golden, name):
    pytest.importorskip("torch")
    loaded = onyx.Store.open(golden(name)).commit("Golden").checkpoint.load()
    assert repr(loaded) == repr(make.state(6))
    assert loaded["model"]["tied"] is loaded["model"]["weight"]
    loaded["model"]["rows"][1, 0] = 100
    assert loaded["model"]["columns"][0, 0] == 100


def test_the_reader_of_the_page_reads_the_newest(golden):
    expected = untag(expected_of(CURRENT))
    reader = Store(golden(CURRENT) / ".onyx")
    assert {ref: reader.resolve(ref) for ref in expected["refs"]} == expected["refs"]
    assert {run: curves(reader, run) for run in ["Golden", "crashed"]} == {run: expected["curves"][run] for run in ["Golden", "crashed"]}
    read = {address: commit for ref in expected["refs"].values() for address, commit in reader.commits(ref).items()}
    assert {address: told(reader, commit, expected["commits"][address]) for address, commit in read.items()} == expected["commits"]


def curves(reader, run):
    """A run's curves, in the form of the file of expectations: times in seconds, bools as numbers."""
    return {
        name: [[None if epoch is None else float(epoch), step, time / 1e9, value] for epoch, step, time, value in curve]
        for name, curve in reader.curves(run).items()
    }


def told(reader, commit, expected):
    """What the reader reads of a commit, in the form of the file of expectations; what it does not read stands as expected."""
    tensors = reader.tensors(commit) if expected["tensors"] else {}
    stored = {".".join(map(str, path)): [dtype, list(shape), address_of(data)] for path, (dtype, shape, data) in tensors.items()}
    return {
        **expected,
        "tensors": {name: value if name in ELSEWHERE else stored[name] for name, value in expected["tensors"].items()},
        **{key: commit[key] for key in ["run", "message", "time", "step", "epoch", "parents"]},
        "values": commit["metrics"],
        "configs": {name: [value, data.decode()] for name, (value, data) in reader.configs(commit).items()},
        "artifacts": {**expected["artifacts"], **{each["name"]: reader.object(each["address"]).decode() for each in commit["artifacts"]}},
    }


def keys_told(start):
    """The keys of the JSON object on the page that begins with `start`."""
    return set(re.findall(r'"(\w+)":', re.search(rf"`\{{{re.escape(start)}[^`]*", PAGE)[0]))


def test_its_lines_have_the_keys_that_the_page_names(golden):
    root = golden(CURRENT) / ".onyx"
    values = {path: [json.loads(line) for line in lines((root / path).read_bytes())] for path in ["reflog/latest", "runs/golden/pruned"]}
    assert {frozenset(value) for value in values["reflog/latest"]} == {frozenset(keys_told('"by":'))}
    assert {frozenset(value) for value in values["runs/golden/pruned"]} == {frozenset(keys_told('"manifest":address,"pruned"'))}
    assert set(Store(root).line("refs/best")) == {"commit", *re.findall("`(\\w+)`", tables("12. Refs")[0][2][2])} - {"min", "max"}


def test_its_commits_count_the_costs_that_the_page_names(golden):
    reader = Store(golden(CURRENT) / ".onyx")
    row = next(row for row in tables("9. Commits")[0] if row[0] == "`cost`")
    costs = {name for ref in ["golden", "main"] for commit in reader.commits(reader.resolve(ref)).values() for name in commit["cost"]}
    assert costs == set(re.findall("`(\\w+)`", row[1]))


def test_it_can_be_written_on(golden):
    store = onyx.Store.open(golden(CURRENT))
    with store.start_run("crashed", resume=True) as run:
        run.log({"loss": 0.25}, step=3)
    assert store.run("crashed").metrics["loss"].values.tolist() == [0.5, 0.5, 0.5, 0.25]
    assert list(store.fsck().damage) == []


def test_there_is_one_for_each_format_up_to_the_present_one():
    formats = [json.loads((GOLDEN / name / "onyx" / "format").read_bytes()[9:])["format"] for name in FORMATS]
    assert formats == list(range(1, FORMAT + 1))
