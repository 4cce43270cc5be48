import json
import os
import shlex
import signal
import subprocess
import sys

import click
import pytest

from onyxstore.cli.app import VERBS, onyx
from onyxstore.cli.commands import checkout
from onyxstore.store.checkout import PARTS

PROGRAM = "import sys; from onyxstore.cli.app import main; main()"


def command(verb: str) -> click.Command:
    found = onyx.get_command(click.Context(onyx), verb)
    assert found is not None
    return found


def commands() -> dict[str, click.Command]:
    """Every command that does something, by its words: the verbs, and in place of a verb of verbs those."""
    found = {verb: command(verb) for verb in VERBS}
    groups = {verb: group for verb, group in found.items() if isinstance(group, click.Group)}
    inner = {f"{verb} {name}": each for verb, group in groups.items() for name, each in group.commands.items()}
    return {words: each for words, each in (found | inner).items() if words not in groups}


def loaded_by(code: str) -> set[str]:
    report = "import json, sys; json.dump(sorted(sys.modules), sys.stderr)"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


def running(*arguments: str) -> str:
    return f"from onyxstore.cli.app import run; run({list(arguments)})"


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], []], ids=" ".join)
def test_the_command_starts_with_click_and_three_modules_of_its_own(arguments):
    own = {name for name in loaded_by(running(*arguments)) - loaded_by("import click") if name.startswith("onyxstore")}
    assert own == {"onyxstore", "onyxstore.cli", "onyxstore.cli.app", "onyxstore.cli.failures", "onyxstore.cli.screen"}


@pytest.mark.usefixtures("trained")
def test_a_verb_loads_no_framework_and_nothing_of_the_guides():
    heavy = {"torch", "pandas", "pydantic", "ruamel", "safetensors", "rich", "requests"}
    for verb in (["log"], ["runs"], ["show", "base"], ["diff", "base", "tuned"], ["status"], ["tag"], ["fsck"]):
        assert loaded_by(running(*verb)) & heavy == set(), verb


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_summed_up_in_the_first_line_of_its_help(verb):
    summary, _, rest = (command(verb).help or "").partition("\n\n")
    assert summary == VERBS[verb]
    assert summary.endswith(".")
    assert rest


@pytest.mark.parametrize("verb", commands())
def test_every_verb_has_examples_that_its_own_options_allow(verb):
    shown = commands()[verb]
    assert shown.examples
    for line, what in shown.examples:
        words = shlex.split(line)
        assert words[: 1 + len(verb.split())] == ["onyx", *verb.split()]
        assert what
        known = {option for parameter in shown.params for option in parameter.opts + parameter.secondary_opts}
        assert {word.partition("=")[0] for word in words if word.startswith("-")} - known == set()


@pytest.mark.parametrize("verb", commands())
def test_every_option_says_what_it_does(verb):
    options = [each for each in commands()[verb].params if isinstance(each, click.Option)]
    assert [each.name for each in options if not each.help] == []


def test_every_verb_that_prints_data_prints_json_too():
    assert [verb for verb, each in commands().items() if not any("--json" in option.opts for option in each.params)] == []


def test_what_a_checkout_can_be_asked_for_is_what_the_library_takes():
    assert tuple(checkout.PARTS) == PARTS


def test_a_store_is_named_outright_or_found(onyx, trained, tmp_path, monkeypatch):
    answers = [onyx("tag").out]
    monkeypatch.chdir(tmp_path)
    answers += [onyx("-C", "trained", "tag").out, onyx("--store", "trained/.onyx", "tag").out]
    (trained / ".onyx").rename(tmp_path / "moved")
    answers.append(onyx("--store", "moved", "tag").out)
    monkeypatch.setenv("ONYX_STORE", str(tmp_path / "moved"))
    answers.append(onyx("tag").out)
    assert answers == [answers[0]] * 5
    assert "paper" in answers[0]


def test_files_are_meant_from_the_folder_that_is_named_and_the_caller_stays_where_it_is(onyx, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert onyx("-C", "trained", "checkout", "base", "--only", "configs", "--to", "out").status == 0
    assert (trained / "out" / "train.yaml").exists()
    assert os.getcwd() == str(tmp_path)  # noqa: PTH109


@pytest.mark.usefixtures("trained")
def test_ctrl_c_ends_it_with_130_and_a_line():
    # What starts the tests may have told them to ignore it, which a child inherits.
    hear = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    wait = "import time; from onyxstore.store.store import Store; Store.fsck = lambda self: (print('ready', flush=True), time.sleep(60))"
    code = f"{hear}\n{wait}\n{PROGRAM}"
    process = subprocess.Popen([sys.executable, "-c", code, "fsck"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "\nonyx: interrupted\n")


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("arguments", [["log"], ["log", "--json"], ["--help"], ["show", "base"]], ids=" ".join)
def test_a_reader_that_closes_the_pipe_ends_it_quietly(arguments):
    here, there = os.pipe()
    os.close(here)
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], stdout=there, stderr=subprocess.PIPE, text=True, check=False)
    os.close(there)
    assert (done.returncode, done.stderr) == (141, "")
