"""Whatever a training shows becomes the pixels that it showed, and the PNG that everyone reads."""

import io
import subprocess
import sys
import zlib

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from matplotlib.figure import Figure
from PIL import Image as Pil

from onyxstore.errors import BadInput
from onyxstore.tracking import media
from onyxstore.tracking.media import encode_png, to_images
from onyxstore.tracking.recorded import Image

RNG = np.random.default_rng(0)


def pixels(value, name="image"):
    """The pixels of the one picture that a value is."""
    (image,) = to_images(value, name)
    assert image.pixels.dtype == np.uint8
    assert image.pixels.flags.c_contiguous
    return image.pixels


def shapes(value):
    return [image.pixels.shape for image in to_images(value)]


def ramp(*shape):
    """Bytes that are all different as far as there are so many."""
    return np.arange(np.prod(shape)).reshape(shape).astype(np.uint8)


# ------------------------------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_first_and_last_are_the_same_picture(channels):
    last = ramp(5, 7, channels)
    first = np.moveaxis(last, -1, 0)
    for value in [last, first, torch.tensor(last), torch.tensor(first.copy())]:
        np.testing.assert_array_equal(pixels(value), last)


def test_two_axes_are_a_grey_picture():
    np.testing.assert_array_equal(pixels(ramp(5, 7)), ramp(5, 7)[:, :, None])


def test_where_both_ends_could_be_channels_each_library_has_its_habit():
    both = ramp(3, 3, 3)
    np.testing.assert_array_equal(pixels(both), both)
    np.testing.assert_array_equal(pixels(torch.tensor(both)), np.moveaxis(both, 0, -1))
    assert (shapes(np.zeros((1, 9, 4))), shapes(torch.zeros(1, 9, 4))) == ([(1, 9, 4)], [(9, 4, 1)])


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor], ids=["numpy", "torch"])
def test_batches_are_pictures_in_their_order(kind):
    batch = ramp(6, 2, 5, 3)
    for value in [batch, np.moveaxis(batch, -1, 1).copy()]:
        images = to_images(kind(value))
        assert [image.pixels.tolist() for image in images] == batch.tolist()


def test_three_axes_without_channels_are_grey_pictures():
    heads = ramp(12, 5, 7)
    assert [image.pixels[:, :, 0].tolist() for image in to_images(heads)] == heads.tolist()


def test_lists_are_their_items_one_after_another_however_nested():
    assert shapes([np.zeros((2, 2)), (torch.zeros(5, 3, 4, 4), [Pil.new("RGBA", (7, 6))])]) == [(2, 2, 1), *[(4, 4, 3)] * 5, (6, 7, 4)]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.zeros(5), "has the shape (5,); a picture has two axes"),
        (np.float32(1), "has the shape ()"),
        (torch.zeros(1, 1, 1, 1, 1), "has the shape (1, 1, 1, 1, 1)"),
        (np.zeros((0, 3)), "has the shape (0, 3)"),
        (torch.zeros(0, 3, 8, 8), "has the shape (0, 3, 8, 8)"),
        (Pil.new("L", (0, 4)), "has the shape (4, 0)"),
        (np.zeros((2, 5, 6, 7)), "has the shape (2, 5, 6, 7), and channels (1, 3 or 4) are at neither end of its last three axes"),
        (np.zeros((2, 2), complex), "has values of the kind complex128"),
        (torch.zeros(2, 2, dtype=torch.complex64), "has values of the kind complex64"),
        (np.full((2, 2), None), "has values of the kind object"),
        (np.full((2, 2), "x"), "has values of the kind <U1"),
        ([], "is an empty list"),
        ("cat.png", "is a str; a tensor, an array"),
        (None, "is a NoneType"),
        (torch.nn.Linear(1, 1), "is a Linear of torch, no tensor"),
        (torch.zeros(3, 8192, 4097), "has 33,562,624 pixels, 33,554,432 is the most"),
        (np.broadcast_to(np.uint8(0), (1 << 20, 1 << 20)), "has 1,099,511,627,776 pixels"),
    ],
)
def test_what_is_no_picture_is_refused_by_its_name(value, words):
    with pytest.raises(BadInput) as caught:
        to_images(value, "attention")
    assert str(caught.value).startswith(f"the image 'attention' {words}")


def test_an_item_is_refused_by_its_place():
    with pytest.raises(BadInput, match=r"^the image 'a\[1\]\[0\]' has the shape \(5,\)"):
        to_images([np.zeros((2, 2)), [np.zeros(5)]], "a")


def test_an_8k_screen_is_let_through():
    assert shapes(np.broadcast_to(np.uint8(7), (4320, 7680, 3))) == [(4320, 7680, 3)]


# ------------------------------------------------------------------------------------------------------------- values


def values_of(*numbers, dtype=np.float64):
    return pixels(np.array([numbers], dtype)).ravel().tolist()


def test_floats_from_0_to_1_are_shares_of_255():
    assert values_of(0, 0.5, 1, 0.25) == [0, 128, 255, 64]
    assert values_of(0.25, 0.5) == [64, 128]


def test_other_floats_are_stretched_from_the_smallest_to_the_largest():
    assert values_of(-1, 0, 1) == [0, 128, 255]
    assert values_of(0, 51, 255) == [0, 51, 255]
    assert values_of(5, 5) == [0, 0]
    assert values_of(-1e308, 0, 1e308) == [0, 128, 255]
    assert values_of(-3e38, 0, 3e38, dtype=np.float32) == [0, 128, 255]


def test_not_a_number_is_black_and_infinity_the_largest_there_is():
    nan, inf = np.nan, np.inf
    assert values_of(0.5, nan, 1) == [128, 0, 255]
    assert values_of(-1, nan, 3, inf, -inf) == [0, 0, 255, 255, 0]
    assert values_of(0.25, inf, 0.5, -inf) == [64, 128, 128, 64]
    assert values_of(nan, nan) == [0, 0]
    assert values_of(inf, -inf, nan) == [255, 0, 0]


def test_integers_are_bytes_where_they_fit_and_stretched_where_not():
    assert values_of(0, 7, 255, dtype=np.int64) == [0, 7, 255]
    assert values_of(0, 1, dtype=np.uint16) == [0, 1]
    assert values_of(0, 32896, 65535, dtype=np.uint16) == [0, 128, 255]
    assert values_of(-128, 127, dtype=np.int8) == [0, 255]
    assert values_of(-(2**63), 2**63 - 1, dtype=np.int64) == [0, 255]
    assert values_of(0, 1, dtype=bool) == [0, 255]


def test_pictures_of_one_array_are_stretched_together_and_those_of_a_list_apart():
    dark, light = np.full((5, 5), -1.0), np.full((5, 5), 1.0)
    assert [image.pixels.max() for image in to_images(np.stack([dark, light]))] == [0, 255]
    assert [image.pixels.max() for image in to_images([dark, light])] == [0, 255]
    assert [image.pixels.max() for image in to_images([dark, 2 * light])] == [0, 0]


@given(arrays.arrays(np.float64, (2, 8), elements=st.floats(allow_nan=False, allow_infinity=False)))
def test_stretching_keeps_the_order_and_uses_all_there_is(values):
    seen = pixels(values).ravel().astype(int)
    order = np.argsort(values.ravel(), kind="stable")
    assert (np.diff(seen[order]) >= 0).all()
    low, high = values.min(), values.max()
    if (low < 0 or high > 1) and high / 2 > low / 2:
        assert (seen.min(), seen.max()) == (0, 255)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.float8_e4m3fn])
def test_every_float_of_torch_is_shown(dtype):
    shown = pixels(torch.tensor([[0, 0.5, 1]]).to(dtype))
    assert shown.ravel().tolist() == [0, 128, 255]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64, torch.uint16])
def test_every_integer_of_torch_is_shown(dtype):
    assert pixels(torch.tensor([[0, 7, 255]]).to(dtype)).ravel().tolist() == [0, 7, 255]


def test_what_autograd_hangs_on_is_shown_as_it_is():
    weight = torch.nn.Parameter(torch.tensor([[0.0, 1.0]]))
    assert pixels(weight * 0.5).ravel().tolist() == [0, 128]
    assert pixels(torch.tensor([[True, False]])).ravel().tolist() == [255, 0]
    assert pixels(torch.view_as_complex(torch.tensor([[[0.0, -1.0]]])).conj().imag).ravel().tolist() == [255]
    assert pixels(torch.eye(2).to_sparse()).ravel().tolist() == [255, 0, 0, 255]


def test_a_picture_does_not_change_with_what_it_was_made_of():
    for value in [np.zeros((2, 2), np.uint8), torch.zeros(2, 2, dtype=torch.uint8)]:
        shown = pixels(value)
        value[:] = 9
        assert shown.max() == 0


class OfAnotherLibrary:
    """What jax's arrays and their like have in common."""

    def __array__(self, dtype=None, copy=None):
        return np.ones((2, 3))


def test_whatever_gives_an_array_is_one():
    assert pixels(OfAnotherLibrary()).tolist() == np.full((2, 3, 1), 255).tolist()


# ------------------------------------------------------------------------------------------------------ PIL, matplotlib


COLOURED = Pil.fromarray(RNG.integers(0, 256, (5, 7, 3), np.uint8))


SHOWN_AS = {
    "L": ["1", "L", "I"],
    "RGB": ["P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"],
    "RGBA": ["LA", "PA", "RGBA", "RGBa"],
}


@pytest.mark.parametrize(("mode", "shown_as"), [(mode, shown_as) for shown_as, modes in SHOWN_AS.items() for mode in modes])
def test_every_mode_of_pil_is_shown_as_pil_shows_it(mode, shown_as):
    picture = COLOURED.convert("RGBA").convert(mode) if shown_as == "RGBA" else COLOURED.convert(mode)
    expected = np.asarray(picture.convert(shown_as))
    np.testing.assert_array_equal(pixels(picture), expected.reshape(5, 7, -1))


def test_pictures_of_many_bits_are_numbers():
    deep = Pil.fromarray(np.array([[0, 65535]], np.uint16))
    assert pixels(deep).ravel().tolist() == [0, 255]
    assert pixels(Pil.fromarray(np.array([[0.0, 0.5]], np.float32))).ravel().tolist() == [0, 128]
    assert pixels(Pil.new("La", (2, 1))).shape == (1, 2, 4)
    assert pixels(Pil.new("LAB", (2, 1))).shape == (1, 2, 3)


def test_a_palette_with_a_clear_colour_stays_clear():
    palette = COLOURED.convert("P")
    palette.info["transparency"] = 0
    assert pixels(palette).shape == (5, 7, 4)


def red_figure(**options):
    figure = Figure(figsize=(2, 1), dpi=50, facecolor="red", **options)
    figure.add_subplot().set_facecolor("blue")
    return figure


def test_a_figure_is_shown_at_its_own_size():
    shown = pixels(red_figure())
    assert (shown.shape, shown[0, 0].tolist(), shown[25, 50].tolist()) == ((50, 100, 3), [255, 0, 0], [0, 0, 255])


def test_an_axis_or_a_subfigure_shows_the_figure_that_it_is_in():
    figure = red_figure()
    part = figure.subfigures(1, 2)[0]
    for artist in [figure.axes[0], part, part.add_subplot().set_title("x")]:
        np.testing.assert_array_equal(pixels(artist), pixels(figure))


def test_an_artist_without_a_figure_is_refused():
    with pytest.raises(BadInput, match="^the image 'a' is a Line2D that stands in no figure$"):
        to_images(mpl.lines.Line2D([0], [0]), "a")


def test_a_clear_figure_stays_clear():
    with mpl.rc_context({"savefig.transparent": True}):
        assert pixels(red_figure()).shape == (50, 100, 4)


def test_a_figure_too_large_is_refused_before_it_is_drawn():
    with pytest.raises(BadInput, match="^the image 'a' has 100,000,000 pixels"):
        to_images(Figure(figsize=(100, 100), dpi=100), "a")


@pytest.mark.parametrize("backend", ["Agg", "svg"])
def test_showing_a_figure_leaves_pyplot_and_the_figure_as_they_were(backend):
    plt.switch_backend(backend)
    before = plt.figure()
    figure, axes = plt.subplots(figsize=(2, 1))
    plt.figure(before)
    state = (figure.canvas, figure.canvas.manager, figure.dpi, figure.get_facecolor(), mpl.get_backend())
    shown = [pixels(figure), pixels(axes)]
    assert (figure.canvas, figure.canvas.manager, figure.dpi, figure.get_facecolor(), mpl.get_backend()) == state
    assert (plt.gcf(), plt.get_fignums()) == (before, [before.number, figure.number])
    np.testing.assert_array_equal(*shown)
    plt.close("all")


def test_nothing_is_imported_for_values_that_are_not_there():
    code = (
        "import sys, numpy; from onyxstore.tracking.media import to_images, encode_png; encode_png(*to_images(numpy.eye(3)));"
        "print({'torch', 'PIL', 'matplotlib'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# ---------------------------------------------------------------------------------------------------------------- PNG


def read_png(data):
    picture = Pil.open(io.BytesIO(data))
    picture.verify()
    return np.asarray(Pil.open(io.BytesIO(data)))


@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3, 4])).flatmap(lambda shape: arrays.arrays(np.uint8, shape)),
)
def test_a_png_is_read_as_the_pixels_that_were_written(values):
    np.testing.assert_array_equal(read_png(encode_png(Image(values))).reshape(values.shape), values)


def test_a_png_is_the_same_for_the_same_pixels_whatever_their_memory():
    values = RNG.integers(0, 256, (6, 8, 3), np.uint8)
    assert encode_png(Image(values)) == encode_png(Image(np.asfortranarray(values)))


def test_a_png_of_a_photograph_is_smaller_than_its_bytes_compressed():
    y, x = np.mgrid[:200, :200]
    smooth = np.stack([128 + 100 * np.sin(x / 40), 128 + 100 * np.cos(y / 30), (x + y) / 2], axis=-1) + RNG.normal(0, 2, (200, 200, 3))
    values = smooth.clip(0, 255).astype(np.uint8)
    assert len(encode_png(Image(values))) < 0.85 * len(zlib.compress(values.tobytes(), 9))


def test_the_bound_is_an_8k_screen():
    assert 7680 * 4320 <= media.LARGEST < 2 * 7680 * 4320
