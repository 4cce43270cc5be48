import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.errors import BadName
from onyxstore.names import check_metric_name, check_relative_path, check_run_name, check_tag_name, fold, near, run_name_from


@pytest.mark.parametrize("name", ["a", "bert-base", "0", "v1.2_x", "A" * 100, "heads"])
@pytest.mark.parametrize("check", [check_run_name, check_tag_name])
def test_runs_and_tags_have_these_names(check, name):
    assert check(name) == name


@pytest.mark.parametrize(
    "name", ["", ".a", "-a", "_a", "a b", "a/b", "a@b", "é", "a\n", "A" * 101, "HEAD", "latest", "Best", None, 3, b"a"]
)
@pytest.mark.parametrize("check", [check_run_name, check_tag_name])
def test_runs_and_tags_have_no_such_names(check, name):
    with pytest.raises(BadName, match="cannot name a"):
        check(name)


def test_a_refusal_says_what_and_why_and_no_more_than_fits():
    with pytest.raises(BadName) as refusal:
        check_run_name("x" * 300)
    assert str(refusal.value) == (
        f"{'x' * 60 + '…'!r} cannot name a run: letters, digits, '.', '_' and '-' only, a letter or digit first, 100 at most"
    )


@given(st.text())
def test_any_text_makes_a_run_name(text):
    assert check_run_name(run_name_from(text))


@pytest.mark.parametrize(
    ("text", "name"),
    [("train.py", "train.py"), ("My run #3", "My-run-3"), ("../../etc", "etc"), ("", "run"), ("ü", "run"), ("Latest", "Latest-run")],
)
def test_a_run_name_keeps_what_it_can_of_a_text(text, name):
    assert run_name_from(text) == name


def test_names_are_compared_without_case():
    assert fold("Bert-Base") == fold("bert-bASE")


@pytest.mark.parametrize("name", ["loss", "val/loss", "loss (mean)", "précision", "x" * 500, " "])
def test_metrics_have_any_printable_name(name):
    assert check_metric_name(name) == name


@pytest.mark.parametrize("name", ["", "x" * 501, "a\nb", "a\x1b[31m", "\ud800", "a\u202eb", None, 1, b"loss"])
def test_metrics_have_no_such_names(name):
    with pytest.raises(BadName, match="cannot name a metric"):
        check_metric_name(name)


@pytest.mark.parametrize(
    "path", ["a", "configs/train.yaml", "a b/ü.yaml", ".hidden", "a/.gitignore", "a..b/c", "x" * 255, "~/a", ".onyxignore"]
)
def test_a_plain_path_below_a_folder_passes(path):
    assert check_relative_path("config", path) == path


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/etc/passwd", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "./a"),
        *(None, 3, b"a"),
        *("a\\b", "a\0b", "a\nb", "\ud800", "a\u200cb", "x" * 256, "é" * 128, "/".join(["abcdefg"] * 130)),
        *(".onyx/HEAD", ".git/hooks/post-checkout", ".GIT/config", ".Onyx", "sub/.git/hooks/x", "a/b/.onyx/refs", "a/.git"),
    ],
)
def test_a_path_that_could_lead_elsewhere_is_refused(path):
    with pytest.raises(BadName, match="cannot name a config"):
        check_relative_path("config", path)


@given(st.text(st.sampled_from("ab./\\~ \0\n")))
def test_what_passes_stays_below_its_folder(tmp_path_factory, path):
    folder = tmp_path_factory.getbasetemp()
    try:
        check_relative_path("file", path)
    except BadName:
        return
    assert (folder / path).resolve().is_relative_to(folder.resolve())
    assert (folder / path).relative_to(folder).as_posix() == path


def test_near_names_are_offered_the_likeliest_first():
    assert near("val_los", ["loss", "val_loss", "lr", "Val_Acc"]) == ("val_loss",)
    assert near("BERT", ["bert-base", "Bert", "gpt"]) == ("Bert", "bert-base")
    assert near("x", ["loss"]) == ()
