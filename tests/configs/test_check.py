from dataclasses import asdict

import pytest

from onyxstore.configs.check import build_config, check_values, find_clashes, find_problems
from onyxstore.configs.types import ConfigType, DataConfig, ModelConfig, OptimizationConfig, TrainingConfig
from onyxstore.yaml12 import read_yaml
from tests.configs.examples import CLASHING, GUIDE, REFUSED, TAKEN


def said(config_type, text):
    return [str(problem) for problem in check_values(read_yaml(text.encode(), "").value, ConfigType(config_type))]


@pytest.mark.parametrize("config_type", ConfigType)
def test_the_guides_values_are_taken_and_mean_what_they_say(config_type):
    values = read_yaml(GUIDE[config_type].encode(), "").value
    assert check_values(values, config_type) == ()
    config = asdict(build_config(values, config_type))
    assert {name: config[name] for name in values} == values


@pytest.mark.parametrize(("config_type", "text"), [each for each in TAKEN if "${" not in each[1]])
def test_what_a_field_takes_is_no_problem(config_type, text):
    assert said(config_type, text) == []


@pytest.mark.parametrize(("config_type", "text", "words"), [*REFUSED, *CLASHING])
def test_what_a_field_refuses_is_one_problem_that_says_what_was_expected(config_type, text, words):
    problems = said(config_type, text)
    assert len(problems) == 1
    assert words is None or problems == [words]


def test_all_problems_are_said_at_once():
    text = "learnin_rate: 1\nbatch_size: 32.7\nepochs: true\nsave_frequency: 0\nscheduler_params: {warmup_steps: 2, max_steps: 1}\n"
    assert [line.partition(":")[0] for line in said("training", text)] == [
        *("learnin_rate", "batch_size", "epochs", "save_frequency", "scheduler_params.warmup_steps"),
    ]


def test_a_field_that_is_wrong_by_itself_is_not_compared_with_others():
    assert said("data", "num_workers: none\nprefetch_factor: 2\n") == ['num_workers: expected a whole number of at least 0, got "none"']
    assert len(said("training", "validation_split: 2\ntest_split: 0.9\n")) == 1


@pytest.mark.parametrize(
    "params", [{}, {"warmup_steps": 5}, {"max_steps": 5}, {"warmup_steps": "a", "max_steps": 1}, {"warmup_steps": 1, "max_steps": 1}]
)
def test_a_warmup_without_an_end_or_within_it_is_fine(params):
    assert check_values({"scheduler_params": params}, ConfigType.TRAINING) == ()


def test_a_config_of_another_class_is_no_config_of_a_type():
    assert [str(each) for each in find_problems(ModelConfig(), ConfigType.DATA)] == ["expected a DataConfig, got a ModelConfig"]
    assert [str(each) for each in find_problems({}, ConfigType.DATA)] == ["expected a DataConfig, got a dict"]


def test_a_config_that_was_changed_is_checked_as_it_is():
    config = DataConfig()
    config.num_workers = -1
    config.max_samples = "all"
    assert [each.key for each in find_problems(config, ConfigType.DATA)] == ["num_workers", "max_samples"]


def test_numbers_become_floats_where_any_number_may_stand():
    config = build_config({"learning_rate": 1}, ConfigType.TRAINING)
    assert (config, type(config.learning_rate)) == (TrainingConfig(learning_rate=1.0), float)


def test_configs_that_say_the_same_do_not_clash():
    assert find_clashes(TrainingConfig(), OptimizationConfig()) == ()
    assert find_clashes(TrainingConfig(gradient_clipping=None), OptimizationConfig(max_grad_norm=None)) == ()


def test_configs_that_say_different_things_of_one_setting_clash():
    training = TrainingConfig(mixed_precision=False, gradient_accumulation_steps=8, gradient_clipping=None)
    assert [each.why for each in find_clashes(training, OptimizationConfig())] == [
        "training.mixed_precision is false, but optimization.enable_mixed_precision is true; let both say the same",
        "training.gradient_accumulation_steps is 8, but optimization.gradient_accumulation_steps is 4; let both say the same",
        "training.gradient_clipping is null, but optimization.max_grad_norm is 1.0; let both say the same",
    ]
