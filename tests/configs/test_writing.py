import errno
import os
import stat

import pytest

from onyxstore.configs import writing
from onyxstore.configs.writing import replace_file, write_new_file
from onyxstore.errors import DiskError, DiskFull


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "deep" / "a.yaml"
    replace_file(path, b"one")
    replace_file(path, b"two")
    assert ([each.name for each in path.parent.iterdir()], path.read_bytes()) == (["a.yaml"], b"two")


def test_permissions_stay(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"one")
    path.chmod(0o640)
    replace_file(path, b"two")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_goes_on_leading_to_the_file(tmp_path):
    (tmp_path / "real.yaml").write_bytes(b"one")
    (tmp_path / "link.yaml").symlink_to("real.yaml")
    replace_file(tmp_path / "link.yaml", b"two")
    assert (tmp_path / "link.yaml").is_symlink()
    assert (tmp_path / "real.yaml").read_bytes() == b"two"


def test_a_new_file_is_written_only_where_there_is_none(tmp_path):
    path = tmp_path / "deep" / "a.yaml"
    assert write_new_file(path, b"one") is True
    assert write_new_file(path, b"two") is False
    assert ([each.name for each in path.parent.iterdir()], path.read_bytes()) == (["a.yaml"], b"one")


def test_a_new_file_is_written_where_there_are_no_hard_links_either(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    assert write_new_file(tmp_path / "a.yaml", b"one") is True
    assert write_new_file(tmp_path / "a.yaml", b"two") is False
    assert ([each.name for each in tmp_path.iterdir()], (tmp_path / "a.yaml").read_bytes()) == (["a.yaml"], b"one")


@pytest.mark.parametrize("write", [replace_file, write_new_file])
def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, write):
    def fail(_):
        raise OSError(errno.ENOSPC, "full")

    path = tmp_path / "a.yaml"
    path.write_bytes(b"one")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DiskFull, match=r"writing .*a\.yaml failed"):
        write(path, b"two")
    assert ([each.name for each in tmp_path.iterdir()], path.read_bytes()) == (["a.yaml"], b"one")


def test_a_folder_that_cannot_be_is_an_error_of_the_disk(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DiskError):
        replace_file(tmp_path / "file" / "a.yaml", b"one")


def test_the_bytes_are_on_disk_before_the_name_and_the_folder_after_it(tmp_path, monkeypatch):
    steps = []
    real_fsync, real_replace = os.fsync, writing.Path.replace

    def fsync(fd):
        steps.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "bytes")
        real_fsync(fd)

    def replace(self, target):
        steps.append("name")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(writing.Path, "replace", replace)
    replace_file(tmp_path / "a.yaml", b"one")
    assert steps == ["bytes", "name", "folder"]


def test_a_filesystem_without_fsync_of_folders_will_do(tmp_path, monkeypatch):
    real = os.fsync

    def fsync(fd):
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not of a folder")
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    replace_file(tmp_path / "a.yaml", b"one")
    assert (tmp_path / "a.yaml").read_bytes() == b"one"
