import re

import pytest
from hypothesis import given

from onyxstore.configs.check import build_config, check_values
from onyxstore.configs.defaults import commented, default_file
from onyxstore.configs.document import decode_document
from onyxstore.configs.types import ConfigType
from tests.configs.strategies import every_config, type_of


@pytest.mark.parametrize("config_type", ConfigType)
def test_a_default_file_can_be_used_and_says_every_key_under_a_comment(config_type):
    text = default_file("ads", config_type).decode()
    assert list(decode_document(text.encode(), "f").values) == list(config_type.fields)
    assert check_values(decode_document(text.encode(), "f").values, config_type) == ()
    for name, known in config_type.fields.items():
        assert re.search(rf"^# {re.escape(known.meaning)} .*\n{name}:", text, re.MULTILINE)
    assert text.startswith(f"# The {config_type} config of ads. ")
    assert max(map(len, text.splitlines())) <= 180


@pytest.mark.parametrize("config_type", ConfigType)
def test_a_default_file_says_the_defaults_but_for_names_and_what_belongs_to_one_choice(config_type):
    values = decode_document(default_file("ads", config_type), "f").values
    default = vars(config_type.config_class())
    assert {key: value for key, value in values.items() if value != default[key]} == {
        "model": {"name": "ads_model", "custom_parameters": {"attention_heads": 12, "hidden_dropout": 0.1}},
        "training": {
            "optimizer_params": {"weight_decay": 0.01, "betas": [0.9, 0.999]},
            "scheduler_params": {"warmup_steps": 1000, "max_steps": 10000},
            "loss_params": {"label_smoothing": 0.1},
        },
        "data": {
            "persistent_workers": True,
            "prefetch_factor": 2,
            "augmentation_params": {"rotation": 10, "horizontal_flip": True, "color_jitter": 0.1, "random_crop": [224, 224]},
        },
        "experiment": {"experiment_name": "ads_v1", "project_name": "ads"},
        "optimization": {},
        "deployment": {"quantization_params": {"dtype": "int8", "calibration_data": "./calibration_data"}},
    }[config_type]


def test_where_the_value_is_not_the_default_the_comment_says_the_default():
    text = default_file("ads", ConfigType.MODEL).decode()
    assert "# What the model is called. Text. Default: model.\nname: ads_model\n" in text
    assert "# Features of an input. A whole number of at least 1.\ninput_size: 768\n" in text


@pytest.mark.parametrize("project", ["no", "1e3", "a: b", "#1", "é ß", "'q'"])
def test_a_project_of_any_name_has_files_that_can_be_read(project):
    for config_type in ConfigType:
        assert check_values(decode_document(default_file(project, config_type), "f").values, config_type) == ()


@given(every_config)
def test_a_commented_file_says_exactly_the_values(config):
    values = decode_document(commented("Mine.", vars(config), type_of(config)), "f").values
    assert (values, build_config(values, type_of(config))) == (vars(config), config)
