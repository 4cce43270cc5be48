"""The six configs: the guide's fields and defaults, and what each field says of itself."""

import ast
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path

import pytest

from onyxstore.configs.check import find_problems
from onyxstore.configs.fields import RECORDED_ONLY, fields_of
from onyxstore.configs.types import ConfigType, ExperimentConfig, ModelConfig, ProjectConfigs, TrainingConfig
from onyxstore.yaml12 import read_yaml
from tests.configs.examples import GUIDE

PACKAGE = Path(__file__).parents[2] / "onyxstore"

EMPTY_BY_DEFAULT = {
    *("custom_parameters", "optimizer_params", "scheduler_params", "loss_params", "augmentation_params", "tracking_params"),
    *("quantization_params", "tags", "experiment_id", "pretrained_path", "prefetch_factor"),
}
OTHERWISE_BY_DEFAULT = {
    "name": "model",
    "pretrained": False,
    "persistent_workers": False,
    "experiment_name": "experiment",
    "project_name": "project",
    "tracking_backend": "local",
}
ADDED = {"log_gradients", "best_metric", "best_mode", "save_best_only"}

EVERY_FIELD = [(config_type, name) for config_type in ConfigType for name in config_type.fields]


def test_a_type_is_found_by_its_name_and_is_the_word_in_its_files_names():
    assert ConfigType["MODEL"] is ConfigType.MODEL
    assert [each.value for each in ConfigType] == ["model", "training", "data", "experiment", "optimization", "deployment"]
    assert f"{ConfigType.MODEL}" == "model"
    assert list(ProjectConfigs.__annotations__) == list(ConfigType)


@pytest.mark.parametrize("config_type", ConfigType)
def test_a_config_has_the_guides_fields_in_the_guides_order(config_type):
    guides = list(read_yaml(GUIDE[config_type].encode(), "").value)
    assert [name for name in config_type.fields if name not in ADDED or name in guides] == guides


@pytest.mark.parametrize("config_type", ConfigType)
def test_a_default_is_the_guides_value_unless_it_suits_one_project_only(config_type):
    default = asdict(config_type.config_class())
    for name, value in read_yaml(GUIDE[config_type].encode(), "").value.items():
        if name in EMPTY_BY_DEFAULT:
            assert not default[name]
        else:
            assert default[name] == OTHERWISE_BY_DEFAULT.get(name, value)


@pytest.mark.parametrize("config_type", ConfigType)
def test_defaults_can_be_used(config_type):
    assert find_problems(config_type.config_class(), config_type) == ()


def test_a_config_is_made_by_saying_what_differs():
    config = ExperimentConfig(experiment_name="ad_classification_v1", project_name="ad_classification", log_metrics=["loss"])
    assert (config.experiment_name, config.log_metrics, config.max_checkpoints) == ("ad_classification_v1", ["loss"], 5)
    assert (config.best_metric, config.best_mode, config.save_best_only) == (None, "min", False)
    assert TrainingConfig().log_gradients is False


def test_a_config_can_be_changed_without_changing_another():
    one, other = ModelConfig(), ModelConfig()
    one.hidden_sizes.append(1)
    one.custom_parameters["a"] = 1
    one.name = "mine"
    assert other == ModelConfig()
    assert one == ModelConfig(name="mine", hidden_sizes=[512, 256, 1], custom_parameters={"a": 1})


@pytest.mark.parametrize("config_type", ConfigType)
def test_every_field_says_what_it_is_and_its_default_is_that_of_the_class(config_type):
    assert is_dataclass(config_type.config_class)
    assert [each.name for each in fields(config_type.config_class)] == list(config_type.fields)
    assert asdict(config_type.config_class()) == {name: known.default for name, known in config_type.fields.items()}
    for known in config_type.fields.values():
        assert known.meaning.endswith(".")
        assert len(known.meaning) >= 8


def test_a_field_without_a_word_about_itself_is_no_field_of_a_config():
    @dataclass
    class Silent:
        speed: int = 1

    with pytest.raises(KeyError, match="says"):
        fields_of(Silent)


def defined_in(package):
    """The functions and classes that a package defines."""
    trees = [ast.parse(path.read_text()) for path in package.rglob("*.py")]
    return {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def read_of_configs(package):
    """What a package reads of configs: pairs of what the config is called there, and the field's name."""
    trees = [ast.parse(path.read_text()) for path in package.rglob("*.py")]
    found = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    pairs = {(ast.unparse(node.value).rpartition(".")[2].strip("_"), node.attr) for node in found}
    return {(owner, name) for owner, name in pairs if owner.endswith("config")}


def test_every_field_acts_in_something_that_there_is_or_is_recorded_only():
    known = defined_in(PACKAGE) | {RECORDED_ONLY}
    assert {config_type.fields[name].acts_in for config_type, name in EVERY_FIELD} - known == set()


@pytest.mark.parametrize(("called", "config_type"), [("config", "experiment"), ("training_config", "training")])
def test_the_fields_that_act_are_those_that_the_tracker_reads(called, config_type):
    fields = ConfigType(config_type).fields
    read = {name for owner, name in read_of_configs(PACKAGE / "tracking") if owner == called and name in fields}
    assert {name for name, known in fields.items() if known.acts_in != RECORDED_ONLY} == read


def test_nothing_else_acts_yet():
    others = [each for each in ConfigType if each not in {"experiment", "training"}]
    assert [name for each in others for name, known in each.fields.items() if known.acts_in != RECORDED_ONLY] == []
