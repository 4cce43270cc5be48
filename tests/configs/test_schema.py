"""The schema as a validator of JSON Schema understands it, held against the check."""

import json

import jsonschema
import pytest
from hypothesis import given

from onyxstore.configs.defaults import default_file
from onyxstore.configs.schema import DIALECT, json_schema
from onyxstore.configs.types import ConfigType
from onyxstore.yaml12 import read_yaml
from tests.configs.examples import CLASHING, GUIDE, REFUSED, TAKEN
from tests.configs.strategies import every_config, type_of

VALIDATORS = {each: jsonschema.Draft202012Validator(json_schema(each)) for each in ConfigType}


def is_valid(config_type, text):
    value = read_yaml(text.encode() if isinstance(text, str) else text, "").value
    return VALIDATORS[ConfigType(config_type)].is_valid(value)


@pytest.mark.parametrize("config_type", ConfigType)
def test_a_schema_is_one_of_its_dialect_and_plain_json(config_type):
    schema = json_schema(config_type)
    assert schema["$schema"] == DIALECT == jsonschema.Draft202012Validator.META_SCHEMA["$id"]
    jsonschema.Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema, allow_nan=False)) == schema


@pytest.mark.parametrize("config_type", ConfigType)
def test_it_takes_the_guides_values_and_the_default_files(config_type):
    assert is_valid(config_type, GUIDE[config_type])
    assert is_valid(config_type, default_file("ads", config_type))


@pytest.mark.parametrize(("config_type", "text"), TAKEN)
def test_it_takes_what_the_check_takes(config_type, text):
    assert is_valid(config_type, text)


@pytest.mark.parametrize(("config_type", "text"), [each[:2] for each in REFUSED])
def test_it_refuses_what_the_check_refuses(config_type, text):
    assert not is_valid(config_type, text)


@pytest.mark.parametrize(("config_type", "text"), [each[:2] for each in CLASHING])
def test_what_fields_are_with_one_another_only_the_check_knows(config_type, text):
    assert is_valid(config_type, text)


@given(every_config)
def test_it_takes_every_config_that_can_be_used(config):
    assert VALIDATORS[type_of(config)].is_valid(vars(config))


@pytest.mark.parametrize("config_type", ConfigType)
def test_every_key_has_its_description_and_a_default_that_is_valid(config_type):
    schema = json_schema(config_type)
    assert list(schema["properties"]) == list(config_type.fields)
    for name, known in config_type.fields.items():
        assert (schema["properties"][name]["description"], schema["properties"][name]["default"]) == (known.meaning, known.default)
        assert VALIDATORS[config_type].is_valid({name: known.default})


def test_ranges_and_examples_stand_in_it():
    properties = json_schema(ConfigType.TRAINING)["properties"]
    assert properties["test_split"]["anyOf"][0] == {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
    assert properties["optimizer"] == {
        "description": "The optimizer.",
        "default": "adamw",
        "type": "string",
        "minLength": 1,
        "examples": ["adamw", "adam", "sgd", "rmsprop"],
    }


@pytest.mark.parametrize(
    ("text", "taken"), [("${BATCH}", True), ("${BATCH:-32}", True), ("$BATCH", False), ("a${BATCH}", False), ("${}", False)]
)
def test_a_variable_may_stand_where_no_text_may(text, taken):
    assert VALIDATORS[ConfigType.TRAINING].is_valid({"batch_size": text}) is taken
    assert VALIDATORS[ConfigType.TRAINING].is_valid({"mixed_precision": text}) is taken
    assert VALIDATORS[ConfigType.MODEL].is_valid({"hidden_sizes": [text]}) is taken
