"""What `onyx cat` writes, byte for byte, and what of it reaches a terminal."""

import json
import subprocess
import sys

import numpy as np
import pytest

from onyxstore.store.store import Store

BYTES = b"\x00\xff\x1b[2J\r\n\t"
TEXT = "Once\tupon \x1b[31ma\u202e time\r\n\n  \x9f"


@pytest.fixture
def store(empty):
    store = Store.init(empty)
    with store.start_run("run") as run:
        run.log_artifact("bytes", BYTES, kind="file")
        run.log_artifact("text", TEXT.encode(), kind="text")
        run.save_checkpoint(state={"model": {"w": np.arange(5, dtype=np.int16)}}, wait=True)
        run.commit(f"by hand {TEXT} \U0001f642 ä")
    return store


@pytest.fixture
def watched(monkeypatch):
    """Somebody looks on."""
    monkeypatch.setattr("onyxstore.cli.screen.is_watched", lambda: True)
    monkeypatch.setenv("PAGER", "cat")


def written(*arguments):
    """What a process of its own writes into a pipe."""
    code = "from onyxstore.cli.app import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


@pytest.mark.usefixtures("store")
def test_bytes_to_a_pipe_are_exact():
    assert written("cat", "run:bytes") == BYTES
    assert written("cat", "run:text") == TEXT.encode()
    assert written("cat", "run:w", "--raw") == np.arange(5, dtype=np.int16).tobytes()


def test_raw_is_an_object_as_it_is(store):
    commit = store.commit("run")
    assert written("cat", commit.address, "--raw") == store._doors.objects.get(commit.address)


@pytest.mark.usefixtures("store", "watched")
def test_nothing_that_a_terminal_would_obey_reaches_it(onyx):
    done = onyx("cat", "run:text")
    assert (done.status, done.out) == (0, "Once    upon \\x1b[31ma\\u202e time\n\n  \\x9f\n")
    done = onyx("cat", "run:bytes")
    assert (done.status, done.out) == (128, "")
    assert done.err == "onyx: artifact bytes is no text (9 B); add '> FILE', or --raw to have it here\n"


@pytest.mark.usefixtures("store", "watched")
def test_a_text_longer_than_anyone_reads_does_not_go_to_a_terminal(onyx, monkeypatch):
    monkeypatch.setattr("onyxstore.cli.commands.cat.LONGEST_TEXT", 10)
    assert onyx("cat", "run:text").status == 128
    assert onyx("cat", "run:text", "--json").json["objects"][0]["text"] is None


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("on_a_terminal", [False, True])
def test_an_object_that_is_laid_out_is_json_and_can_be_read(onyx, on_a_terminal, request):
    if on_a_terminal:
        request.getfixturevalue("watched")
    out = onyx("cat", "run~1").out
    assert json.loads(out)["message"] == f"by hand {TEXT} \U0001f642 ä".strip()
    assert "\U0001f642 ä" in out
    assert [char for char in out if not char.isprintable() and char != "\n"] == []


@pytest.mark.usefixtures("store")
def test_json_has_values_texts_and_figures_each_in_its_place(onyx):
    def row(what):
        (found,) = onyx("cat", what, "--json").json["objects"]
        return found["kind"], found["value"] is not None, found["text"], found["tensor"] is not None

    assert row("run") == ("commit", True, None, False)
    assert row("run:text") == ("artifact", False, TEXT, False)
    assert row("run:bytes") == ("artifact", False, None, False)
    assert row("run:w") == ("tensor", False, None, True)
