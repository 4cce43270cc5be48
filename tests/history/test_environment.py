import subprocess
import sys
import types

import pytest

from onyxstore.canonical import canonical_bytes
from onyxstore.history import environment
from onyxstore.history.config_difference import Change
from onyxstore.history.environment import RECORDED_VARIABLES, capture_environment, environment_difference, find_packages
from onyxstore.history.secrets import is_secret_key

TOKEN = "hf_" + "aB" * 17


def test_an_environment_says_what_numbers_may_depend_on():
    taken = capture_environment(["train.py"], variables={})
    assert set(taken) == {
        *("onyx", "python", "platform", "host", "cpus", "memory", "gpus", "torch", "packages", "argv", "started_in", "variables"),
    }
    assert taken["python"] == {"implementation": "cpython", "release": ".".join(map(str, sys.version_info[:3]))}
    assert taken["cpus"]["all"] >= taken["cpus"]["usable"] >= 1
    assert taken["memory"] > 1 << 20
    assert taken["packages"]["blake3"]
    assert (taken["argv"], taken["started_in"], taken["variables"]) == (["train.py"], None, {})


def test_it_is_a_canonical_value_and_the_same_twice():
    assert canonical_bytes(capture_environment(["a"])) == canonical_bytes(capture_environment(["a"]))


def test_bytes_that_are_no_text_do_not_break_it():
    taken = capture_environment(["\udcff"], variables={"SLURM_JOB_NAME": "\udce9"})
    assert (taken["argv"], taken["variables"]) == (["?"], {"SLURM_JOB_NAME": "?"})
    canonical_bytes(taken)


def test_the_command_line_is_masked_and_bounded():
    assert capture_environment(["t.py", "--api-key", "0123456789ab", f"--x={TOKEN}", "y" * 9999])["argv"] == [
        *("t.py", "--api-key", "<masked>", "--x=<masked>", "y" * 4000),
    ]


def test_variables_are_recorded_by_the_list_alone_and_masked():
    variables = {"CUDA_VISIBLE_DEVICES": "0,1", "WORLD_SIZE": "8", "HF_TOKEN": TOKEN, "PATH": "/bin", "XLA_FLAGS": TOKEN}
    assert capture_environment([], variables=variables)["variables"] == {
        "CUDA_VISIBLE_DEVICES": "0,1",
        "WORLD_SIZE": "8",
        "XLA_FLAGS": "<masked>",
    }
    assert [name for name in RECORDED_VARIABLES if is_secret_key(name)] == []


def test_the_variables_of_the_process_are_those_taken(monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    assert capture_environment([])["variables"]["PYTHONHASHSEED"] == "7"


def test_the_working_directory_is_recorded_below_the_store_alone(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert capture_environment([], tmp_path)["started_in"] == "sub"
    assert capture_environment([], tmp_path / "sub")["started_in"] == "."
    assert capture_environment([], tmp_path / "sub" / "deeper")["started_in"] is None


def test_packages_are_found_by_their_folders_and_the_first_found_counts(tmp_path):
    for name in (
        "one/NumPy-2.4.1.dist-info",
        "one/my_tool.x-1.0+cu128.dist-info",
        "one/numpy",
        "two/numpy-1.0.dist-info",
        "two/old-3.1-py3.11.egg-info",
    ):
        (tmp_path / name).mkdir(parents=True)
    for name in ("two/-1.dist-info", "two/a-.dist-info", "two/a b-1.dist-info"):
        (tmp_path / name).mkdir(parents=True)
    assert find_packages([str(tmp_path / "one"), str(tmp_path / "none"), str(tmp_path / "two"), __file__]) == {
        "my-tool-x": "1.0+cu128",
        "numpy": "2.4.1",
        "old": "3.1",
    }


class FakeCuda:
    def __init__(self, *, initialized):
        self.initialized = initialized

    def is_initialized(self):
        return self.initialized

    def device_count(self):
        assert self.initialized, "counting devices may open a context"
        return 2

    def get_device_name(self, index):
        return f"H100 #{index}"


@pytest.fixture
def driver(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "_NVIDIA", tmp_path)
    for card in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / card).mkdir()
        (tmp_path / card / "information").write_text("Model: \t\t NVIDIA A100-SXM4-80GB\nIRQ:   \t\t 120\n")


def fake_torch(monkeypatch, *, initialized):
    torch = types.SimpleNamespace(__version__="2.9.1+cu128", get_num_threads=lambda: 4, cuda=FakeCuda(initialized=initialized))
    monkeypatch.setitem(sys.modules, "torch", torch)


@pytest.mark.usefixtures("driver")
def test_gpus_that_torch_uses_are_named_by_torch(monkeypatch):
    fake_torch(monkeypatch, initialized=True)
    taken = capture_environment([])
    assert (taken["gpus"], taken["torch"]) == (["H100 #0", "H100 #1"], {"release": "2.9.1+cu128", "threads": 4})


@pytest.mark.usefixtures("driver")
def test_gpus_that_torch_does_not_use_yet_are_named_by_the_driver(monkeypatch):
    fake_torch(monkeypatch, initialized=False)
    assert capture_environment([])["gpus"] == ["NVIDIA A100-SXM4-80GB"] * 2


@pytest.mark.usefixtures("driver")
def test_without_torch_the_driver_is_asked(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    taken = capture_environment([])
    assert (taken["gpus"], taken["torch"]) == (["NVIDIA A100-SXM4-80GB"] * 2, None)


def test_capturing_imports_nothing_heavy():
    code = "import sys; from onyxstore.history.environment import capture_environment as c; c([]); print(*sorted(sys.modules))"
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert loaded & {"torch", "numpy", "importlib.metadata", "platform", "yaml", "pydantic"} == set()


def test_two_environments_differ_by_what_changed():
    old = capture_environment(["a"], variables={"RANK": "0"})
    new = {**old, "packages": {**old["packages"], "torch": "2.9.1"}, "variables": {}, "memory": 1}
    removed = old["packages"].get("torch")
    assert environment_difference(old, new) == (
        Change(("memory",), "changed", old["memory"], 1),
        Change(("packages", "torch"), "changed", removed, "2.9.1") if removed else Change(("packages", "torch"), "added", new="2.9.1"),
        Change(("variables", "RANK"), "removed", old="0"),
    )
    assert environment_difference(old, old) == ()
