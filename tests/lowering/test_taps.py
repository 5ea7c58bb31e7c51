"""The table of tiles, walked in plain Python, against windows counted by brute force."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fastconv import ShapeError
from fastconv.geometry import window_geometry
from fastconv.lowering.taps import LONGEST_SUM, TILE_WORDS, Image, tile_table
from tests import oracle
from tests.strategies import axis_arguments

WIDTHS = [(3, 2, 1), (4, 2, 1), (6, 3, 1), (8, 2, 1), (3, 1), (2, 1)]
START = 9


def geometry_of(axes):
    sizes, kernel, stride, pads, dilation = zip(*axes, strict=True)
    try:
        return window_geometry((1, 1, *sizes), kernel, stride, pads, dilation)
    except ShapeError:
        assume(False)


def pieces(table, lanes):
    """Yield (position, vectors, place in y, segments, stores) of every tile.

    Segments are (place in the weights, shift, channels, flush, mask), stores (first lane, shift,
    mask); a mask is an array of bools.
    """
    tiles = (int(table[3]) - START) // TILE_WORDS

    def mask(words):
        return np.array([[word >> lane & 1 for lane in range(lanes)] for word in words], bool)

    for tile in range(tiles):
        words = table[tile * TILE_WORDS : (tile + 1) * TILE_WORDS].tolist()
        vectors, position, place, first, end, lists = words
        assert (end - first) % (4 + vectors) == 0
        segments = []
        for entry in range(first - START, end - START, 4 + vectors):
            row, shift, channels, flush = table[entry : entry + 4].tolist()
            bits = table[entry + 4 : entry + 4 + vectors].tolist()
            assert all(0 <= word < 1 << lanes for word in bits)
            segments.append((row, shift, channels, flush, mask(bits).ravel()))
        stores, entry = [], lists - START
        for vector in range(vectors):
            for _ in range(int(table[entry])):
                bits, shift = table[entry + 1 : entry + 3].tolist()
                stores.append((vector * lanes, shift, mask([bits])[0]))
                entry += 2
            entry += 1
        assert entry <= len(table)
        yield position, vectors, place, segments, stores


def packed_order(channels, block, taps):
    """(channel, tap) of each row of packed weights."""
    return [
        (channel, tap)
        for first in range(0, channels, block)
        for tap in range(taps)
        for channel in range(first, min(channels, first + block))
    ]


def read_by(image, element):
    """The input element that a place of a channel's image holds; it may be none."""
    counts = tuple(map(len, image.phases))
    number, place = divmod(element, image.phase_elements)
    phase = np.unravel_index(number, counts)
    steps = np.unravel_index(place, image.sizes)
    return tuple(
        int(step) * axis.stride + phases[int(which)]
        for step, axis, phases, which in zip(steps, image.axes, image.phases, phase, strict=True)
    )


def check(axes, lanes, widths, channels=1, block=64):
    geometry = geometry_of(axes)
    image = Image(geometry.axes)
    sizes, kernel, stride, pads, dilation = zip(*axes, strict=True)
    table = tile_table(image, channels, block, lanes, widths, START)
    assert table.dtype == np.int64
    order = packed_order(channels, block, geometry.taps)
    taps = list(itertools.product(*map(range, kernel)))
    written = np.zeros(geometry.positions, int)
    covered = 0
    for position, vectors, place, segments, stores in pieces(table, lanes):
        assert position == covered
        assert vectors in widths
        covered += vectors * lanes
        reads = [[] for _ in range(vectors * lanes)]
        for row, shift, count, _, mask in segments:
            assert mask.any()
            for lane, channel in itertools.product(np.flatnonzero(mask), range(count)):
                element = position + int(lane) + shift + channel * image.elements
                where, inside = divmod(element, image.elements)
                assert 0 <= where < channels
                weight_channel, tap = order[row + channel]
                assert weight_channel == where
                reads[lane].append((where, taps[tap], read_by(image, inside)))
        for first, shift, mask in stores:
            assert mask.any()
            for lane in np.flatnonzero(mask):
                output = place + shift + int(lane)
                assert 0 <= output < geometry.positions
                written[output] += 1
                at = tuple(map(int, np.unravel_index(output, geometry.out)))
                wanted = [
                    (channel, *found)
                    for channel in range(channels)
                    for found in oracle.taps_inside(at, sizes, kernel, stride, pads, dilation)
                ]
                assert sorted(reads[first + lane]) == sorted(wanted)
                reads[first + lane] = []
        assert not any(reads), "what is not stored reads nothing"
    assert (written == 1).all()


LANES = st.sampled_from([2, 4, 8, 16])
EXAMPLES = [
    ([(1, 1, 1, (0, 0), 1)], 16, (3, 2, 1)),
    ([(3, 5, 1, (4, 0), 1)], 4, (3, 1)),
    ([(2, 3, 1, (5, 5), 5)], 4, (2, 1)),  # the middle tap reads input, the others none
    ([(1, 1, 3, (4, 4), 1)], 8, (3, 2, 1)),  # windows of padding only
    ([(5, 3, 1, (1, 1), 1), (3, 3, 1, (3, 3), 1)], 4, (3, 2, 1)),  # wider output than input
    ([(1, 1, 1, (3, 2), 1), (4, 2, 1, (0, 0), 1)], 4, (3, 2, 1)),  # higher
    ([(7, 3, 2, (1, 1), 1), (9, 3, 2, (1, 1), 1)], 8, (3, 2, 1)),
    ([(6, 2, 3, (0, 2), 2), (9, 2, 4, (3, 0), 3)], 4, (8, 2, 1)),
    ([(1, 1, 4, (0, 0), 1), (2, 2, 3, (0, 0), 1)], 4, (2, 1)),  # phases that hold nothing
    ([(3, 2, 1, (1, 0), 1), (4, 3, 2, (0, 1), 1), (5, 2, 1, (2, 2), 1)], 4, (3, 1)),
]


@pytest.mark.parametrize(("axes", "lanes", "widths"), EXAMPLES)
def test_known_edges(axes, lanes, widths):
    check(axes, lanes, widths)


@given(st.lists(axis_arguments(40), min_size=1, max_size=1), LANES, st.sampled_from(WIDTHS))
def test_one_dimension(axes, lanes, widths):
    check(axes, lanes, widths)


@given(st.lists(axis_arguments(9), min_size=2, max_size=2), LANES, st.sampled_from(WIDTHS))
def test_two_dimensions(axes, lanes, widths):
    check(axes, lanes, widths)


@given(st.lists(axis_arguments(4), min_size=3, max_size=3), LANES, st.sampled_from(WIDTHS))
@example([(3, 3, 1, (1, 1), 1)] * 3, 16, (3, 2, 1))
def test_three_dimensions(axes, lanes, widths):
    assume(math.prod(axis[1] for axis in axes) <= 30)
    check(axes, lanes, widths)


@given(
    st.lists(axis_arguments(6), min_size=1, max_size=2),
    LANES,
    st.integers(1, 7),
    st.integers(1, 4),
)
def test_blocks_of_channels(axes, lanes, channels, block):
    check(axes, lanes, (3, 2, 1), channels, block)


@pytest.mark.parametrize("channels", [1, 3, 64, 65, 200, 1000])
@pytest.mark.parametrize("taps", [1, 9])
def test_sums_are_cut_before_they_get_long(channels, taps):
    image = Image(geometry_of([(20, taps, 1, (taps // 2, taps // 2), 1)]).axes)
    table = tile_table(image, channels, 64, 16, (2, 1), START)
    for *_, segments, _ in pieces(table, 16):
        length, total = 0, 0
        for _, _, count, flush, _ in segments:
            length += count
            total += count
            assert length < LONGEST_SUM + 64
            length = 0 if flush else length
        assert total == channels * taps


@given(axis_arguments(12), LANES, st.sampled_from(WIDTHS), st.integers(0, 500))
def test_pointers_count_from_the_start_of_the_whole_table(axis, lanes, widths, start):
    image = Image(geometry_of([axis]).axes)
    first, second = (tile_table(image, 2, 64, lanes, widths, s) for s in (START, START + start))
    pointers = np.zeros(len(first), bool)
    tiles = (int(first[3]) - START) // TILE_WORDS
    pointers[: tiles * TILE_WORDS] = np.tile([0, 0, 0, 1, 1, 1], tiles).astype(bool)
    np.testing.assert_array_equal(second[pointers], first[pointers] + start)
    np.testing.assert_array_equal(second[~pointers], first[~pointers])


@given(st.lists(axis_arguments(9), min_size=1, max_size=3))
def test_an_image_that_is_the_input_has_its_places(axes):
    geometry = geometry_of([(size, kernel, 1, *rest) for size, kernel, _, *rest in axes])
    image = Image(geometry.axes)
    assume(image.is_input)
    assert image.elements == geometry.plane
    for element in range(image.elements):
        assert read_by(image, element) == tuple(map(int, np.unravel_index(element, geometry.sizes)))


@pytest.mark.parametrize(
    ("axes", "in_place"),
    [
        ([(9, 3, 1, (1, 1), 1)] * 2, True),
        ([(9, 3, 1, (0, 0), 2)] * 3, True),
        ([(9, 1, 1, (4, 4), 1), (9, 3, 1, (1, 1), 1)], True),
        ([(9, 3, 1, (1, 1), 1), (9, 1, 1, (4, 4), 1)], False),
        ([(9, 3, 2, (1, 1), 1), (9, 3, 1, (1, 1), 1)], False),
        ([(9, 3, 1, (4, 4), 1)], True),
    ],
)
def test_only_strides_and_wider_outputs_need_a_copy(axes, in_place):
    assert Image(geometry_of(axes).axes).is_input == in_place


@given(st.lists(axis_arguments(12), min_size=1, max_size=3))
def test_an_image_is_not_much_larger_than_what_it_holds(axes):
    geometry = geometry_of(axes)
    image = Image(geometry.axes)
    assert image.elements <= math.prod(
        len(phases) * max(-(-axis.size // axis.stride), axis.out)
        for axis, phases in zip(geometry.axes, image.phases, strict=True)
    )
