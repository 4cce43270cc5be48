"""What a training shows, as pictures: tensors, arrays, PIL images and figures become uint8 pixels, and pixels a PNG.

Shapes. Two axes are a grey picture. Three are one with its channels where the value's library keeps them (first in torch, last
elsewhere) if that axis is 1, 3 or 4 long, else at the other end if that one is; so (3, 3, 3) is read by its library's habit, and
(3, 64, 64) and (64, 64, 3) are the same picture in both. With channels at neither end the first axis counts grey pictures. Four axes
are a batch of three.

Values. Bools are black and white. Integers that all lie in 0..255 are taken as they are, floats that all lie in 0..1 as shares of 255.
Everything else is stretched: the smallest value is black, the largest white, over all pictures of one array together, so that they can
be compared. NaN is black; an infinity is like the largest or smallest number beside it.

What a value is, is known by the module of its type: nothing is imported for values that aren't there.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onyxstore.errors import BadInput
from onyxstore.tracking.recorded import Image

LARGEST = 1 << 25
"""Pixels of one picture: an 8K screen has 33.2 million. More is a mistake or a scan, and an artifact holds that as the file it is."""

_CHANNELS = frozenset({1, 3, 4})

_Numbers = NDArray[Any]


def to_images(value: Any, name: str = "image") -> tuple[Image, ...]:
    """The pictures of a value, copied: a tensor, an array, a PIL image, a figure or one of its axes, or a list of these.

    BadInput, which calls the value by `name`, for what is none of these, has no pixels, or too many.
    """
    if isinstance(value, list | tuple):
        if not value:
            raise _refusal(name, "is an empty list")
        return tuple(image for number, item in enumerate(value) for image in to_images(item, f"{name}[{number}]"))
    library = _library_of(value)
    if library == "PIL":
        return _from_array(_read_pil(value, name), name)
    if library == "matplotlib":
        return _from_array(_render(value, name), name)
    if library == "torch":
        return _from_array(_read_tensor(value, name), name, channels_first=True)
    if not hasattr(value, "__array__"):
        raise _refusal(name, f"is a {type(value).__name__}; a tensor, an array, a PIL image, a figure or a list of these would be one")
    return _from_array(np.asarray(value), name)


def encode_png(image: Image) -> bytes:
    """The picture as a PNG file: the same bytes for the same pixels and the same zlib.

    Written by hand, for the local store would otherwise need an imaging library to keep an array that it already has. The format is
    frozen (ISO 15948), and of all that a reader must understand a writer needs three chunks: header, pixels, end.
    """
    height, width, channels = image.pixels.shape
    colour = {1: 0, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    # Level 6 of zlib: 9 takes five times as long on a plot, for 4 percent.
    pixels = zlib.compress(_filter_rows(image.pixels), 6)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


# --------------------------------------------------------------------------------------------------- of which library


def _library_of(value: Any) -> str:
    """The package that the value's class, or one that it derives from, is of."""
    roots = [kind.__module__.partition(".")[0] for kind in type(value).__mro__]
    return next((root for root in roots if root in {"torch", "PIL", "matplotlib"}), "")


def _read_tensor(tensor: Any, name: str) -> _Numbers:
    import torch  # noqa: PLC0415 - the value is of it, so it is loaded

    if not isinstance(tensor, torch.Tensor):
        raise _refusal(name, f"is a {type(tensor).__name__} of torch, no tensor")
    _find_channels(tensor.shape, name, channels_first=True)
    still = tensor.detach()
    still = still.to_dense() if still.layout != torch.strided else still
    # float32 holds every value of the 16- and 8-bit floats, which numpy lacks.
    short = still.is_floating_point() and still.element_size() < 4
    return np.asarray(still.cpu().to(torch.float32 if short else still.dtype).resolve_conj().resolve_neg().numpy())


def _read_pil(picture: Any, name: str) -> _Numbers:
    """Its values: grey, RGB or RGBA, converted where the mode is none of these. I and F are numbers of any size, and stay so."""
    _find_channels((picture.height, picture.width), name)
    mode = picture.mode
    if mode in {"1", "L", "RGB", "RGBA", "I", "F"} or mode.startswith("I;"):
        return np.asarray(picture)
    if mode == "La":
        picture = picture.convert("LA")
    is_clear = mode in {"LA", "La", "PA", "RGBa"} or "transparency" in picture.info
    return np.asarray(picture.convert("RGBA" if is_clear else "RGB"))


def _render(artist: Any, name: str) -> _Numbers:
    """The whole figure that `artist` is, or is in, as `savefig` draws it: on a canvas of its own, at the figure's own size.

    `savefig` puts the figure's canvas back, whichever window it belongs to; a canvas made for the figure would take its place.
    """
    from PIL import Image as Pil  # noqa: PLC0415 - matplotlib, which is loaded, needs it

    figure = artist
    while figure is not None and not hasattr(figure, "savefig"):
        figure = getattr(figure, "figure", None)
    if figure is None:
        raise _refusal(name, f"is a {type(artist).__name__} that stands in no figure")
    width, height = figure.get_size_inches() * figure.dpi
    _find_channels((int(height), int(width)), name)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi="figure", pil_kwargs={"compress_level": 0})
    with Pil.open(drawn) as picture:
        pixels = np.asarray(picture.convert("RGBA"))
    return pixels if pixels[..., 3].min() < 255 else pixels[..., :3]


# ----------------------------------------------------------------------------------------------------- shapes, values


def _from_array(array: _Numbers, name: str, *, channels_first: bool = False) -> tuple[Image, ...]:
    axis = _find_channels(array.shape, name, channels_first=channels_first)
    pictures = array[..., np.newaxis] if axis is None else np.moveaxis(array, axis, -1)
    values = _to_bytes(pictures, name)
    return tuple(Image(np.ascontiguousarray(each)) for each in (values[np.newaxis] if values.ndim == 3 else values))


def _find_channels(shape: tuple[int, ...], name: str, *, channels_first: bool = False) -> int | None:
    """The axis of channels, -3 or -1, None if there is none; BadInput for a shape without pixels, with too many, or of no picture."""
    if len(shape) not in {2, 3, 4} or 0 in shape:
        raise _refusal(name, f"has the shape {tuple(shape)}; a picture has two axes, or three with its channels, a batch four")
    ends = (-3, -1) if channels_first else (-1, -3)
    axis = next((end for end in ends if len(shape) > 2 and shape[end] in _CHANNELS), None)
    if len(shape) == 4 and axis is None:
        raise _refusal(name, f"has the shape {tuple(shape)}, and channels (1, 3 or 4) are at neither end of its last three axes")
    pixels = math.prod(shape[-2:]) if axis is None else math.prod(shape[-3:]) // shape[axis]
    if pixels > LARGEST:
        raise _refusal(name, f"has {pixels:,} pixels, {LARGEST:,} is the most; an artifact may be larger")
    return axis


def _to_bytes(values: _Numbers, name: str) -> NDArray[np.uint8]:
    """The values as bytes, never the caller's own memory."""
    kind = values.dtype.kind
    if kind not in "buif":
        raise _refusal(name, f"has values of the kind {values.dtype}, which are no brightness")
    if kind == "b":
        return np.where(values, np.uint8(255), np.uint8(0))
    if kind in "ui":
        are_bytes = values.dtype == np.uint8 or (values.min() >= 0 and values.max() <= 255)
        return values.astype(np.uint8) if are_bytes else _stretch(values.astype(np.float64))
    numbers = values.astype(np.float32) if values.dtype.itemsize < 4 else values
    return _rounded(numbers) if ((numbers >= 0) & (numbers <= 1)).all() else _stretch(numbers)


def _stretch(values: _Numbers) -> NDArray[np.uint8]:
    """From the smallest number, which is black, to the largest, which is white; where all are in 0..1 they stay what they are."""
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    shares = np.clip(values, low, high)
    if low < 0 or high > 1:
        # By halves: the difference of the largest and the smallest number is none of their kind.
        shares = (shares / 2 - low / 2) / ((high / 2 - low / 2) or 1.0)
    return _rounded(np.where(np.isnan(shares), 0.0, shares))


def _rounded(shares: _Numbers) -> NDArray[np.uint8]:
    return np.rint(shares * 255.0).astype(np.uint8)


def _refusal(name: str, why: str) -> BadInput:
    return BadInput(f"the image '{name}' {why}")


# ---------------------------------------------------------------------------------------------------------------- PNG


def _filter_rows(pixels: NDArray[np.uint8]) -> bytes:
    """Each row as its difference to the row above, after the byte that says so: photographs lose a fifth by it, plots nothing."""
    height, width, channels = pixels.shape
    rows = pixels.reshape(height, width * channels)
    filtered = np.empty((height, 1 + width * channels), np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    return filtered.tobytes()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
