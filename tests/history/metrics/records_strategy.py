"""Records of every kind, with the values that number formats trip over."""

from hypothesis import strategies as st

from onyxstore.hashing import address_of
from onyxstore.history.metrics.prefix import encode_binary
from onyxstore.history.metrics.records import Artifact, Points, Rewind, Summary

NAMES = st.sampled_from(["loss", "train/acc", "null", "größe", "a b", "NaN", '"quoted"']) | st.text("abcé/_", min_size=1, max_size=8)
TIMES = st.integers(0, 2**62) | st.integers(-(2**63), 2**63 - 1)
STEPS = st.integers(0, 100) | st.integers(-(2**63), 2**63 - 1)
EPOCHS = st.none() | st.integers(-3, 50) | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
ROUNDED = st.decimals(-9, 9, places=3).map(float)
FLOATS = st.floats() | st.floats(width=32) | st.sampled_from([-0.0, 5e-324, 1e-5, 1e16, 0.1, float("inf")]) | ROUNDED
WIDE = st.sampled_from([2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64, -(2**999)]) | st.integers(-(2**1000) + 1, 2**1000 - 1)
INTS = st.integers(-5, 5) | WIDE
VALUES = FLOATS | INTS | st.booleans()
METRICS = st.dictionaries(NAMES, VALUES, max_size=4)

POINTS = st.builds(Points, STEPS, EPOCHS, TIMES, METRICS)
REWINDS = st.builds(Rewind, STEPS, EPOCHS, TIMES)
SUMMARIES = st.builds(Summary, METRICS, TIMES)
ADDRESSES = st.binary(max_size=2).map(address_of)
ARTIFACTS = st.builds(Artifact, NAMES, ADDRESSES, st.integers(0, 2**63 - 1), NAMES, st.none() | STEPS, EPOCHS, TIMES)
RECORDS = POINTS | REWINDS | SUMMARIES | ARTIFACTS


def same(records):
    """A form in which equal means the same: bits of floats, kinds of numbers and the order of names included, NaN equal to NaN."""
    return [(encode_binary(record), list(getattr(record, "values", {}))) for record in records]


def points(*losses, start=0, epoch=None):
    """One record a loss, at ascending steps."""
    return [Points(step, epoch, 1_000_000_000 * step, {"loss": loss}) for step, loss in enumerate(losses, start)]
