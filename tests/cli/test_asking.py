"""Before something goes somebody is asked; where nobody can be, the command line must have said it."""

import io
import sys

import pytest

from onyxstore.cli import asking


@pytest.fixture
def answer(monkeypatch):
    """Somebody at the terminal who answers so."""

    def sit_down(words):
        monkeypatch.setattr(sys, "stdin", io.StringIO(words))
        monkeypatch.setattr(asking, "_is_terminal", lambda stream: stream is not None)

    return sit_down


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("words", "agreed"), [("y\n", True), (" YES \n", True), ("n\n", False), ("\n", False), ("", False), ("yeah\n", False)]
)
def test_only_yes_is_yes(onyx, answer, words, agreed):
    answer(words)
    done = onyx("rm", "tuned")
    assert done.err.splitlines()[0] == "remove run 'tuned' (3 commits)? [y/N]"
    assert (done.status, done.err.splitlines()[-1] == "nothing was removed") == ((0, False) if agreed else (1, True))
    assert ("tuned" in onyx("runs").out) is not agreed


@pytest.mark.usefixtures("trained")
def test_a_purge_shows_what_goes_before_it_asks(onyx, answer):
    (row,) = onyx("show", "base", "--json").json["commits"]
    address = row["configs"]["training"]["snapshot"]
    answer("no\n")
    done = onyx("purge", address)
    assert (done.status, done.err.splitlines()[-1]) == (1, "nothing was purged")
    assert sorted(line.split()[0] for line in done.out.splitlines() if not line.startswith(" ")) == ["config", "config"]
    assert "config 'training' of run 'base', in 5 commits" in done.out
    answer("y\n")
    assert onyx("purge", address).status == 0
    assert onyx("show", "base", "--json").json["commits"][0]["configs"]["training"]["value"] == "<purged>"
    assert "<purged>" in onyx("show", "base").out
    assert [onyx(*verb).status for verb in (["runs"], ["log"], ["diff", "base", "tuned"], ["fsck"])] == [0, 0, 0, 0]


@pytest.mark.usefixtures("trained")
def test_nobody_is_asked_where_nobody_is_and_several_are_asked_about_at_once(onyx, answer, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert onyx("rm", "tuned").status == 2
    answer("n\n")
    assert onyx("rm", "tuned", "base").err.startswith("remove 2 runs (8 commits)? [y/N]\n")
