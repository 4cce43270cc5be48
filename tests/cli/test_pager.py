import os
import pty
import subprocess
import sys

import pytest

pytestmark = pytest.mark.usefixtures("trained")

PROGRAM = "import sys; from onyxstore.cli.app import main; main()"


def at_a_terminal(*arguments: str, **environment: str) -> tuple[int, str]:
    """The exit status and all that a command shows at a terminal of 80 columns."""
    here, there = pty.openpty()
    variables = {**os.environ, "TERM": "xterm", "COLUMNS": "80", **environment}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdin=there, stdout=there, stderr=there, env=variables)
    os.close(there)
    shown = b""
    try:
        while block := os.read(here, 65536):
            shown += block
    except OSError:  # how a terminal ends on Linux
        pass
    os.close(here)
    return process.wait(), shown.decode().replace("\r\n", "\n")


def test_what_a_terminal_shows_goes_through_the_pager_in_colour():
    status, shown = at_a_terminal("tag", PAGER="sed s/^/paged:/")
    assert (status, shown.count("\n"), shown[:14]) == (0, 1, "paged:\x1b[1;33mp")


@pytest.mark.parametrize("pager", ["", "cat", "no-such-program"])
def test_without_a_pager_it_is_shown_all_the_same(pager):
    status, shown = at_a_terminal("tag", PAGER=pager, NO_COLOR="1")
    assert (status, shown.split()) == (0, ["paper", shown.split()[1], "base", "checkpoint", "at", "step", "40"])


def test_less_is_told_to_go_away_when_all_fits_unless_the_user_told_it_something():
    told = [at_a_terminal("tag", PAGER="sh -c 'cat >/dev/null; echo $LESS'", **own)[1] for own in ({}, {"LESS": "S"})]
    assert told == ["FRX\n", "S\n"]


def test_a_pager_that_is_quit_at_once_is_no_error():
    assert at_a_terminal("log", "--all", PAGER="true") == (0, "")


def test_an_error_in_the_middle_still_comes_after_the_pager_is_done(trained):
    (trained / ".onyx" / "HEAD").write_text("noise")
    status, shown = at_a_terminal("log", PAGER="cat -n")
    assert (status, shown[:6]) == (128, "onyx: ")


def test_words_are_not_paged():
    status, shown = at_a_terminal("gc", PAGER="sed s/^/paged:/", NO_COLOR="1")
    assert (status, shown) == (0, "nothing to free\n")
