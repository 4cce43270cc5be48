"""What moves refs, as rows and as cells."""

from onyxstore.cli.ref_rows import change_cells, change_row, held, ref_style
from onyxstore.cli.screen import Painted, plain
from onyxstore.store.removing import RefChange

A = "ab" * 32


def test_what_a_ref_holds_is_an_address_a_run_or_nothing():
    assert [plain(held(ref)) for ref in ({"commit": A, "metric": "loss"}, {"run": "main"}, None)] == ["ababababab", "run main", "nothing"]


def test_a_change_leads_from_one_to_the_other():
    change = RefChange("best", {"commit": A}, None)
    (cells,) = change_cells([change])
    assert [plain(cell) for cell in cells] == ["best", "ababababab", "->", "nothing"]
    assert change_row(change) == {"ref": "best", "old": {"commit": A}, "new": None}


def test_refs_are_painted_as_they_are_elsewhere():
    assert [ref_style(name) for name in ("HEAD", "latest", "a@best", "paper")] == ["head", "ref", "ref", "tag"]
    assert isinstance(change_cells([RefChange("HEAD", None, None)])[0][0], Painted)
