"""The environment of a run: what its numbers may depend on besides code, configs and data.

Captured once an attempt, in a few milliseconds: nothing is imported, no package's metadata is parsed, no GPU is woken. The command
line is masked; environment variables are recorded by an allow-list only. This snapshot is the one place of a store that may hold a
host name. It has no time in it, so that two runs in one environment share one object.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from onyxstore.history.config_difference import Change, config_difference
from onyxstore.history.secrets import mask_argv, mask_text

RECORDED_VARIABLES = frozenset(
    {
        *("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUDA_LAUNCH_BLOCKING", "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE"),
        *("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ENABLE_MPS_FALLBACK", "XLA_FLAGS"),
        *("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TORCHDYNAMO_DISABLE", "TORCHINDUCTOR_MAX_AUTOTUNE", "TOKENIZERS_PARALLELISM"),
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "PYTHONHASHSEED", "CONDA_DEFAULT_ENV"),
        *("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "NODE_RANK", "GROUP_RANK"),
        *("SLURM_JOB_ID", "SLURM_JOB_NAME", "SLURM_JOB_PARTITION", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_PROCID"),
        *("SLURM_NTASKS", "SLURM_NNODES", "SLURM_CPUS_PER_TASK", "SLURM_GPUS", "PBS_JOBID", "LSB_JOBID", "JOB_ID"),
    }
)
"""What changes numbers or speed, or says which job it was; nothing that is set to hold a secret."""

_LONGEST = 4000
"""Characters of one argument or variable."""
_MOST = 10_000
"""Arguments and packages."""


def capture_environment(argv: Sequence[str], folder: Path | None = None, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The environment of this process, as a value for canonical JSON; `argv` is what it was started with.

    `folder` is the store's: the working directory is recorded relative to it, and not at all when it lies elsewhere. `variables`
    stands for `os.environ`.
    """
    system = os.uname()
    return {
        "onyx": "environment",
        "python": {"implementation": sys.implementation.name, "release": ".".join(map(str, sys.version_info[:3]))},
        "platform": {"system": system.sysname, "release": system.release, "machine": system.machine},
        "host": system.nodename,
        "cpus": {"all": os.cpu_count(), "usable": _usable_cpus()},
        "memory": _memory(),
        "gpus": _gpus(),
        "torch": _torch(),
        "packages": find_packages(sys.path),
        "argv": [_clean(word) for word in mask_argv(argv[:_MOST])],
        "started_in": _started_in(folder),
        "variables": _recorded(os.environ if variables is None else variables),
    }


def environment_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """The changes from one captured environment to another."""
    return config_difference(dict(old), dict(new))


def find_packages(folders: Iterable[str]) -> dict[str, str]:
    """The installed packages and their releases, by the names of their `.dist-info` folders; what Python finds first wins."""
    found: dict[str, str] = {}
    for folder in folders:
        try:
            names = sorted(path.name for path in Path(folder).iterdir())
        except OSError:  # zip files, and folders that are not there
            continue
        for name in names:
            if len(found) < _MOST and (match := _PACKAGE.fullmatch(name)):
                found.setdefault(_SEPARATORS.sub("-", match["name"]).lower(), match["release"])
    return dict(sorted(found.items()))


_PACKAGE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._]*)-(?P<release>[A-Za-z0-9][A-Za-z0-9.!+_]*)(?:-py[0-9.]+)?\.(?:dist|egg)-info")
_SEPARATORS = re.compile(r"[._-]+")


def _usable_cpus() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _memory() -> int | None:
    """Bytes of the machine's memory."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def _gpus() -> list[str]:
    """The names of the GPUs: those that torch uses if it does already, else what the driver says.

    Asking torch first would make it open a context on the first GPU, which costs memory there and breaks a later fork.
    """
    cuda: Any = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is not None and cuda.is_initialized():
        return [cuda.get_device_name(index) for index in range(cuda.device_count())]
    names = []
    for card in sorted(_NVIDIA.glob("*/information")):
        try:
            model = re.search(r"^Model:\s*(\S.*)$", card.read_text("utf-8", "replace"), re.MULTILINE)
        except OSError:
            continue
        names += [model[1].strip()] if model else []
    return names


_NVIDIA = Path("/proc/driver/nvidia/gpus")


def _torch() -> dict[str, Any] | None:
    """Which torch the program uses, if any; the release names the platform that it was built for (`2.9.1+cu128`)."""
    torch: Any = sys.modules.get("torch")
    return None if torch is None else {"release": str(torch.__version__), "threads": torch.get_num_threads()}


def _started_in(folder: Path | None) -> str | None:
    """The working directory below the folder."""
    try:
        here = Path.cwd()
    except OSError:  # it was deleted
        return None
    top = folder.resolve() if folder is not None else None
    return here.relative_to(top).as_posix() if top is not None and here.is_relative_to(top) else None


def _recorded(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: _clean(mask_text(value)[0]) for name, value in sorted(variables.items()) if name in RECORDED_VARIABLES}


def _clean(word: str) -> str:
    """A word from outside as text: bytes that were no UTF-8 are replaced."""
    return word[:_LONGEST].encode("utf-8", "replace").decode()
