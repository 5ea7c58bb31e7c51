"""Arrays without elements: what PyTorch allows works, what it refuses is refused by name."""

import numpy as np
import pytest

import fastconv
from fastconv import ShapeError, reference
from fastconv.plan import plan_for
from fastconv.problem import Problem

MODULES = [fastconv, reference]
F32 = np.float32


def ones(*shape, dtype=F32):
    return np.ones(shape, dtype)


def places(*shape):
    return np.zeros(shape, np.int64)


def check(result, shape, dtype=F32):
    assert result.shape == shape
    assert result.dtype == dtype
    assert not result.any()


@pytest.mark.parametrize("F", MODULES)
@pytest.mark.parametrize(
    ("input", "weight", "how", "output"),
    [
        ((0, 2, 5, 5), (3, 2, 3, 3), {}, (0, 3, 3, 3)),
        ((0, 2, 0, 5), (3, 2, 1, 3), {"padding": 1}, (0, 3, 2, 5)),
        ((2, 0, 5, 5), (3, 0, 3, 3), {}, (2, 0, 3, 3)),
        ((2, 0, 5, 5), (4, 0, 3, 3), {"groups": 2, "padding": "same"}, (2, 0, 5, 5)),
        ((2, 0, 0, 5), (3, 0, 1, 3), {"padding": 1}, (2, 0, 2, 5)),
        ((0, 5, 5), (3, 0, 3, 3), {"stride": 2}, (0, 2, 2)),
        ((2, 5, 5, 0), (3, 0, 3, 3), {"layout": "channels_last"}, (2, 3, 3, 0)),
    ],
)
def test_convolution_of_nothing_and_its_gradients(F, input, weight, how, output):
    bias = ones(weight[0])
    check(F.conv2d(ones(*input), ones(*weight), bias, **how), output)
    check(F.prepare_conv(ones(*weight), bias, **how)(ones(*input)), output)
    check(F.conv2d_input(input, ones(*weight), ones(*output), **how), input)
    check(F.conv2d_weight(ones(*input), weight, ones(*output), **how), weight)


@pytest.mark.parametrize("F", MODULES)
@pytest.mark.parametrize(
    ("input", "weight", "how", "output"),
    [
        ((0, 2, 5, 5), (2, 3, 3, 3), {}, (0, 3, 7, 7)),
        ((0, 2, 0, 5), (2, 3, 3, 3), {}, (0, 3, 2, 7)),
        ((0, 2, 0, 5), (2, 3, 3, 3), {"stride": 3}, (0, 3, 0, 15)),
        ((0, 2, 0, 5), (2, 3, 3, 3), {"stride": 4, "output_padding": 1}, (0, 3, 0, 20)),
        ((2, 2, 1, 5), (2, 3, 2, 3), {"padding": 1}, (2, 3, 0, 5)),
        ((2, 1, 5), (2, 3, 2, 3), {"padding": 1}, (3, 0, 5)),
    ],
)
def test_transposed_convolution_of_nothing_or_to_nothing(F, input, weight, how, output):
    check(F.conv_transpose2d(ones(*input), ones(*weight), ones(3), **how), output)
    check(F.prepare_conv_transpose(ones(*weight), ones(3), **how)(ones(*input)), output)
    check(F.conv_transpose2d_input(input, ones(*weight), ones(*output), **how), input)
    check(F.conv_transpose2d_weight(ones(*input), weight, ones(*output), **how), weight)


@pytest.mark.parametrize("F", MODULES)
@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((0, 3, 4, 5), "channels_first"),
        ((2, 3, 0, 5), "channels_first"),
        ((3, 0, 5), "channels_first"),
        ((2, 0, 5, 3), "channels_last"),
        ((4, 0, 3), "channels_last"),
    ],
)
def test_gradient_of_a_bias_of_nothing_is_zero(F, shape, layout):
    check(F.conv2d_bias(ones(*shape), layout=layout), (3,))


@pytest.mark.parametrize("F", MODULES)
def test_dtypes_are_those_of_other_calls(F):
    for dtype, result in ((np.int8, np.int32), (np.float16, np.float16), (complex, complex)):
        y = F.conv1d(ones(2, 0, 5, dtype=dtype), ones(3, 0, 3, dtype=dtype))
        check(y, (2, 0, 3), result)
        gw = F.conv1d_weight(
            ones(0, 2, 0, dtype=dtype), (3, 2, 1), ones(0, 3, 2, dtype=dtype), 1, 1
        )
        check(gw, (3, 2, 1), result)


@pytest.mark.parametrize("F", MODULES)
def test_adaptive_pools(F):
    for pooled, indices, shape in (
        (*F.adaptive_max_pool2d(ones(2, 3, 5, 5), (0, 2), True), (2, 3, 0, 2)),
        (*F.adaptive_max_pool2d(ones(0, 5, 5), 2, True), (0, 2, 2)),
        (*F.fractional_max_pool2d(ones(2, 3, 6, 6), 2, (0, 3), return_indices=True), (2, 3, 0, 3)),
        (*F.fractional_max_pool2d(ones(0, 6, 6), 2, 3, return_indices=True), (0, 3, 3)),
    ):
        check(pooled, shape)
        check(indices, shape, np.int64)
    check(F.adaptive_avg_pool2d(ones(2, 3, 5, 5), 0), (2, 3, 0, 0))
    check(F.adaptive_avg_pool2d(ones(2, 0, 5, 5), 2), (2, 0, 2, 2))
    check(F.adaptive_avg_pool3d(ones(0, 5, 5, 5), 2), (0, 2, 2, 2))
    check(F.max_unpool2d(ones(0, 2, 2), places(0, 2, 2), 2), (0, 4, 4))


@pytest.mark.parametrize("F", MODULES)
def test_gradients_of_adaptive_pools(F):
    none, x = (0, 2, 2), (0, 5, 5)
    check(F.adaptive_max_pool2d_backward(ones(*none), places(*none), x), x)
    check(F.adaptive_avg_pool2d_backward(ones(*none), x), x)
    check(F.fractional_max_pool2d_backward(ones(*none), places(*none), x), x)
    check(F.max_unpool2d_backward(ones(0, 4, 4), places(*none), none), none)
    no_windows = ones(2, 3, 0, 3), places(2, 3, 0, 3)
    check(F.fractional_max_pool2d_backward(*no_windows, (2, 3, 6, 6)), (2, 3, 6, 6))


@pytest.mark.parametrize("F", MODULES)
@pytest.mark.parametrize(
    "call",
    [
        lambda F: F.conv2d(ones(2, 2, 0, 5), ones(3, 2, 1, 3), padding=1),
        lambda F: F.conv2d(ones(2, 0, 5), ones(3, 2, 1, 3), padding=1),
        lambda F: F.conv2d(ones(0, 2, 0, 5), ones(3, 2, 1, 3)),
        lambda F: F.conv2d(ones(2, 0, 5, 5), ones(3, 2, 3, 3)),
        lambda F: F.conv2d(ones(2, 2, 5, 5), ones(3, 0, 3, 3)),
        lambda F: F.conv2d(ones(2, 2, 5, 5), ones(0, 2, 3, 3)),
        lambda F: F.conv2d(ones(2, 2, 5, 5), ones(3, 2, 0, 3)),
        lambda F: F.conv_transpose2d(ones(2, 2, 0, 5), ones(2, 3, 3, 3)),
        lambda F: F.conv_transpose2d(ones(2, 0, 5, 5), ones(0, 3, 3, 3)),
        lambda F: F.conv_transpose2d(ones(2, 2, 5, 5), ones(2, 0, 3, 3)),
        lambda F: F.conv_transpose2d(ones(0, 2, 0, 5), ones(2, 3, 3, 3), stride=4),
        lambda F: F.max_pool2d(ones(0, 5, 5), 2),
        lambda F: F.avg_pool2d(ones(2, 2, 0, 5), 2, padding=1),
        lambda F: F.lp_pool2d(ones(0, 2, 0, 5), 2, 1),
        lambda F: F.adaptive_max_pool2d(ones(2, 0, 5, 5), 2),
        lambda F: F.adaptive_avg_pool3d(ones(2, 0, 5, 5, 5), 2),
        lambda F: F.adaptive_avg_pool2d(ones(2, 2, 0, 5), 0),
        lambda F: F.adaptive_avg_pool2d_backward(ones(2, 2, 0, 2), (2, 2, 5, 5)),
        lambda F: F.max_unpool2d(ones(2, 2, 0, 2), places(2, 2, 0, 2), 2),
        lambda F: F.unfold(ones(2, 2, 0, 5), 1, padding=1),
        lambda F: F.fold(ones(2, 0, 9), (5, 5), 3),
    ],
)
def test_what_pytorch_refuses_is_refused(F, call):
    with pytest.raises(ShapeError):
        call(F)


def test_out_is_filled():
    out = np.full((3, 2, 1, 3), np.nan, F32)
    plan_for(Problem.parse("conv weight_gradient x=0x2x0x5 w=3x2x1x3 p=1 float32")).run(
        (ones(0, 2, 0, 5), ones(0, 3, 2, 5)), (out,)
    )
    check(out, (3, 2, 1, 3))
    out = ones(2, 0, 3, 3)
    assert fastconv.conv2d(ones(2, 0, 5, 5), ones(3, 0, 3, 3), out=out) is out


@pytest.mark.parametrize(
    "line",
    [
        "conv forward x=2x0x5x5 w=3x0x3x3 float32",
        "conv forward x=2x3x0x5 w=2x3x2x3 p=1 float32",
        "conv input_gradient x=0x3x2x7 w=2x3x3x3 o=0x5 float32",
        "adaptive_avg_pool forward x=2x0x5x5 o=0x2 float32",
        "scatter forward x=2x3x6x6 o=0x3 float32",
    ],
)
def test_the_line_is_read_back_and_the_plan_does_nothing(line):
    problem = Problem.parse(line)
    assert str(problem) == line
    plan = plan_for(problem)
    assert (plan.flops, plan.scratch_bytes, plan.candidates) == (0, 0, ("naive",))
    assert set(plan.refusals.values()) == {"there is nothing to compute"}
    assert line in str(plan)


def test_explain_takes_what_the_calls_take():
    assert fastconv.explain("conv2d", (2, 0, 5, 5), (3, 0, 3, 3)).output_shape == (2, 0, 3, 3)
    shape = (2, 3, 0, 3)
    plan = fastconv.explain("fractional_max_pool2d_backward", shape, shape, (2, 3, 6, 6))
    assert plan.output_shape == (2, 3, 6, 6)


def test_a_signal_without_channels_or_samples():
    y, state = fastconv.causal_conv1d(ones(2, 0, 5), ones(3, 0, 3))
    check(y, (2, 0, 5))
    check(state, (2, 0, 2))
