import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.canonical import canonical_bytes, read_canonical
from onyxstore.history import code_state
from onyxstore.history.code_state import CodeState, capture_code_state, decode_code_state, encode_code_state

TOKEN = "hf_" + "aB" * 17


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with one commit of `train.py`, and a way to change it; nothing of the user's own git settings applies."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    repository = Repository(tmp_path / "code")
    repository.git("init", "-q", "-b", "main")
    repository.write("train.py", "lr = 1\n")
    repository.commit()
    return repository


class Repository:
    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()

    def git(self, *command):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        return subprocess.run(["git", *identity, *command], cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x")


# ------------------------------------------------------------------------------------------------------- what is captured


def test_a_clean_state_is_its_commit(repository):
    assert capture_code_state(repository.folder) == CodeState(repository.git("rev-parse", "HEAD"), "main")


def test_the_diff_makes_the_working_tree_of_the_commit(repository, tmp_path):
    repository.write("pkg/model.py", "a = 1\nb = 2\n")
    repository.write("old.py", "gone\n")
    repository.commit()
    repository.write("pkg/model.py", "a = 1\nb = 3\n")
    repository.write("staged.py", "new\n")
    repository.git("add", "staged.py")
    (repository.folder / "old.py").unlink()
    state = capture_code_state(repository.folder)
    repository.git("worktree", "add", "-q", "--detach", str(tmp_path / "again"))
    (tmp_path / "diff").write_text(state.diff)
    repository.git("-C", str(tmp_path / "again"), "apply", str(tmp_path / "diff"))
    assert {str(path.relative_to(tmp_path / "again")): path.read_text() for path in (tmp_path / "again").rglob("*.py")} == {
        "train.py": "lr = 1\n",
        "pkg/model.py": "a = 1\nb = 3\n",
        "staged.py": "new\n",
    }


def test_the_state_is_that_of_the_whole_repository_from_any_folder_in_it(repository):
    repository.write("sub/deep/new.py", "x\n")
    repository.write("train.py", "lr = 2\n")
    state = capture_code_state(repository.folder / "sub" / "deep")
    assert state == capture_code_state(repository.folder)
    assert state.files == {"sub/deep/new.py": "x\n"}


def test_untracked_text_is_kept_and_ignored_files_are_not(repository):
    repository.write(".gitignore", "*.log\nbuild/\n")
    repository.commit()
    repository.write("a.log", "x")
    repository.write("build/x.py", "x")
    repository.write('odd "näme"\n.txt', "é\n")
    assert capture_code_state(repository.folder).files == {'odd "näme"\n.txt': "é\n"}


def test_onyxignore_leaves_out_tracked_and_untracked(repository):
    repository.write("data/list.txt", "1\n")
    repository.write("sub/notes.md", "1\n")
    repository.write(".onyxignore", "# mine\n\n*.csv\n/data/\nsub/notes.md\n!keep\n../up\n")
    repository.commit()
    for name in ("data/list.txt", "sub/notes.md", "x.csv", "sub/y.csv", "data/new.txt", "sub/data/kept.txt"):
        repository.write(name, "2\n")
    state = capture_code_state(repository.folder)
    assert (state.files, state.diff) == ({"sub/data/kept.txt": "2\n"}, "")
    assert state.notes == ("'!keep' in .onyxignore is not understood", "'../up' in .onyxignore is not understood")


@pytest.mark.parametrize("name", [".env", ".env.local", "sub/.ENV", "key.pem", "id_rsa", "secrets.yaml", "credentials.json", ".netrc"])
def test_a_file_whose_name_says_secret_is_left_out_tracked_or_not(repository, name):
    repository.write("tracked/" + name, "first")
    repository.commit()
    repository.write("tracked/" + name, "second")
    repository.write(name, "third")
    state = capture_code_state(repository.folder)
    assert (state.files, state.diff) == ({}, "")


def test_secrets_are_masked_in_diff_files_and_remote(repository):
    repository.git("remote", "add", "backup", "https://host/other.git")
    repository.git("remote", "add", "origin", f"https://bob:{TOKEN}@host/code.git")
    repository.write("train.py", f"token = '{TOKEN}'\n")
    repository.write("new.py", f"login('{TOKEN}')\n")
    state = capture_code_state(repository.folder)
    assert TOKEN not in str(state)
    assert state.remote == "https://bob:<masked>@host/code.git"
    assert state.files == {"new.py": "login('<masked>')\n"}
    assert "+token = '<masked>'\n" in state.diff
    assert state.notes == ("masked in the diff: a Hugging Face token", "masked in untracked files: a Hugging Face token")


@pytest.mark.parametrize("url", ["/srv/code.git", "../code.git", "file:///srv/code.git", "~/code.git"])
def test_a_remote_on_this_machine_is_not_recorded(repository, url):
    repository.git("remote", "add", "origin", url)
    assert capture_code_state(repository.folder).remote is None


def test_a_detached_head_names_nothing(repository):
    repository.git("checkout", "-q", "--detach")
    assert capture_code_state(repository.folder).head is None


# ------------------------------------------------------------------------------------------------------------- bounds


def test_what_is_no_small_text_is_left_out_and_said(repository):
    repository.write("weights.bin", b"\0\1\2")
    repository.write("latin.txt", b"\xe9")
    repository.write("large.txt", "x" * (code_state.MAX_FILE + 1))
    (repository.folder / "link.txt").symlink_to("/etc/passwd")
    os.mkfifo(repository.folder / "fifo.txt")
    repository.write("fits.txt", "x" * code_state.MAX_FILE)
    state = capture_code_state(repository.folder)
    assert list(state.files) == ["fits.txt"]
    assert state.notes == (
        "untracked files left out (no text, over 65536 bytes, or beyond 1048576 bytes in all): large.txt, latin.txt, link.txt, weights.bin",
    )


def test_untracked_files_share_their_room_and_code_comes_first(repository, monkeypatch):
    monkeypatch.setattr(code_state, "MAX_FILES", 25)
    for name in ("a.txt", "b.txt", "z.py"):
        repository.write(name, "123456789\n")
    state = capture_code_state(repository.folder)
    assert list(state.files) == ["z.py", "a.txt"]
    assert state.notes[-1].endswith("bytes in all): b.txt")


def test_a_long_diff_is_cut_at_a_line_and_said(repository, monkeypatch):
    monkeypatch.setattr(code_state, "MAX_DIFF", 400)
    repository.write("train.py", "".join(f"line {number}\n" for number in range(1000)))
    state = capture_code_state(repository.folder)
    assert 300 < len(state.diff) <= 400
    assert state.diff.endswith("\n")
    assert state.notes == ("the diff is cut after 400 bytes",)


def test_a_secret_at_the_cut_is_not_left_in_part(repository, monkeypatch):
    repository.write("train.py", f"x = 1\ntoken = '{TOKEN}'\n")
    whole = repository.git("diff", "HEAD", "--full-index")
    for limit in range(whole.index(TOKEN), len(whole)):
        monkeypatch.setattr(code_state, "MAX_DIFF", limit)
        assert "hf_" not in capture_code_state(repository.folder).diff


# --------------------------------------------------------------------------------------------------------- what git does


def test_a_capture_is_at_most_three_processes_and_writes_nothing(repository, monkeypatch):
    repository.write("train.py", "lr = 3\n")
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: started.append(command) or popen(command, **options))
    before = {path: path.stat().st_mtime_ns for path in repository.folder.rglob("*")}
    capture_code_state(repository.folder)
    assert {path: path.stat().st_mtime_ns for path in repository.folder.rglob("*")} == before
    assert len(started) == 3


def test_nothing_that_the_repository_names_is_run(repository, tmp_path):
    ran = tmp_path / "ran"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\necho x >> '{ran}'\ncat \"$1\" 2>/dev/null\n")
    script.chmod(0o755)
    repository.write(".gitattributes", "*.py diff=mine\n")
    repository.commit()
    for name in ("core.pager", "pager.diff", "pager.status", "diff.external", "diff.mine.command", "diff.mine.textconv", "core.fsmonitor"):
        repository.git("config", name, str(script))
    for hook in ("post-index-change", "fsmonitor-watchman"):
        repository.write(f".git/hooks/{hook}", script.read_text())
        (repository.folder / ".git/hooks" / hook).chmod(0o755)
    repository.write("train.py", "lr = 4\n")
    assert "+lr = 4" in capture_code_state(repository.folder).diff
    assert not ran.exists()


def test_the_users_settings_do_not_change_the_bytes(repository):
    repository.write("train.py", "lr = 5\n")
    plain = capture_code_state(repository.folder)
    settings = {"diff.noprefix": "true", "diff.mnemonicPrefix": "true", "color.ui": "always", "diff.context": "0", "core.abbrev": "5"}
    for name, value in (settings | {"status.showUntrackedFiles": "no", "status.relativePaths": "true"}).items():
        repository.git("config", name, value)
    assert capture_code_state(repository.folder) == plain


def test_variables_that_point_git_elsewhere_are_not_heeded(repository, tmp_path, monkeypatch):
    other = Repository(tmp_path / "other")
    other.git("init", "-q")
    expected = capture_code_state(repository.folder)
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.folder))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    assert capture_code_state(repository.folder) == expected


# ------------------------------------------------------------------------------------------------------------ no answer


def test_without_a_repository_there_is_no_state(tmp_path):
    assert capture_code_state(tmp_path) is None


def test_without_git_there_is_no_state(repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository.folder))
    assert capture_code_state(repository.folder) is None


def test_before_the_first_commit_only_untracked_files_are_known(tmp_path, repository):
    del repository
    young = Repository(tmp_path / "young")
    young.git("init", "-q", "-b", "main")
    young.write("a.py", "x\n")
    assert capture_code_state(young.folder) == CodeState(None, "main", files={"a.py": "x\n"})
    young.git("add", "a.py")
    assert capture_code_state(young.folder).notes == ("the repository has no commit yet; what is staged is not recorded",)


def test_a_repository_that_git_cannot_read_is_said(tmp_path):
    (tmp_path / ".git").write_text("gitdir: /nowhere")
    state = capture_code_state(tmp_path)
    assert (state.commit, state.notes) == (None, ("git cannot read the repository",))


def test_a_git_that_hangs_is_ended_with_what_it_started(repository, tmp_path, monkeypatch):
    script = tmp_path / "bin" / "git"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n/bin/sleep 600 &\nexec /bin/sleep 600\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent))
    monkeypatch.setattr(code_state, "_SECONDS", 0.1)
    assert capture_code_state(repository.folder).notes == ("git cannot read the repository",)


# ------------------------------------------------------------------------------------------------------- encode, decode

texts = st.text(st.characters(exclude_categories=["Cs"]))
states = st.builds(
    CodeState,
    commit=st.none() | texts,
    head=st.none() | texts,
    remote=st.none() | texts,
    diff=texts,
    files=st.dictionaries(texts, texts),
    notes=st.lists(texts).map(tuple),
)


@given(states)
def test_a_state_is_read_back_from_its_canonical_bytes(state):
    assert decode_code_state(read_canonical(canonical_bytes(encode_code_state(state)))) == state


@pytest.mark.parametrize(
    "change",
    [
        {"onyx": "commit"},
        {"commit": 1},
        {"head": []},
        {"diff": None},
        {"files": []},
        {"files": {"a": 1}},
        {"notes": "a"},
        {"notes": [1]},
        {"more": 1},
    ],
    ids=str,
)
def test_what_is_no_code_state_is_a_value_error(change):
    value = encode_code_state(CodeState("abc")) | change
    for broken in (value, None, [], {**value, "diff": ""} if "diff" not in change else {}):
        with pytest.raises(ValueError, match="not a code state"):
            decode_code_state(broken)
