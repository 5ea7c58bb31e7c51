"""Every operation as plain loops over NumPy scalars and vectors; imports nothing of fastconv.

Slow and short, to be checked by eye. Arrays are batched `(N, C, *sizes)`, any number of spatial
dimensions; `stride` and `dilation` hold one integer per dimension, `padding` one (before, after)
pair. Arithmetic is in float64 (or int64, complex128), so integers stay exact.
"""

import itertools
from collections.abc import Iterator

import numpy as np

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def ones(rank: int) -> Ints:
    return (1,) * rank


def zeros(rank: int) -> Pairs:
    return ((0, 0),) * rank


def output_size(
    size: int,
    kernel: int,
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
    dilation: int = 1,
    ceil_mode: bool = False,
) -> int:
    """Count windows by walking along one padded dimension."""
    before, after = padding
    end = before + size + after
    span = 1 + sum(dilation for _ in range(kernel - 1))
    # A window must end inside; with ceil_mode (or "cover_all") it may miss the end by less than one
    # stride.
    rounding = {False: "floor", True: "ceil"}.get(ceil_mode, ceil_mode)
    limit = end + (0 if rounding == "floor" else stride - 1)
    count = start = 0
    while start + span <= limit:
        count += 1
        start += stride
    if rounding == "ceil" and start - stride >= before + size:
        count -= 1  # the last window would start in the padding at the end
    return count


def output_sizes(
    sizes: Ints, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints, ceil_mode: bool = False
) -> Ints:
    return tuple(
        output_size(*axis, ceil_mode=ceil_mode)
        for axis in zip(sizes, kernel, stride, padding, dilation, strict=True)
    )


def same_padding(size: int, kernel: int, stride: int, dilation: int, lower: bool) -> tuple:
    """The least padding that lets windows start at 0, s, 2s, ... below `size`, halved."""
    wanted = len(range(0, size, stride))
    total = 0
    while output_size(size, kernel, stride, (0, total), dilation) < wanted:
        total += 1
    smaller = total // 2
    return (total - smaller, smaller) if lower else (smaller, total - smaller)


def taps_inside(
    position: Ints, sizes: Ints, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints
) -> Iterator[tuple[Ints, Ints]]:
    """Yield (tap, input position) for the taps of one window that meet the input, in C order."""
    for tap in itertools.product(*map(range, kernel)):
        place = tuple(
            o * s + t * d - before
            for o, s, t, d, (before, _) in zip(
                position, stride, tap, dilation, padding, strict=True
            )
        )
        if all(0 <= i < size for i, size in zip(place, sizes, strict=True)):
            yield tap, place


def positions(out: Ints) -> Iterator[Ints]:
    return itertools.product(*map(range, out))


def conv(x, w, b=None, stride=None, padding=None, dilation=None, groups=1):
    """y[n, oc, o] = b[oc] + sum over ic, t of x[n, ic, o * s + t * d - before] * w[oc, ic, t]."""
    x, w = wide(x), wide(w)
    rank = x.ndim - 2
    place = (stride or ones(rank), padding or zeros(rank), dilation or ones(rank))
    sizes, kernel = x.shape[2:], w.shape[2:]
    out = output_sizes(sizes, kernel, *place)
    y = np.zeros((x.shape[0], w.shape[0], *out), np.result_type(x, w))
    inputs, outputs = x.shape[1] // groups, w.shape[0] // groups
    for n, g, position in itertools.product(range(x.shape[0]), range(groups), positions(out)):
        channels = slice(g * inputs, (g + 1) * inputs)
        filters = slice(g * outputs, (g + 1) * outputs)
        total = np.zeros(outputs, y.dtype)
        for tap, source in taps_inside(position, sizes, kernel, *place):
            values = x[(n, channels, *source)]
            for row, oc in enumerate(range(g * outputs, (g + 1) * outputs)):
                total[row] += (w[(oc, slice(None), *tap)] * values).sum()
        y[(n, filters, *position)] = total
    if b is not None:
        y += wide(b).reshape(1, -1, *ones(rank))
    return y


def conv_input_gradient(input_shape, w, gy, stride=None, padding=None, dilation=None, groups=1):
    """gx[n, ic, o * s + t * d - before] = sum over oc, o, t of gy[n, oc, o] * w[oc, ic, t]."""
    w, gy = wide(w), wide(gy)
    rank = w.ndim - 2
    place = (stride or ones(rank), padding or zeros(rank), dilation or ones(rank))
    sizes, kernel, out = input_shape[2:], w.shape[2:], gy.shape[2:]
    gx = np.zeros(input_shape, np.result_type(w, gy))
    inputs, outputs = input_shape[1] // groups, w.shape[0] // groups
    for n, oc, position in itertools.product(
        range(gy.shape[0]), range(gy.shape[1]), positions(out)
    ):
        first = oc // outputs * inputs
        for tap, source in taps_inside(position, sizes, kernel, *place):
            gx[(n, slice(first, first + inputs), *source)] += (
                gy[(n, oc, *position)] * w[(oc, slice(None), *tap)]
            )
    return gx


def conv_weight_gradient(x, weight_shape, gy, stride=None, padding=None, dilation=None, groups=1):
    """gw[oc, ic, t] = sum over n, o of x[n, ic, o * s + t * d - before] * gy[n, oc, o]."""
    x, gy = wide(x), wide(gy)
    rank = x.ndim - 2
    place = (stride or ones(rank), padding or zeros(rank), dilation or ones(rank))
    sizes, kernel, out = x.shape[2:], weight_shape[2:], gy.shape[2:]
    gw = np.zeros(weight_shape, np.result_type(x, gy))
    inputs, outputs = x.shape[1] // groups, weight_shape[0] // groups
    for n, oc, position in itertools.product(
        range(gy.shape[0]), range(gy.shape[1]), positions(out)
    ):
        first = oc // outputs * inputs
        for tap, source in taps_inside(position, sizes, kernel, *place):
            gw[(oc, slice(None), *tap)] += (
                gy[(n, oc, *position)] * x[(n, slice(first, first + inputs), *source)]
            )
    return gw


def max_pool(x, kernel, stride=None, padding=None, dilation=None, ceil_mode=False):
    """The largest of each window, and its flat place in the plane.

    The first of equal maxima; the last NaN; -inf and -1 where a window holds no input element.
    """
    x = wide(x)
    rank = x.ndim - 2
    place = (stride or kernel, padding or zeros(rank), dilation or ones(rank))
    sizes = x.shape[2:]
    out = output_sizes(sizes, kernel, *place, ceil_mode)
    y = np.full((*x.shape[:2], *out), -np.inf)
    indices = np.full(y.shape, -1, np.int64)
    for n, c, position in itertools.product(range(x.shape[0]), range(x.shape[1]), positions(out)):
        at = (n, c, *position)
        for _, source in taps_inside(position, sizes, kernel, *place):
            value = x[(n, c, *source)]
            if indices[at] == -1 or value > y[at] or value != value:
                y[at] = value
                indices[at] = np.ravel_multi_index(source, sizes)
    return y, indices


def avg_divisor(position, sizes, kernel, stride, padding, dilation, count_include_pad) -> int:
    """How many taps of a window lie in the input (and in its padding, if that counts)."""
    count = 0
    for tap in itertools.product(*map(range, kernel)):
        inside = True
        for o, s, t, d, (before, after), size in zip(
            position, stride, tap, dilation, padding, sizes, strict=True
        ):
            place = o * s + t * d - before
            low, high = (-before, size + after) if count_include_pad else (0, size)
            inside &= low <= place < high
        count += inside
    return count


def avg_pool(
    x,
    kernel,
    stride=None,
    padding=None,
    dilation=None,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
    truncate=False,
):
    """The sum of each window over its divisor, truncated if so.

    Of nothing it is 0 if padding counts, or truncated; else NaN.
    """
    x = wide(x)
    rank = x.ndim - 2
    place = (stride or kernel, padding or zeros(rank), dilation or ones(rank))
    sizes = x.shape[2:]
    out = output_sizes(sizes, kernel, *place, ceil_mode)
    y = np.zeros((*x.shape[:2], *out), x.dtype)
    for position in positions(out):
        total = np.zeros(x.shape[:2], x.dtype)
        for _, source in taps_inside(position, sizes, kernel, *place):
            total += x[(slice(None), slice(None), *source)]
        divisor = divisor_override or avg_divisor(
            position, sizes, kernel, *place, count_include_pad
        )
        value = quotient(total, divisor, truncate) if divisor or not count_include_pad else 0
        y[(slice(None), slice(None), *position)] = value
    return y


def avg_pool_gradient(
    gy,
    input_shape,
    kernel,
    stride=None,
    padding=None,
    dilation=None,
    count_include_pad=True,
    divisor_override=None,
    truncate=False,
):
    """Each output's gradient over its divisor, added to every input element of its window."""
    gy = wide(gy)
    rank = gy.ndim - 2
    place = (stride or kernel, padding or zeros(rank), dilation or ones(rank))
    sizes = input_shape[2:]
    gx = np.zeros(input_shape, gy.dtype)
    for position in positions(gy.shape[2:]):
        divisor = divisor_override or avg_divisor(
            position, sizes, kernel, *place, count_include_pad
        )
        for _, source in taps_inside(position, sizes, kernel, *place):
            gx[(slice(None), slice(None), *source)] += quotient(
                gy[(slice(None), slice(None), *position)], divisor, truncate
            )
    return gx


def quotient(total, divisor, truncate):
    """total / divisor, elementwise; towards zero for integers."""
    if not divisor:
        return 0 if truncate else np.nan
    if not truncate:
        parts = total.real / divisor
        return parts + 1j * (total.imag / divisor) if np.iscomplexobj(total) else parts
    return np.sign(total) * np.sign(divisor) * (np.abs(total) // abs(divisor))


def scatter(values, indices, sizes):
    """Add values to flat places of planes; -1 is nowhere."""
    values = wide(values)
    planes = np.zeros((*values.shape[:2], int(np.prod(sizes))), values.dtype)
    for at in np.ndindex(*values.shape):
        if indices[at] >= 0:
            planes[(*at[:2], indices[at])] += values[at]
    return planes.reshape(*values.shape[:2], *sizes)


def im2col(x, kernel, stride=None, padding=None, dilation=None, pad_value=0):
    """columns[n, (c, t), o] = x[n, c, o * s + t * d - before], or the pad value."""
    x = np.asarray(x)
    rank = x.ndim - 2
    place = (stride or ones(rank), padding or zeros(rank), dilation or ones(rank))
    sizes = x.shape[2:]
    out = output_sizes(sizes, kernel, *place)
    columns = np.full((*x.shape[:2], *kernel, *out), pad_value, x.dtype)
    for position in positions(out):
        for tap, source in taps_inside(position, sizes, kernel, *place):
            columns[(slice(None), slice(None), *tap, *position)] = x[
                (slice(None), slice(None), *source)
            ]
    return columns.reshape(x.shape[0], x.shape[1] * int(np.prod(kernel)), int(np.prod(out)))


def col2im(columns, sizes, kernel, stride=None, padding=None, dilation=None):
    """Add every column element back to where im2col takes it from."""
    columns = wide(columns)
    rank = len(sizes)
    place = (stride or ones(rank), padding or zeros(rank), dilation or ones(rank))
    out = output_sizes(sizes, kernel, *place)
    channels = columns.shape[1] // int(np.prod(kernel))
    split = columns.reshape(columns.shape[0], channels, *kernel, *out)
    x = np.zeros((columns.shape[0], channels, *sizes), columns.dtype)
    for position in positions(out):
        for tap, source in taps_inside(position, sizes, kernel, *place):
            x[(slice(None), slice(None), *source)] += split[
                (slice(None), slice(None), *tap, *position)
            ]
    return x


def wide(array):
    array = np.asarray(array)
    kinds = {"b": np.int64, "i": np.int64, "u": np.int64, "c": np.complex128}
    return array.astype(kinds.get(array.dtype.kind, np.float64))
