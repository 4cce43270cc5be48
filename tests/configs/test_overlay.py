import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.configs.document import decode_document
from onyxstore.configs.overlay import Layer, Origin, decode_overrides, file_layer, merged
from onyxstore.configs.types import ConfigType


def layer(values):
    return Layer("file", "f", values)


@pytest.mark.parametrize(
    ("below", "above", "together"),
    [
        ({"a": 1, "b": 2}, {"b": 3, "c": 4}, {"a": 1, "b": 3, "c": 4}),
        ({"p": {"a": 1, "q": {"x": 1}}}, {"p": {"b": 2, "q": {"y": 2}}}, {"p": {"a": 1, "q": {"x": 1, "y": 2}, "b": 2}}),
        ({"l": [1, 2, 3]}, {"l": [4]}, {"l": [4]}),
        ({"p": {"a": 1}}, {"p": {}}, {"p": {"a": 1}}),
        ({"p": {"a": 1}}, {"p": None}, {"p": None}),
        ({"p": 1}, {"p": {"a": 1}}, {"p": {"a": 1}}),
        ({}, {}, {}),
    ],
)
def test_the_layer_above_wins_key_by_key(below, above, together):
    assert merged([layer(below), layer(above)]) == together


trees = st.recursive(st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=6)
mappings = st.dictionaries(st.sampled_from("abc"), trees, max_size=3)


@given(mappings, mappings)
def test_merging_twice_changes_no_more_and_leaves_the_layers_as_they_were(below, above):
    layers = [layer(below), layer(above)]
    before = repr(layers)
    together = merged(layers)
    assert merged([layer(together), layer(above)]) == together
    assert merged([layer({}), *layers]) == together
    assert repr(layers) == before


@pytest.mark.parametrize(
    ("text", "config_type", "values"),
    [
        ("training.learning_rate=1e-4", "training", {"learning_rate": 1e-4}),
        ("training.epochs = 3", "training", {"epochs": 3}),
        ("training.optimizer_params.betas=[0.9, 0.95]", "training", {"optimizer_params": {"betas": [0.9, 0.95]}}),
        ("training.optimizer_params={a: 1}", "training", {"optimizer_params": {"a": 1}}),
        ("training.scheduler=null", "training", {"scheduler": None}),
        ("training.scheduler=", "training", {"scheduler": None}),
        ("training.optimizer=null", "training", {"optimizer": None}),
        ("training.mixed_precision=false", "training", {"mixed_precision": False}),
        ("experiment.experiment_id=12345", "experiment", {"experiment_id": "12345"}),
        ("experiment.experiment_name='a=b'", "experiment", {"experiment_name": "a=b"}),
        ("experiment.project_name=a=b", "experiment", {"project_name": "a=b"}),
        ("model.nosuch=1", "model", {"nosuch": 1}),
    ],
)
def test_an_override_is_a_value_as_yaml_reads_it(text, config_type, values):
    layers, problems = decode_overrides([text])
    assert problems == ()
    assert {each: [one.values for one in found] for each, found in layers.items() if found} == {config_type: [values]}
    assert layers[ConfigType(config_type)][0].origin(tuple(values)) == Origin("override", text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("training.epochs", "training.epochs: expected TYPE.KEY=VALUE, as training.learning_rate=1e-4"),
        ("epochs=3", "epochs=3: expected TYPE.KEY=VALUE, as training.learning_rate=1e-4"),
        ("training.=3", "training.=3: expected TYPE.KEY=VALUE, as training.learning_rate=1e-4"),
        ("", "expected TYPE.KEY=VALUE, as training.learning_rate=1e-4"),
        ("trainin.epochs=3", "trainin.epochs=3: trainin: no such type of config; did you mean training?"),
        ("foo.epochs=3", "foo.epochs=3: foo: no such type of config"),
    ],
)
def test_what_is_no_override_is_a_problem(text, words):
    layers, problems = decode_overrides([text])
    assert ([str(each) for each in problems], [each for found in layers.values() for each in found]) == ([words], [])


def test_a_value_that_is_no_yaml_is_a_problem_of_its_key():
    layers, problems = decode_overrides(["training.epochs=[1"])
    (found,) = layers[ConfigType.TRAINING]
    assert (problems, found.values) == ((), {})
    assert str(found.problems[0]).startswith("training.epochs=[1: epochs: ")


def test_all_overrides_are_read_and_later_ones_win():
    layers, _ = decode_overrides(["training.epochs=1", "data.shuffle=false", "training.epochs=2"])
    assert merged(layers[ConfigType.TRAINING]) == {"epochs": 2}
    assert merged(layers[ConfigType.DATA]) == {"shuffle": False}


def test_a_layer_knows_where_it_says_what_and_with_which_variables():
    document = decode_document(b"epochs: ${N}\noptimizer_params:\n  a: ${M:-1}\n  b: ${N}${N}\n", "f.yaml")
    found = file_layer(document, "overlay", ConfigType.TRAINING, {"N": "3"})
    assert found.values == {"epochs": 3, "optimizer_params": {"a": 1, "b": "33"}}
    assert found.origin(("epochs",)) == Origin("overlay", "f.yaml", 1, 9, ("N",))
    assert found.origin(("optimizer_params",)) == Origin("overlay", "f.yaml", 2, 1, ("M", "N"))
    assert [found.has(path) for path in [("epochs",), ("optimizer_params", "a"), ("scheduler",), ("epochs", "a")]] == [
        True,
        True,
        False,
        False,
    ]
