"""Reading every byte: fsck's storage half, which knows no commits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from onyxstore.disk import files
from onyxstore.disk.layout import Layout
from onyxstore.disk.linefile import read_log, read_value
from onyxstore.disk.objects import ObjectStore
from onyxstore.disk.workers import default_threads
from onyxstore.errors import CorruptObject, OnyxError, short_words
from onyxstore.hashing import Address, short


@dataclass(frozen=True)
class Finding:
    """Something that fsck found: what it is about, what is the matter, whether it is damage, the address if there is one."""

    where: str
    words: str
    is_damage: bool
    address: Address | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.words}"


@dataclass
class DiskFindings:
    """What the disk half found, and how much it read."""

    damage: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    objects: int = 0
    chunks: int = 0
    read: int = 0


def verify_disk(objects: ObjectStore, layout: Layout) -> DiskFindings:
    """Reads every object, pack, ref and reflog against its own check."""
    found = DiskFindings()
    _verify_loose(objects, found)
    _verify_packs(objects, found)
    _verify_lines(layout, found)
    for path in files.walk_files(layout.tmp):
        found.notes.append(Finding(f"tmp/{path.name}", "a crash left it, or somebody is writing it now; gc removes it", is_damage=False))
    return found


def _verify_loose(objects: ObjectStore, found: DiskFindings) -> None:
    for address in objects.loose.addresses():
        found.objects += 1
        try:
            for block in objects.loose.stream(address):
                found.read += len(block)
        except OnyxError as error:
            found.damage.append(Finding(f"object {address}", short_words(error), is_damage=True, address=address))


def _verify_packs(objects: ObjectStore, found: DiskFindings) -> None:
    objects.refresh()
    for name, words in objects.damaged_packs().items():
        found.damage.append(Finding(f"pack {name}", words, is_damage=True))
    for pack in objects.packs():
        found.chunks += len(pack.table)
        found.read += files.file_size(pack.path)
        for damage in pack.verify(default_threads()):
            address = Address(damage.address) if isinstance(damage, CorruptObject) else None
            words = f"chunk {short(address)}: {short_words(damage)}" if address else short_words(damage)
            found.damage.append(Finding(f"pack {pack.name}", words, is_damage=True, address=address))


def _verify_lines(layout: Layout, found: DiskFindings) -> None:
    for path in (layout.format, *files.walk_files(layout.refs)):
        try:
            read_value(path)
        except (OnyxError, FileNotFoundError) as error:
            found.damage.append(Finding(_relative(path, layout), short_words(error), is_damage=True))
    of_runs = (layout.runs / name / which for name in files.list_folder(layout.runs) for which in ("pruned", "notes"))
    logs = [*files.walk_files(layout.reflog), layout.purged, *of_runs]
    for path in logs:
        try:
            lines = read_log(path)
        except OnyxError as error:
            found.damage.append(Finding(_relative(path, layout), short_words(error), is_damage=True))
            continue
        if lines.torn:
            found.notes.append(Finding(_relative(path, layout), f"a crash left {lines.torn} bytes of an unfinished line", is_damage=False))
        for offset, size in lines.damaged:
            found.damage.append(Finding(_relative(path, layout), f"{size} bytes at {offset} are damaged", is_damage=True))


def _relative(path: Path, layout: Layout) -> str:
    return str(path.relative_to(layout.root))
