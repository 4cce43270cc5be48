"""What an import loads: a script that only logs should not wait for torch, nor `onyx --version` for numpy."""

import json
import subprocess
import sys

REPORT = "import json, sys; json.dump(sorted({name.partition('.')[0] for name in sys.modules}), sys.stderr)"


def loaded_by(code: str) -> set[str]:
    """The top-level packages that are not Python's and that `code` loads, above what the interpreter starts with."""
    return packages(code) - packages("pass") - set(sys.stdlib_module_names)


def packages(code: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", f"{code}\n{REPORT}"], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr))


def test_importing_the_package_loads_nothing_else():
    assert loaded_by("import onyxstore") == {"onyxstore"}


def test_asking_the_command_for_its_version_loads_click_alone():
    ask = "import sys; sys.argv = ['onyx', '--version']\nfrom onyxstore.cli.app import main\ntry:\n    main()\nexcept SystemExit:\n    pass"
    assert loaded_by(ask) == {"click", "onyxstore"}


def test_opening_a_store_loads_no_framework(tmp_path):
    heavy = {"torch", "pandas", "pydantic", "ruamel", "jax", "tensorflow"}
    assert loaded_by(f"import onyxstore; onyxstore.Store.init({str(tmp_path)!r}).runs()") & heavy == set()


def test_what_a_module_loads_is_seen():
    assert "click" in loaded_by("import click")
