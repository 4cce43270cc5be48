"""The run through a guide: what it does between the samples, and what it tells."""

import pytest

import onyxstore as onyx
from tests.guide.performance import NOT_YET, is_on, perform
from tests.guide.promises import PROMISES
from tests.guide.samples import find_samples

SETUP = """\
# A guide
## Setting up
```python
from onyx.server.features.ads.tracker import ExperimentConfig, ExperimentMetadata, experiment_context
experiment_config, metadata = ExperimentConfig(), ExperimentMetadata("exp", "exp", "project")
with experiment_context(experiment_config, metadata) as tracker:
    tracker.log_metrics({"loss": 1.0}, step=0)
ended = tracker
```
"""


@pytest.fixture(autouse=True)
def _workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("ONYX_STORE", "RANK"):
        monkeypatch.delenv(name, raising=False)


def played(text, names=None):
    """The names after a page."""
    names = {} if names is None else names
    perform(list(find_samples(text)), names)
    return names


def test_a_section_begins_with_a_tracker_that_is_on_and_all_are_ended():
    names = played(SETUP + "## Logging\n### Metrics\n```python\ntracker.log_metrics({'loss': 0.5}, step=0)\nname = tracker.run.name\n```\n")
    assert names["name"] == "exp-2"
    assert {run.name: run.status for run in onyx.Store.open().runs()} == {"exp": "finished", "exp-2": "finished"}
    assert not is_on(names["tracker"])


def test_a_tracker_that_is_on_stays():
    names = played(SETUP + "## A\n```python\nfirst = tracker\n```\n## B\n```python\nsecond = tracker\n```\n")
    assert names["second"] is names["first"] is not names["ended"]


def test_within_a_section_nothing_is_done():
    with pytest.raises(onyx.OnyxError, match="it has ended"):
        played(SETUP + "#### Below\n```python\ntracker.log_metrics({'loss': 0.5}, step=0)\n```\n")


def test_an_error_names_page_and_heading():
    with pytest.raises(ZeroDivisionError) as caught:
        played("## A\n```python\n1 / 0\n```\n")
    assert caught.value.__notes__ == ["page.md, under 'A'"]


def test_a_promise_sees_what_was_before_and_what_is_printed(monkeypatch):
    seen = []

    def look(names, sample):
        seen.append((sample.first_line, dict(names)))
        printed = yield
        seen.append(printed)

    monkeypatch.setitem(PROMISES, "A", look)
    played("## A\n```python\nprint('one')\n```\n```python\nprint('two')\n```\n")
    assert seen == [(6, {}), "one\ntwo\n"]


def test_a_promise_that_is_broken_is_told(monkeypatch):
    def look(names, sample):
        printed = yield
        assert printed == "two\n"

    monkeypatch.setitem(PROMISES, "A", look)
    with pytest.raises(AssertionError) as caught:
        played("## A\n```python\nprint('one')\n```\n")
    assert caught.value.__notes__ == ["page.md, under 'A'"]


def test_only_what_cannot_run_yet_is_left_out():
    assert played("".join(f"## {heading}\n```python\nran = True\n```\n" for heading in NOT_YET)) == {}
