import numpy as np
import pytest

from fastconv.cli import tutorials
from fastconv.dropin import digit_nine
from fastconv.dropin.digit_nine import BOX, DIAGONAL, DIGITS, FILTERS, NINE, VERTICAL
from tests.dropin.cases import NO_ARRAYS, refused
from tests.helpers import ints, same


def test_the_digit_and_the_filters():
    drawn = ["".join("#" if ink > 0 else "." for ink in row) for row in NINE]
    assert drawn == [".###.", ".#.#.", ".###.", "...#.", "...#.", "..#..", ".#..."]
    same(BOX, np.array([[1.0, 1, 1], [1, -1, 1], [1, 1, 1]]))
    same(VERTICAL, np.array([[-1.0, 1, -1]] * 3))
    same(DIAGONAL, np.array([[-1.0, -1, 1], [-1, 1, -1], [1, -1, -1]]))
    assert DIGITS.shape == (10, 7, 5)
    assert not any(array.flags.writeable for array in (DIGITS, NINE, FILTERS, BOX))


@pytest.mark.parametrize("kernel", [BOX, VERTICAL, DIAGONAL, ints(2, 4), ints(1, 1)])
def test_averaged_convolution(kernel):
    for matrix in (NINE, ints(6, 7), ints(7, 6).T[::-1]):
        same(digit_nine.averaged_conv2d(matrix, kernel), tutorials.averaged(matrix, kernel))


def test_published_values_of_the_nine():
    box = digit_nine.averaged_conv2d(NINE, BOX)
    np.testing.assert_allclose(box[:2] * 9, [[-1, 9, -1], [-5, 1, -3]])
    assert digit_nine.averaged_conv2d(NINE, DIAGONAL).max() == 1  # the tail
    pooled = digit_nine.pool2d(digit_nine.relu(box), 2, 1)
    np.testing.assert_allclose(pooled[:2] * 9, [[9, 9], [3, 3]])


def test_filters_and_digits_stacked():
    maps = digit_nine.averaged_conv2d(DIGITS, FILTERS)
    assert maps.shape == (10, 3, 5, 3)
    pooled = digit_nine.pool2d(maps, 2, 1)
    for digit, of_digit, smaller in zip(DIGITS, maps, pooled, strict=True):
        for kernel, one, small in zip(FILTERS, of_digit, smaller, strict=True):
            same(one, tutorials.averaged(digit, kernel))
            same(small, tutorials.pooled_matrix(one, 2, 1, 0, "max"))
    same(digit_nine.averaged_conv2d(DIGITS, BOX), maps[:, 0])


@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(2, 1, 0), (2, 2, 1), (3, 2, 2), (1, 3, 0)]
)
@pytest.mark.parametrize("mode", ["max", "avg"])
def test_pool(size, stride, padding, mode):
    for matrix in (ints(7, 6), ints(7, 6) - 9.0):  # zeros of the padding may be maxima
        expected = tutorials.pooled_matrix(matrix, size, stride, padding, mode)
        got = digit_nine.pool2d(matrix, size, stride, padding, pool_mode=mode)
        np.testing.assert_allclose(got, expected, rtol=1e-15)
    assert got.dtype == np.float64


def test_relu_flatten_dense():
    same(digit_nine.relu([[-1, 2]]), np.array([[0.0, 2.0]]))
    same(digit_nine.flatten(ints(2, 3, 4)), ints(2, 3, 4).ravel())
    same(digit_nine.flatten(ints(2, 3, 4), samples=True), ints(2, 3, 4).reshape(2, 12))
    x, w, b = ints(3, 4), ints(4, 2), ints(2)
    expected = np.array([[sum(r * c for r, c in zip(a, d, strict=True)) for d in w.T] for a in x])
    same(digit_nine.dense(x, w, b), expected + b)
    same(digit_nine.dense(x[0], w), expected[0])


def features(digits):
    maps = digit_nine.relu(digit_nine.averaged_conv2d(digits, FILTERS))
    return digit_nine.flatten(digit_nine.pool2d(maps, 2, 1), samples=digits.ndim == 3)


def test_every_digit_is_recognised():
    found, probabilities = digit_nine.classify(features(DIGITS), *digit_nine.template_classifier())
    assert found.tolist() == list(range(10))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (probabilities.argmax(axis=1) == found).all()
    digit, one = digit_nine.classify(features(NINE), *digit_nine.template_classifier())
    assert digit == 9
    np.testing.assert_allclose(one, probabilities[9])


def test_the_templates_are_the_nearest_by_distance():
    noisy = DIGITS.copy()
    noisy[:, 3, 2] *= -1
    distances = ((features(noisy)[:, None] - features(DIGITS)) ** 2).sum(axis=2)
    found, _ = digit_nine.classify(features(noisy), *digit_nine.template_classifier())
    assert found.tolist() == distances.argmin(axis=1).tolist()


def test_a_nine_with_a_wrong_pixel_is_mostly_a_nine():
    wrong = np.repeat(NINE[None], 35, axis=0)
    wrong.reshape(35, 35)[np.diag_indices(35)] *= -1
    found, _ = digit_nine.classify(features(wrong), *digit_nine.template_classifier())
    assert np.mean(found == 9) > 0.9


@pytest.mark.parametrize("dtype", ["int8", "bool", "float32", "float64"])
def test_dtypes(dtype):
    result = np.float32 if dtype == "float32" else np.float64
    x = np.ones((4, 4), dtype)
    same(digit_nine.averaged_conv2d(x, x[:2, :2]), np.ones((3, 3), result))
    same(digit_nine.pool2d(x, 2, 2), np.ones((2, 2), result))
    same(digit_nine.pool2d(x, 2, 2, pool_mode="avg"), np.ones((2, 2), result))
    same(digit_nine.dense(x, x), np.full((4, 4), 4, result))


@pytest.mark.parametrize("value", NO_ARRAYS)
def test_what_is_no_array(value):
    refused(lambda: digit_nine.averaged_conv2d(value, BOX), "matrix")
    refused(lambda: digit_nine.averaged_conv2d(NINE, value), "filters")
    refused(lambda: digit_nine.relu(value), "matrix")
    refused(lambda: digit_nine.pool2d(value, 2, 1), "matrix")
    refused(lambda: digit_nine.flatten(value), "maps")
    refused(lambda: digit_nine.dense(value, BOX), "features")


def test_bad_calls():
    refused(lambda: digit_nine.averaged_conv2d(NINE[0], BOX), "matrix", "(5,)")
    refused(lambda: digit_nine.averaged_conv2d(NINE, BOX[0]), "filters", "(3,)")
    refused(lambda: digit_nine.averaged_conv2d(NINE[:2], BOX), "filters: a window of 3")
    refused(lambda: digit_nine.pool2d(NINE, 8, 1), "kernel_size: a window of 8")
    refused(lambda: digit_nine.pool2d(NINE, 2, 1, pool_mode="min"), "pool_mode", "'min'")
    refused(lambda: digit_nine.pool2d(NINE, 2, 1, pool_mode=["max"]), "pool_mode")
    refused(lambda: digit_nine.flatten(1, samples=True), "maps")
    refused(lambda: digit_nine.dense([1, 2], [[1], [2], [3]]), "features", "(3,)")
    refused(lambda: digit_nine.dense([1], [1]), "weights")
    refused(lambda: digit_nine.dense([1], [[1, 2]], [1, 2, 3]), "bias")
    for bad in (0, -1, 1.5, None):
        refused(lambda: digit_nine.pool2d(NINE, bad, 1), "kernel_size")  # noqa: B023
        refused(lambda: digit_nine.pool2d(NINE, 2, 1.5 if bad is None else bad), "stride")  # noqa: B023
    refused(lambda: digit_nine.pool2d(NINE, 2, 1, -1), "padding")
