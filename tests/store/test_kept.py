from hypothesis import given
from hypothesis import strategies as st

from onyxstore.history.metrics.standing import Standing, Statistics
from onyxstore.store.kept import NOTHING, Kept, decode_kept, encode_kept
from tests.history.metrics.records_strategy import EPOCHS, NAMES, STEPS, VALUES
from tests.store.test_index_rows import NUMBERS, exact

CURVES = st.dictionaries(NAMES, st.builds(Statistics, VALUES, NUMBERS, NUMBERS, st.integers(1, 2**40)), max_size=3)
GIVEN = st.dictionaries(NAMES, VALUES, max_size=3)
STANDINGS = st.builds(Standing, st.text("0123456789abcdef", max_size=32), st.integers(0, 2**40), CURVES, GIVEN, st.none() | STEPS, EPOCHS)
ADDRESSES = st.none() | st.just("ab" * 32)
KEPT = st.builds(Kept, STANDINGS, CURVES, st.integers(0, 99), ADDRESSES, ADDRESSES, GIVEN, GIVEN, GIVEN)


@given(KEPT)
def test_what_is_kept_comes_back_as_it_was(kept):
    assert exact(decode_kept(encode_kept(kept))) == exact(kept)


def test_nothing_is_kept_of_a_run_that_nobody_has_read():
    assert decode_kept(encode_kept(NOTHING)) == NOTHING
