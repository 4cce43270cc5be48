"""The tables of `docs/format.md` have the numbers, names and keys that the code has, all of them and no others."""

import re

import pytest

from onyxstore.canonical import EXACT_INT, MAX_DEPTH, canonical_bytes, read_canonical
from onyxstore.disk import linefile, loose
from onyxstore.disk.codecs.codec import MAX_CHUNK_BYTES
from onyxstore.disk.codecs.stage import LARGEST_WINDOW
from onyxstore.disk.codecs.table import CODECS
from onyxstore.disk.layout import FORMAT, create_layout
from onyxstore.disk.packs import format as pack_format
from onyxstore.disk.packs.writer import PACK_BYTES
from onyxstore.history.checkpoints import chunking, manifest, tensors, tree, tree_decoding, walk
from onyxstore.history.checkpoints.chunking import CHUNK_BYTES
from onyxstore.history.checkpoints.safetensors_file import HEADER_LIMIT
from onyxstore.history.code_state import CodeState, encode_code_state
from onyxstore.history.commits import CommitRecord, encode_commit
from onyxstore.history.environment import capture_environment
from onyxstore.history.metrics import columns, log, planes, prefix, records, segments
from onyxstore.history.metrics.line import encode_record
from onyxstore.history.runs import STATUSES, Attempt, begin_attempt, encode_state, new_state
from onyxstore.store import settings
from tests.format import mini_reader
from tests.format.page import PAGE, tables, words

ADDRESS = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
ARTIFACT = records.Artifact("a", ADDRESS, 0, "file", 1, None, 2)


def keys_in(cell):
    """The keys of the JSON object that a cell of the page shows."""
    return set(re.findall(r'"(\w+)":', cell))


def row_of(heading, first):
    """The cells of the row whose first cell is `first` in code quotes."""
    return next(row for table in tables(heading) for row in table if row[0] == f"`{first}`")


def test_the_codecs():
    listed = [(int(row[0]), row[1].strip("`"), int(row[2]), int(row[3]), "rotated" in row[4]) for row in tables("7.4 Codecs")[0]]
    made = [(each.number, each.name, each.word, len(each.plane_sizes(each.word)), getattr(each, "rotated", False)) for each in CODECS]
    assert listed == made
    assert {number: (word, rotated) for number, _, word, _, rotated in listed} == mini_reader.CODECS


def test_the_index_of_a_pack_ends_with_the_fields_of_its_footer():
    footer = [(int(row[0][2:]), int(row[1]), row[2]) for row in tables("7.5 The index")[0] if row[0].startswith("c\N{MINUS SIGN}")]
    letters = {"u32": "I", "u64": "Q", "text": "12s"}
    assert "<" + "".join(letters[kind] for _, _, kind in footer) == pack_format.FOOTER.format
    assert [before for before, _, _ in footer] == [sum(size for _, size, _ in footer[number:]) for number in range(len(footer))]


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), EXACT_INT, -EXACT_INT - 1, {1: 2}, {"$": 1}], ids=repr)
def test_a_value_that_is_tagged_has_a_tag_of_the_table(value):
    text = canonical_bytes(value).decode()
    assert re.match(r'\{"\$":"(\w+)"', text)[1] in words("4.2 Tags")
    assert repr(read_canonical(text.encode())) == repr(value)


def test_the_tags_of_values_are_three_and_begin_where_the_page_says():
    assert words("4.2 Tags") == ["float", "int", "dict"]
    below, above = (2 ** int(power) for power in re.search(r"i < \N{MINUS SIGN}2\^(\d+) or i ≥ 2\^(\d+)", PAGE).groups())
    assert below == above == EXACT_INT
    assert canonical_bytes([above - 1, -below]).count(b"$") == 0


def test_the_tags_of_trees():
    assert set(words("8.3 Tags of trees")) == set(tree_decoding._DECODERS)


def test_the_kinds_of_tensors_and_special_values():
    assert set(words("8.3 Tags of trees", 1)) == tensors.KINDS
    assert set(words("8.3 Tags of trees", 2)) == set(tensors.SPECIALS)


def test_the_factories_of_a_defaultdict():
    said = re.search(r"The\s+factories\s+are\s(.*?)\.\n", PAGE, re.DOTALL)[1]
    assert set(re.findall("`(\\w+)`", said)) == set(walk.FACTORIES)


def test_the_dtypes_and_their_sizes():
    cells = [cell.strip("`") for row in tables("8.1 Tensors")[0] for cell in row]
    listed = {name: int(size) for name, size in zip(cells[::2], cells[1::2], strict=True) if name}
    assert listed == tensors.WIDTHS


def test_the_keys_of_manifests_and_tree_objects():
    made = read_canonical(manifest.encode_manifest(manifest.Manifest(ADDRESS, file=manifest.CommittedFile("a", ADDRESS))))
    assert set(words("8.4 The manifest")) == set(made)
    assert keys_in(row_of("8.4 The manifest", "file")[1]) == set(made["file"])
    made = read_canonical(manifest.encode_tree_object(manifest.TreeObject([], (manifest.StoredTensor(("a",), "int8", (1,), (ADDRESS,)),))))
    assert [set(words("8.2 The tree object", number)) for number in (0, 1)] == [set(made), set(made["tensors"][0])]
    assert keys_in(row_of("8.2 The tree object", "pieces")[1]) == set(made["tensors"][0]["pieces"][0])


def test_the_keys_of_commits():
    record = CommitRecord(
        run="a", parents=(), message="", time=1, log=prefix.LogPrefix("a", 0, ADDRESS),
        configs={"c": {"path": None, "snapshot": ADDRESS, "value": ADDRESS}},
        checkpoint={"manifest": ADDRESS, "step": 1, "epoch": None, "metrics": {}},
        artifacts=({"name": "a", "address": ADDRESS, "size": 1, "kind": "file", "step": None},),
    )  # fmt: skip
    made = read_canonical(encode_commit(record))
    assert set(words("9. Commits")) == set(made)
    inside = {"configs": made["configs"]["c"], "log": made["log"], "checkpoint": made["checkpoint"], "artifacts": made["artifacts"][0]}
    assert {name: keys_in(row_of("9. Commits", name)[1]) for name in inside} == {name: set(value) for name, value in inside.items()}


def test_the_keys_of_code_states_and_environments():
    section = PAGE.partition("## 9. Commits")[2].partition("## 10.")[0]
    code, environment = (section.partition(start)[2].partition("\n\n")[0] for start in ("A **code state**", "An **environment**"))
    assert set(re.findall("`(\\w+)`", code)) == set(encode_code_state(CodeState(None)))
    assert set(re.findall("`(\\w+)`", environment)) == set(capture_environment([]))


def test_the_kinds_of_records():
    numbers = {row[1].strip("`"): int(row[0]) for row in tables("10. Metric logs")[0]}
    made = [records.Points(1, None, 2, {}), records.Rewind(1, None, 2), ARTIFACT, records.Summary({}, 2)]
    assert numbers == {columns.KINDS[type(record)]: prefix.encode_binary(record)[0] for record in made}
    assert words("10.2 Tails") == list(numbers)
    assert [list(read_canonical(encode_record(0, record)))[-1] for record in made] == list(numbers)


def test_the_content_of_an_artifact_record():
    content = read_canonical(encode_record(0, ARTIFACT))["artifact"]
    assert set(re.findall("`(\\w+)`", row_of("10.2 Tails", "artifact")[1])) == set(content)


def test_the_readings_of_columns():
    listed = set(words("10.4 Columns")) - {"decimal-E"} | {f"decimal-{digits}" for digits in range(10)}
    assert listed == planes._READINGS
    assert f"up to {planes.BIG_PLANES} planes" in PAGE


def test_the_columns_and_keys_of_a_segment():
    made = [records.Points(1, 2, 3, {"a": 0.5}), records.Points(1, 2.5, 3, {}), records.Summary({"b": 1}, 3)]
    data = segments.encode_segment("log", 0, made)
    tensors_, about = segments._decode_header(data)
    listed = words("10.3 Segments", 2)
    assert [name.replace("values.0", "values.M") for name in tensors_ if name != "values.1"] == listed
    assert set(words("10.3 Segments", 1)) == set(about)
    assert set(about["columns"]) == set(tensors_)


def test_the_keys_of_a_run_and_its_statuses():
    made = encode_state(begin_attempt(new_state("a", created=1, status="running"), Attempt(1)))
    assert set(words("11. Runs")) == set(made)
    assert keys_in(row_of("11. Runs", "attempts")[1]) == set(made["attempts"][0])
    assert set(words("11. Runs", 1)) == set(STATUSES)


def test_the_settings_and_their_defaults():
    listed = {row[0].strip("`"): row[1].strip("`") for row in tables("13. The rest")[0]}
    defaults = {name: str(value).replace("None", "null").replace("True", "true") for name, value in settings.Settings().by_name().items()}
    assert listed == defaults


def test_a_new_store_has_the_files_that_the_page_names(tmp_path):
    layout = create_layout(tmp_path / ".onyx", b"")
    shown = PAGE.partition("```text\n.onyx/")[2].partition("```")[0]
    assert [path.name for path in sorted(layout.root.iterdir()) if path.name not in shown] == []
    assert layout.format.read_bytes()[9:-1].decode() == re.search(r"`format` holds `(.*?)`", PAGE)[1]
    assert f"This is format {FORMAT}." in PAGE
    assert tables("18. Changes")[0][-1][0] == str(FORMAT)


def size(count):
    """A number of bytes as the page spells it."""
    units = [(1 << 30, "GiB"), (1 << 20, "MiB")]
    return next((f"{count // unit} {name}" for unit, name in units if count % unit == 0), f"{count:,} bytes")


def test_the_limits():
    listed = dict(tables("17. Limits")[0])
    assert listed == {
        "file of one line": size(linefile.LARGEST_LINE),
        "file of lines; a tail": f"{size(linefile.LARGEST_LOG)}; {size(log.LARGEST_TAIL)}",
        "loose object that is read into memory (larger ones, artifacts, are streamed)": size(loose.LARGEST),
        "window of a loose object's frame; of a plane's frame": f"{size(loose._LARGEST_WINDOW)}; {size(LARGEST_WINDOW)}",
        "chunk; as writers cut it": f"{size(MAX_CHUNK_BYTES)}; {size(CHUNK_BYTES)}",
        "chunks in a pack; raw bytes, as writers split it": f"{pack_format.MAX_CHUNKS:,}; {size(PACK_BYTES)}",
        "header of a pack": size(pack_format.MAX_HEADER_BYTES),
        "header of a committed safetensors file": size(HEADER_LIMIT),
        "containers within one another in a tree; levels of JSON elsewhere": f"{walk.MAX_DEPTH}; {MAX_DEPTH}",
        "digits of an `int` tag": "4,000",
        "dimensions; bytes of a tensor": f"{tensors.MAX_DIMENSIONS}; 2^{tensors._LARGEST.bit_length() - 1}",
        "settings": size(settings.LARGEST),
    }


def test_the_sizes_in_the_text():
    assert f"writers cut at {CHUNK_BYTES:,} today" in PAGE
    cell = row_of("8.2 The tree object", "chunk_bytes")[1]
    assert f"from {chunking.MIN_CHUNK_BYTES:,} to {chunking.MAX_CHUNK_BYTES:,}, a multiple of {chunking.CHUNK_UNIT}" in cell
    assert f"longer ones than {tree.SHORT_BYTES:,}" in PAGE
    assert f"integer of up to {records.INT_BITS:,} bits" in PAGE.replace("\n", " ")
    assert f"up to ±2^{records.LARGEST_EPOCH.bit_length() - 1}" in PAGE
