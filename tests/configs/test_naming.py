from pathlib import Path

import pytest

from onyxstore.configs.naming import base_of, file_name, projects_in, type_of
from onyxstore.configs.types import ConfigType
from onyxstore.errors import BadInput, BadName


@pytest.mark.parametrize(
    ("project", "overlay", "name"),
    [
        ("ads", None, "ads_training_config.yaml"),
        ("ads", "prod", "ads_training_config.prod.yaml"),
        ("ads_prod", None, "ads_prod_training_config.yaml"),
        ("team/ads", "eu-1", "team/ads_training_config.eu-1.yaml"),
    ],
)
def test_a_file_is_called_after_project_type_and_overlay(project, overlay, name):
    assert file_name(project, ConfigType.TRAINING, overlay) == name


@pytest.mark.parametrize("project", ["", "/etc/x", "../x", "a//b", "a\nb", "a\\b", "x" * 250, ".git/x", None])
def test_a_project_cannot_lead_out_of_the_folder(project):
    with pytest.raises(BadName):
        file_name(project, ConfigType.MODEL)


@pytest.mark.parametrize("overlay", ["", ".", "a.b", "a/b", "-a", "x" * 65])
def test_an_overlay_is_one_word(overlay):
    with pytest.raises(BadName, match="overlay"):
        file_name("ads", ConfigType.MODEL, overlay)


@pytest.mark.parametrize(
    ("name", "config_type", "base"),
    [
        ("ads_training_config.yaml", "training", None),
        ("ads_training_config.yml", "training", None),
        ("model_config.yaml", "model", None),
        ("my_data_model_config.yaml", "model", None),
        ("ads_training_config.prod.yaml", "training", "ads_training_config.yaml"),
        ("ads_training_config.eu-1.yml", "training", "ads_training_config.yml"),
    ],
)
def test_a_files_name_says_its_type_and_what_it_lies_over(name, config_type, base):
    path = Path("some/where") / name
    assert (type_of(path), base_of(path)) == (config_type, base and Path("some/where") / base)


@pytest.mark.parametrize(
    "name", ["training.yaml", "ads_training_config.json", "ads_foo_config.yaml", "training_config.a.b.yaml", "xtraining_config.yaml"]
)
def test_a_name_that_says_no_type_is_an_error_that_says_what_to_do(name):
    assert base_of(Path(name)) is None
    with pytest.raises(BadInput, match=r"call it PROJECT_TYPE_config\.yaml, or hand in the type"):
        type_of(Path(name))


def test_projects_are_found_by_their_files(tmp_path):
    for name in [
        "b_model_config.yaml",
        "a_data_config.yaml",
        "a_model_config.prod.yaml",
        "a_model_config.yml",
        "model_config.yaml",
        "x.yaml",
    ]:
        (tmp_path / name).touch()
    assert projects_in(tmp_path) == ("a", "b")
    assert projects_in(tmp_path / "none") == ()
