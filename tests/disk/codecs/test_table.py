import pytest

from onyxstore.disk.codecs.codec import MAX_CHUNK_BYTES
from onyxstore.disk.codecs.table import CODECS, get_codec


def test_numbers_names_and_words_are_those_of_the_format():
    assert [(codec.number, codec.name, codec.word) for codec in CODECS] == [
        (0, "plain", 1),
        (1, "planes-16", 2),
        (2, "planes-32", 4),
        (3, "planes-64", 8),
        (4, "rotated-16", 2),
        (5, "rotated-32", 4),
    ]


def test_a_codec_is_found_by_its_name():
    assert [get_codec(codec.name) for codec in CODECS] == list(CODECS)


@pytest.mark.parametrize("name", ["", "rotated-64", "PLAIN", None, 0, ["plain"], "x" * 10_000])
def test_what_names_no_codec_is_refused_in_a_short_line(name):
    with pytest.raises(ValueError, match="no codec is called") as caught:
        get_codec(name)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_planes_are_as_many_as_the_bytes_of_a_word_and_together_as_large_as_the_chunk(codec):
    assert codec.plane_sizes(24 * codec.word) == (24,) * codec.word


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("size", [0, -8, MAX_CHUNK_BYTES + 8, 2**64])
def test_a_chunk_that_is_empty_or_larger_than_the_format_allows_is_refused(codec, size):
    with pytest.raises(ValueError, match="has no chunk of"):
        codec.plane_sizes(size)


@pytest.mark.parametrize("codec", [codec for codec in CODECS if codec.word > 1], ids=lambda codec: codec.name)
def test_a_chunk_of_broken_words_is_refused(codec):
    with pytest.raises(ValueError, match="has no chunk of"):
        codec.plane_sizes(8 * codec.word + 1)
