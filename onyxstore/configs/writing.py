"""Config files written whole: a reader sees the old file or the new one, whatever happens in between."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from onyxstore.errors import disk_error


def replace_file(path: Path, data: bytes) -> None:
    """Writes a file in place of what is there, durably; permissions stay, and a link goes on leading to the file. DiskError."""
    target = Path(os.path.realpath(path))
    with _staged(target, data) as staged:
        with contextlib.suppress(FileNotFoundError):
            staged.chmod(stat.S_IMODE(target.stat().st_mode))
        staged.replace(target)


def write_new_file(path: Path, data: bytes) -> bool:
    """Writes a file durably unless its name is taken; False when it is. DiskError."""
    with _staged(path, data) as staged:
        try:
            os.link(staged, path)
        except FileExistsError:
            return False
        except OSError:  # a filesystem without hard links; two writers of one new name are then not told apart
            if path.exists():
                return False
            staged.replace(path)
    return True


@contextlib.contextmanager
def _staged(path: Path, data: bytes) -> Iterator[Path]:
    """A file with `data` beside `path`, on disk, and the folder on disk after it was moved; removed if it was not."""
    staged = path.with_name(f".{path.name[:200]}-{os.urandom(8).hex()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with staged.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield staged
        staged.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise disk_error("writing", path, error) from error
    finally:
        with contextlib.suppress(OSError):
            staged.unlink(missing_ok=True)


def _sync_folder(path: Path) -> None:
    """The names in a folder survive the power. EINVAL and ENOTSUP mean that its filesystem has no such call, nothing else does."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(fd)
