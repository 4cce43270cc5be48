import pytest
from hypothesis import given

from onyxstore.configs.document import decode_document
from onyxstore.configs.overlay import Layer, Origin, decode_overrides, file_layer
from onyxstore.configs.problems import InvalidConfig, Problem
from onyxstore.configs.resolved import resolve, resolve_project
from onyxstore.configs.types import ConfigType, TrainingConfig
from tests.configs.strategies import every_config, type_of


def layers(base, overlay="", *overrides, environment=None, config_type=ConfigType.TRAINING):
    files = [("file", "base.yaml", base), ("overlay", "prod.yaml", overlay)]
    above = decode_overrides(overrides)[0][config_type]
    return [*(file_layer(decode_document(text.encode(), name), kind, config_type, environment or {}) for kind, name, text in files), *above]


def test_a_config_is_what_its_layers_make_of_it():
    found = resolve(
        layers(
            "epochs: 1\nbatch_size: 1\noptimizer_params: {a: 1}\n", "batch_size: 2\noptimizer_params: {b: 2}\n", "training.batch_size=3"
        ),
        ConfigType.TRAINING,
    )
    assert found.problems == ()
    assert found.config == TrainingConfig(epochs=1, batch_size=3, optimizer_params={"a": 1, "b": 2})


def test_every_value_has_its_origin_and_defaults_have_theirs():
    text = "batch_size: 1\nlearning_rate: 1\noptimizer_params:\n  a: 1\n  b: [1]\n"
    found = resolve(layers(text, "optimizer_params: {b: [2]}\n", "training.epochs=3"), ConfigType.TRAINING)
    entries = {entry.key: (entry.value, entry.origin) for entry in found.entries()}
    assert entries["batch_size"] == (1, Origin("file", "base.yaml", 1, 13))
    assert entries["learning_rate"] == (1.0, Origin("file", "base.yaml", 2, 16))
    assert entries["optimizer_params.a"] == (1, Origin("file", "base.yaml", 4, 6))
    assert entries["optimizer_params.b"] == ([2], Origin("overlay", "prod.yaml", 1, 20))
    assert entries["epochs"] == (3, Origin("override", "training.epochs=3"))
    assert entries["loss_params"] == ({}, Origin("default"))
    assert type(entries["learning_rate"][0]) is float
    assert [key for key in entries if "." not in key] == [name for name in ConfigType.TRAINING.fields if name != "optimizer_params"]


def test_what_is_wrong_is_said_with_the_place_of_the_layer_that_says_it():
    base = "epochs: 0\nbatch_size: 0\nlearnin_rate: 1\n"
    found = resolve(layers(base, "batch_size: -1\nfoo: {}\n", "training.save_frequency=0", "training.save_freq=1"), ConfigType.TRAINING)
    assert [str(problem) for problem in found.problems] == [
        "base.yaml:1:9: epochs: expected a whole number of at least 1, got 0",
        "base.yaml:3:15: learnin_rate: no such key; did you mean learning_rate?",
        "prod.yaml:1:13: batch_size: expected a whole number of at least 1, got -1",
        "prod.yaml:2:1: foo: no such key",
        "training.save_frequency=0: save_frequency: expected a whole number of at least 1, got 0",
        "training.save_freq=1: save_freq: no such key; did you mean save_frequency?",
    ]
    with pytest.raises(InvalidConfig) as caught:
        _ = found.config
    assert caught.value.problems == found.problems
    assert ("foo", {}) in [(entry.key, entry.value) for entry in found.entries()]


def test_an_overlay_mends_what_is_wrong_below():
    assert resolve(layers("epochs: 0\n", "epochs: 1\n"), ConfigType.TRAINING).config == TrainingConfig(epochs=1)


def test_a_variable_that_is_not_set_is_the_only_problem_of_its_key():
    found = resolve(layers("batch_size: ${NO_SUCH}\nepochs: 0\n"), ConfigType.TRAINING)
    assert [problem.key for problem in found.problems] == ["batch_size", "epochs"]
    assert [problem.key for problem in found.unset] == ["batch_size"]


def test_a_clash_is_placed_where_one_of_the_two_is_said():
    def problems(training, optimization):
        resolved = {str(each): resolve([], each) for each in ConfigType}
        resolved["training"] = resolve(layers(training), ConfigType.TRAINING)
        resolved["optimization"] = resolve(layers(optimization, config_type=ConfigType.OPTIMIZATION), ConfigType.OPTIMIZATION)
        return [(each.line, each.why.partition(",")[0]) for each in resolve_project(resolved).problems]

    assert problems("", "") == []
    assert problems("\ngradient_accumulation_steps: 8\n", "") == [(2, "training.gradient_accumulation_steps is 8")]
    assert problems("", "\n\nmax_grad_norm: 2\n") == [(3, "training.gradient_clipping is 1.0")]
    assert problems("gradient_clipping: 2\n", "max_grad_norm: 2\n") == []
    assert problems("gradient_clipping: -2\n", "max_grad_norm: 2\n") == [(1, "expected a number above 0")]


def test_a_project_has_all_problems_of_its_configs_and_of_the_way_to_them():
    resolved = {str(each): resolve([Layer("file", f"{each}.yaml", {"foo": 1})], each) for each in ConfigType}
    whole = resolve_project(resolved, [Problem((), "first")])
    assert [str(each) for each in whole.problems] == ["first", *(f"{each}.yaml: foo: no such key" for each in ConfigType)]
    with pytest.raises(InvalidConfig, match="7 problems"):
        _ = whole.configs


@given(every_config)
def test_a_config_resolves_to_itself(config):
    found = resolve([Layer("file", "f", dict(vars(config)))], type_of(config))
    assert (found.problems, found.config) == ((), config)
