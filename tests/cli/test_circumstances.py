from onyxstore.cli.circumstances import code_words, cost_words, environment_words


def test_code_is_a_commit_and_how_much_differs_from_it():
    code = {"onyx": "code", "commit": "abc", "head": "main", "remote": None, "diff": "+a\n-b\n", "files": {"new.py": "x"}, "notes": ["cut"]}
    assert list(code_words(code)) == [
        ("commit", "abc"),
        ("head", "main"),
        ("changes", "2 lines of diff"),
        ("untracked", "new.py"),
        ("note", "cut"),
    ]


def test_without_code_there_are_no_words():
    assert list(code_words({})) == []


def test_the_environment_is_a_line_for_each_thing_that_is_known():
    environment = {
        "onyx": "environment",
        "python": {"implementation": "cpython", "release": "3.12.0"},
        "platform": {"system": "Linux", "release": "6.1", "machine": "x86_64"},
        "cpus": {"all": 8, "usable": 4},
        "memory": 34_000_000_000,
        "gpus": ["H100", "H100"],
        "torch": None,
        "packages": {"numpy": "2.0.0"},
        "argv": [],
        "variables": {"RANK": "0", "WORLD_SIZE": "2"},
    }
    assert dict(environment_words(environment)) == {
        "python": "cpython 3.12.0",
        "platform": "Linux 6.1 x86_64",
        "cpus": "8, 4 of them usable",
        "memory": "34.0 GB",
        "gpus": "H100 H100",
        "packages": "1",
        "variables": "RANK=0 WORLD_SIZE=2",
    }


def test_an_environment_of_another_release_is_shown_as_it_is():
    environment = {"python": "3.12", "cpus": {"all": 8}, "memory": "a lot", "packages": ["numpy"], "new": 1.5}
    assert [words for _, words in environment_words(environment)] == ["3.12", "8, ? of them usable", "a lot", "numpy", "1.5"]


def test_costs_come_in_one_order_with_their_units_and_unknown_ones_last():
    cost = {"later": 2.0, "save_seconds": 1.25, "raw_bytes": 1200, "log_calls": 3, "wait_seconds": 0.01}
    assert list(cost_words(cost)) == [
        ("calls of log", "3"),
        ("saving in the background", "1.2 s"),
        ("last checkpoint, raw", "1.2 kB"),
        ("later", "2"),
        ("wait_seconds", "10 ms"),
    ]
