"""The manager as a project uses it: in a folder, with files, as the guide does."""

import json
import logging
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from onyxstore.configs.manager import ConfigManager
from onyxstore.configs.problems import InvalidConfig, MissingConfigs
from onyxstore.configs.types import ConfigType, DataConfig, ExperimentConfig, ModelConfig, TrainingConfig
from onyxstore.errors import BadInput, BadName, DiskError
from tests.configs.examples import GUIDE
from tests.configs.strategies import every_config, type_of


@pytest.fixture
def manager(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return ConfigManager("./configs")


@pytest.fixture
def project(manager):
    """A manager of a project that has its files."""
    manager.create_default_configs("ads")
    return manager


def write(manager, name, text):
    path = manager.config_dir / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


class TestCreating:
    def test_six_files_are_written_and_named(self, manager):
        files = manager.create_default_configs("ad_classification")
        assert files == {each: Path("configs") / f"ad_classification_{each}_config.yaml" for each in ConfigType}
        assert all(path.is_file() for path in files.values())
        assert sorted(manager.config_dir.iterdir()) == sorted(files.values())

    def test_what_is_there_is_left_and_said(self, project, caplog):
        path = project.path_of("ads", ConfigType.DATA)
        path.write_text("shuffle: false  # mine\n")
        project.path_of("ads", ConfigType.MODEL).unlink()
        with caplog.at_level(logging.WARNING, "onyxstore"):
            files = project.create_default_configs("ads")
        assert (path.read_text(), len(files)) == ("shuffle: false  # mine\n", 6)
        assert project.path_of("ads", ConfigType.MODEL).exists()
        assert f"{path} exists already; it is left as it is" in caplog.messages
        assert len(caplog.messages) == 5

    @pytest.mark.parametrize("project", ["../x", "", "/x"])
    def test_a_project_cannot_lie_outside(self, manager, project):
        with pytest.raises(BadName):
            manager.create_default_configs(project)
        assert not manager.config_dir.exists()


class TestLoading:
    def test_default_files_are_loaded_as_what_they_say(self, project):
        configs = project.load_all_configs("ads")
        assert list(configs) == list(ConfigType)
        assert [type(config) for config in configs.values()] == [each.config_class for each in ConfigType]
        assert configs["model"] == ModelConfig(name="ads_model", custom_parameters={"attention_heads": 12, "hidden_dropout": 0.1})
        assert configs["experiment"] == ExperimentConfig(experiment_name="ads_v1", project_name="ads")
        assert configs["training"].optimizer_params == {"weight_decay": 0.01, "betas": [0.9, 0.999]}

    def test_the_guides_files_load_clean_and_mean_what_they_say(self, manager, caplog):
        for config_type, text in GUIDE.items():
            write(manager, f"ad_classification_{config_type}_config.yaml", text)
        configs = manager.load_all_configs("ad_classification")
        assert configs["training"].learning_rate == 2e-5
        assert (configs["training"].early_stopping_min_delta, configs["data"].max_samples) == (1e-4, None)
        assert configs["experiment"].tracking_params == {"entity": "your_team", "project": "ad_classification"}
        assert configs["training"].log_gradients is False
        assert caplog.messages == []

    def test_what_older_readers_would_read_otherwise_is_said(self, manager, caplog):
        path = write(manager, "x_training_config.yaml", "epochs: 3\noptimizer: off\n")
        assert manager.load_config(path) == TrainingConfig(epochs=3, optimizer="off")
        assert caplog.messages == ["configs/x_training_config.yaml:2: `off` is the text 'off' (YAML 1.1 read it as false)"]

    def test_missing_files_are_all_named_with_what_to_do(self, project):
        with pytest.raises(FileNotFoundError) as caught:
            project.load_all_configs("other")
        assert caught.value.files == tuple(f"configs/other_{each}_config.yaml" for each in ConfigType)
        assert str(caught.value).endswith("; create_default_configs('other') writes them, as does 'onyx config create other'")
        for config_type in (ConfigType.MODEL, ConfigType.DATA):
            project.path_of("ads", config_type).unlink()
        with pytest.raises(MissingConfigs) as caught:
            project.load_all_configs("ads")
        assert caught.value.files == ("configs/ads_model_config.yaml", "configs/ads_data_config.yaml")

    def test_a_project_that_is_nearly_there_is_asked_for(self, project):
        with pytest.raises(MissingConfigs, match="did you mean 'ads'"):
            project.load_all_configs("adz")

    def test_one_file_is_loaded_by_the_type_in_its_name_or_that_handed_in(self, manager):
        text = "epochs: 3\n"
        assert manager.load_config(write(manager, "x_training_config.yaml", text)) == TrainingConfig(epochs=3)
        mine = write(manager, "mine.yaml", text)
        assert manager.load_config(str(mine), ConfigType.TRAINING) == TrainingConfig(epochs=3)
        with pytest.raises(BadInput, match="says no type"):
            manager.load_config(mine)
        with pytest.raises(MissingConfigs):
            manager.load_config(manager.config_dir / "no_training_config.yaml")

    def test_all_problems_of_all_files_are_said_at_once(self, project):
        project.path_of("ads", ConfigType.MODEL).write_text("name: [\n")
        project.path_of("ads", ConfigType.DATA).write_text("num_workers: -1\nshufle: true\n")
        project.path_of("ads", ConfigType.TRAINING).write_text("- 1\n")
        with pytest.raises(InvalidConfig) as caught:
            project.load_all_configs("ads", overrides=["deployment.api_port=0", "nonsense"])
        assert [(each.file, each.line, each.key) for each in caught.value.problems] == [
            ("nonsense", None, ""),
            ("configs/ads_model_config.yaml", 2, ""),
            ("configs/ads_training_config.yaml", 1, ""),
            ("configs/ads_data_config.yaml", 1, "num_workers"),
            ("configs/ads_data_config.yaml", 2, "shufle"),
            ("deployment.api_port=0", None, "api_port"),
        ]

    def test_configs_that_differ_on_what_both_say_are_refused(self, project):
        project.update_config(project.path_of("ads", ConfigType.TRAINING), {"gradient_accumulation_steps": 8})
        with pytest.raises(InvalidConfig, match="training.gradient_accumulation_steps is 8, but optimization"):
            project.load_all_configs("ads")
        assert project.load_all_configs("ads", overrides=["optimization.gradient_accumulation_steps=8"])["optimization"] is not None

    def test_a_folder_in_the_place_of_a_file_is_an_error_of_the_disk(self, project):
        path = project.path_of("ads", ConfigType.DATA)
        path.unlink()
        path.mkdir()
        with pytest.raises(DiskError, match="reading configs/ads_data_config.yaml failed: Is a directory"):
            project.load_all_configs("ads")


class TestLayers:
    def test_an_overlay_wins_over_the_file_and_an_override_over_both(self, project):
        write(project, "ads_training_config.prod.yaml", "epochs: 50\nbatch_size: 256\noptimizer_params: {weight_decay: 0.1}\n")
        assert project.load_all_configs("ads")["training"].epochs == 10
        training = project.load_all_configs("ads", overlay="prod", overrides=["training.batch_size=512", "training.batch_size=1024"])[
            "training"
        ]
        assert (training.epochs, training.batch_size) == (50, 1024)
        assert training.optimizer_params == {"weight_decay": 0.1, "betas": [0.9, 0.999]}

    def test_an_overlay_of_one_project_is_no_file_of_another(self, project):
        write(project, "ads_training_config.prod.yaml", "epochs: 50\n")
        with pytest.raises(MissingConfigs):
            project.load_all_configs("ads_prod")

    def test_an_overlay_that_has_no_file_is_named(self, project):
        with pytest.raises(MissingConfigs, match=r"not there: configs/ads_training_config\.prod\.yaml; nor any other file of the overlay"):
            project.load_all_configs("ads", overlay="prod")

    def test_an_overlays_own_file_is_loaded_over_its_base(self, project):
        path = write(project, "ads_data_config.prod.yaml", "num_workers: 8\n")
        assert project.load_config(path) == replace(project.load_all_configs("ads")["data"], num_workers=8)
        alone = write(project, "none_data_config.prod.yaml", "num_workers: 8\n")
        assert project.load_config(alone) == DataConfig(num_workers=8)

    def test_variables_come_from_the_environment(self, project, monkeypatch):
        path = project.path_of("ads", ConfigType.TRAINING)
        path.write_text("batch_size: ${ADS_BATCH}\noptimizer: ${ADS_OPTIMIZER:-sgd}\n")
        monkeypatch.delenv("ADS_BATCH", raising=False)
        with pytest.raises(InvalidConfig, match=r"ads_training_config.yaml:1:13: batch_size: the environment has no ADS_BATCH; set it"):
            project.load_config(path)
        monkeypatch.setenv("ADS_BATCH", "64")
        assert project.load_config(path) == TrainingConfig(batch_size=64, optimizer="sgd")

    def test_what_is_resolved_says_where_each_value_comes_from(self, project):
        write(project, "ads_training_config.prod.yaml", "epochs: 50\n")
        found = project.resolve_all("ads", "prod", ["training.batch_size=8"])
        assert (found.problems, found.configs) == ((), project.load_all_configs("ads", "prod", ["training.batch_size=8"]))
        origins = {entry.key: entry.origin for entry in found.resolved["training"].entries()}
        assert (origins["epochs"].source, origins["epochs"].file, origins["epochs"].line) == (
            "overlay",
            "configs/ads_training_config.prod.yaml",
            1,
        )
        assert (origins["batch_size"].source, origins["batch_size"].file) == ("override", "training.batch_size=8")
        assert origins["learning_rate"].source == "file"


class TestUpdating:
    def test_given_values_are_changed_and_nothing_else(self, project):
        path = project.path_of("ads", ConfigType.TRAINING)
        before = path.read_text()
        project.update_config(
            "./configs/ads_training_config.yaml", {"batch_size": 64, "learning_rate": 1e-4, "optimizer_params.betas": [0.9, 0.95]}
        )
        assert path.read_text() == before.replace("batch_size: 32", "batch_size: 64").replace(
            "learning_rate: 2.0e-05", "learning_rate: 0.0001"
        ).replace("betas: [0.9, 0.999]", "betas: [0.9, 0.95]")
        assert project.load_config(path).batch_size == 64

    @pytest.mark.parametrize(
        ("updates", "words"),
        [
            ({"batch_size": 0}, "batch_size: expected a whole number of at least 1, got 0"),
            ({"batch_sise": 1, "epochs": "x"}, "2 problems: "),
            ({"validation_split": 0.95}, "validation_split and test_split make"),
            ({"scheduler_params.warmup_steps": 20000}, "expected at most max_steps"),
            ({"optimizer": "${"}, "begins a variable"),
        ],
    )
    def test_what_would_not_be_valid_is_refused_and_the_file_stays(self, project, updates, words):
        path = project.path_of("ads", ConfigType.TRAINING)
        before = path.read_bytes()
        with pytest.raises(InvalidConfig, match=words.replace("(", r"\(")):
            project.update_config(path, updates)
        assert (path.read_bytes(), len(list(project.config_dir.iterdir()))) == (before, 6)

    def test_a_file_that_is_wrong_can_be_mended(self, manager):
        path = write(manager, "x_training_config.yaml", "epochs: none  # yet\n")
        manager.update_config(path, {"epochs": 2})
        assert path.read_text() == "epochs: 2  # yet\n"

    def test_variables_that_are_not_set_here_are_no_reason_to_refuse(self, manager, monkeypatch):
        monkeypatch.delenv("NO_SUCH", raising=False)
        path = write(manager, "x_training_config.yaml", "batch_size: ${NO_SUCH}\nepochs: 1\n")
        manager.update_config(path, {"epochs": 2, "optimizer": "${NO_SUCH}"})
        assert path.read_text() == 'batch_size: ${NO_SUCH}\nepochs: 2\noptimizer: "${NO_SUCH}"\n'

    def test_numbers_of_other_libraries_are_written_as_plain_ones(self, manager):
        import numpy as np  # noqa: PLC0415 - one test needs it

        path = write(manager, "x_training_config.yaml", "epochs: 1\nlearning_rate: 1\n")
        manager.update_config(path, {"learning_rate": np.float64(0.5), "weight_decay": 1})
        assert path.read_text() == "epochs: 1\nlearning_rate: 0.5\nweight_decay: 1.0\n"

    def test_an_overlay_is_checked_over_its_base(self, project):
        path = write(project, "ads_training_config.prod.yaml", "epochs: 5\n")
        with pytest.raises(InvalidConfig, match="expected at most max_steps, which is 10000"):
            project.update_config(path, {"scheduler_params.warmup_steps": 20000})
        project.update_config(path, {"scheduler_params.warmup_steps": 20})
        assert path.read_text() == "epochs: 5\nscheduler_params: {warmup_steps: 20}\n"

    def test_a_file_of_another_name_takes_its_type(self, manager):
        path = write(manager, "mine.yaml", "epochs: 1\n")
        manager.update_config(path, {"epochs": 2}, ConfigType.TRAINING)
        assert path.read_text() == "epochs: 2\n"
        with pytest.raises(MissingConfigs):
            manager.update_config("none.yaml", {"epochs": 2}, ConfigType.TRAINING)


class TestSaving:
    @settings(max_examples=60)
    @given(every_config)
    def test_a_config_is_loaded_as_it_was_saved(self, tmp_path_factory, config):
        folder = tmp_path_factory.getbasetemp()
        path = folder / f"any_{type_of(config)}_config.yaml"
        manager = ConfigManager(folder)
        manager.save_config(config, path)
        assert manager.load_config(path) == config

    @pytest.mark.parametrize("config_type", ConfigType)
    def test_defaults_are_loaded_as_they_were_saved(self, manager, config_type):
        manager.save_config(config_type.config_class(), "any.yaml")
        assert manager.load_config("any.yaml", config_type) == config_type.config_class()
        assert Path("any.yaml").read_text().startswith(f"# A {config_type} config. ")

    def test_what_looks_like_a_variable_is_loaded_as_it_was_saved(self, manager):
        config = ModelConfig(name="${HOME}", custom_parameters={"a": ["$${b} ${c}"]})
        manager.save_config(config, "any.yaml")
        assert manager.load_config("any.yaml", ConfigType.MODEL) == config

    def test_what_could_not_be_loaded_is_not_saved(self, manager):
        with pytest.raises(InvalidConfig, match="epochs: expected a whole number"):
            manager.save_config(TrainingConfig(epochs=0), "any.yaml")
        with pytest.raises(InvalidConfig, match="custom_parameters: expected values that YAML can say"):
            manager.save_config(ModelConfig(custom_parameters={"dtype": object()}), "any.yaml")
        with pytest.raises(BadInput, match="a dict is none of the six configs"):
            manager.save_config({}, "any.yaml")
        assert not Path("any.yaml").exists()


class TestChecking:
    def test_the_guide_asks_each_config_whether_it_is_valid(self, project):
        configs = project.load_all_configs("ads")
        assert [project.validate_config(config, ConfigType[name.upper()]) for name, config in configs.items()] == [True] * 6
        assert project.validate_config(configs["model"], ConfigType.DATA) is False

    def test_why_a_config_is_not_valid_is_said(self, manager):
        config = TrainingConfig(batch_size=0, optimizer="")
        assert manager.validate_config(config, ConfigType.TRAINING) is False
        assert [each.key for each in manager.find_problems(config, ConfigType.TRAINING)] == ["batch_size", "optimizer"]

    def test_a_summary_is_all_values_as_json_takes_them(self, project):
        configs = project.load_all_configs("ads")
        summary = project.get_config_summary(configs)
        assert json.loads(json.dumps(summary, indent=2)) == summary == {name: asdict(config) for name, config in configs.items()}

    def test_a_summary_of_configs_made_by_hand_is_json_too(self, manager):
        odd = ModelConfig(custom_parameters={"path": Path("a"), 1: (1, {2}), "nan": math.nan})
        assert manager.get_config_summary({"model": odd})["model"]["custom_parameters"] == {"path": "a", "1": [1, "{2}"], "nan": "nan"}

    def test_the_schema_of_a_type_is_handed_out(self, manager):
        assert manager.json_schema(ConfigType.DATA)["title"] == "DataConfig"


def test_importing_the_manager_loads_no_heavy_library():
    import subprocess  # noqa: PLC0415 - one test needs them
    import sys  # noqa: PLC0415 - the same

    code = "import sys, onyxstore.configs.manager; print(*{'torch', 'numpy', 'pydantic', 'ruamel', 'jsonschema'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
