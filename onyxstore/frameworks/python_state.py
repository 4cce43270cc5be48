"""The state of Python's global random generator.

`random.getstate()` is a tuple of 625 ints, which as JSON would be 7 kB in every commit of a run; here it is an array of 32-bit
words, as the generator itself holds them.
"""

from __future__ import annotations

import random
import struct
from typing import Any

from onyxstore.errors import BadInput
from onyxstore.history.checkpoints.tensors import Leaf

_WORDS = "<625I"


def capture_rng() -> dict[str, Any]:
    """The generator's state; draws nothing."""
    layout, words, gauss = random.getstate()
    return {"gauss": gauss, "layout": layout, "words": Leaf("uint32", (len(words),), struct.pack(_WORDS, *words), "numpy.array")}


def restore_rng(state: Any) -> None:
    """Gives the generator a state; BadInput when it is none of this Python's."""
    try:
        words = struct.unpack(_WORDS, state["words"].data)
        random.setstate((state["layout"], words, state["gauss"]))
    except (AttributeError, KeyError, TypeError, ValueError, struct.error) as error:
        raise BadInput(f"Python's generator does not take the stored state: {error}") from None
