import inspect

import numpy as np
import pytest

import fastconv as F
from fastconv import DtypeError, ParameterError, ShapeError, reference
from fastconv.dtypes import row_of, with_bfloat16
from tests import oracle_deform
from tests.helpers import ints, same

MODULE = pytest.mark.parametrize("module", [F, reference], ids=["engine", "reference"])
PLACES = {
    "plain": (1, 0, 1, 1, 1),
    "stride": (2, 1, 1, 1, 1),
    "dilation": ((1, 2), (2, 1), (2, 1), 1, 2),
    "groups": (1, 1, 1, 2, 1),
    "all": (2, 2, 2, 2, 4),
}
PLACE = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
NAMES = ("input", "offset", "weight", "mask")


def arrays(stride, padding, dilation, groups, offset_groups, masked=True, dtype=float):
    """Input, offset, weight, mask and output gradient that fit each other."""
    x, w = ints(2, 4, 8, 7, dtype=dtype), ints(6, 4 // groups, 3, 2, seed=1, dtype=dtype)
    shape = F.conv2d(x, w, None, stride, padding, dilation, groups).shape
    taps = offset_groups * 6
    offset = ints(2, 2 * taps, *shape[2:], seed=2, dtype=dtype, low=-9, high=9) / 4
    mask = ints(2, taps, *shape[2:], seed=3, dtype=dtype) / 2 if masked else None
    return x, offset.astype(dtype), w, mask, ints(*shape, seed=4, dtype=dtype)


def both(value):
    return value if isinstance(value, tuple) else (value, value)


def spelt(stride, padding, dilation, groups):
    return both(stride), tuple((p, p) for p in both(padding)), both(dilation), groups


@MODULE
@PLACE
@pytest.mark.parametrize("masked", [False, True], ids=["v1", "v2"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_the_oracle_agrees(module, place, masked, dtype):
    x, offset, w, mask, gy = arrays(*place, masked, dtype)
    stride, padding, dilation, groups, _ = place
    b = ints(6, seed=5, dtype=dtype)
    how = spelt(stride, padding, dilation, groups)
    y = module.deform_conv2d(x, offset, w, b, stride, padding, dilation, mask)
    same(y, oracle_deform.forward(x, w, b, offset, mask, *how).astype(dtype))
    found = module.deform_conv2d_backward(gy, x, offset, w, stride, padding, dilation, mask)
    expected = (
        oracle_deform.input_gradient(x.shape, w, gy, offset, mask, *how),
        oracle_deform.offset_gradient(x, w, gy, offset, mask, *how),
        oracle_deform.weight_gradient(w.shape, x, gy, offset, mask, *how),
    )
    for got, wanted in zip(found[:3], expected, strict=True):
        same(got, wanted.astype(dtype))
    assert found._fields == NAMES
    if masked:
        same(found.mask, oracle_deform.mask_gradient(x, w, gy, offset, mask, *how).astype(dtype))
    else:
        assert found.mask is None


@MODULE
@PLACE
def test_without_offsets_it_is_conv2d(module, place):
    stride, padding, dilation, groups, _ = place
    x, offset, w, _, gy = arrays(*place)
    offset[:] = 0
    how = (stride, padding, dilation)
    same(module.deform_conv2d(x, offset, w, ints(6), *how), F.conv2d(x, w, ints(6), *how, groups))
    ones = np.ones((2, offset.shape[1] // 2, *offset.shape[2:]))
    found = module.deform_conv2d_backward(gy, x, offset, w, *how, ones)
    same(found.input, F.conv2d_input(x.shape, w, gy, *how, groups))
    same(found.weight, F.conv2d_weight(x, w.shape, gy, *how, groups))


@MODULE
def test_whole_offsets_shift_the_image(module):
    x, w = ints(1, 2, 9, 9), ints(3, 2, 3, 3)
    offset = np.zeros((1, 18, 7, 7))
    offset[:, 0::2], offset[:, 1::2] = 2, -1
    shifted = np.zeros_like(x)
    shifted[:, :, :-2, 1:] = x[:, :, 2:, :-1]
    same(module.deform_conv2d(x, offset, w), F.conv2d(shifted, w))


@PLACE
@pytest.mark.parametrize("which", NAMES)
def test_finite_differences(place, which):
    stride, padding, dilation, _, _ = place
    generator = np.random.default_rng(3)
    x, offset, w, mask, gy = (generator.standard_normal(a.shape) for a in arrays(*place))
    # the slopes jump where a tap crosses an element: stay away from those
    offset = np.floor(offset) + 0.1 + 0.8 * generator.random(offset.shape)
    given = {"input": x, "offset": offset, "weight": w, "mask": mask}
    how = {"stride": stride, "padding": padding, "dilation": dilation}
    gradient = getattr(F.deform_conv2d_backward(gy, **given, **how), which)
    step = generator.standard_normal(given[which].shape) * 1e-5
    ahead = F.deform_conv2d(**{**given, which: given[which] + step}, **how)
    behind = F.deform_conv2d(**{**given, which: given[which] - step}, **how)
    np.testing.assert_allclose(
        ((ahead - behind) * gy).sum() / 2, (gradient * step).sum(), rtol=1e-6, atol=1e-9
    )


def test_small_blocks_agree():
    place = PLACES["all"]
    stride, padding, dilation, _, _ = place
    x, offset, w, mask, gy = arrays(*place)
    whole = F.deform_conv2d(x, offset, w, None, stride, padding, dilation, mask)
    gradients = F.deform_conv2d_backward(gy, x, offset, w, stride, padding, dilation, mask)
    with F.settings(max_scratch_bytes=12_000, algorithm="deform_gemm"):
        same(F.deform_conv2d(x, offset, w, None, stride, padding, dilation, mask), whole)
        again = F.deform_conv2d_backward(gy, x, offset, w, stride, padding, dilation, mask)
    for got, expected in zip(again, gradients, strict=True):
        same(got, expected)


def test_scratch_is_bounded():
    plan = F.explain(
        F.deform_conv2d, (4, 64, 112, 112), (4, 18, 112, 112), (64, 64, 3, 3), padding=1
    )
    assert plan.algorithm == "deform_gemm"
    assert plan.scratch_bytes <= 5 * 2**20


@MODULE
@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e30, -1e30, 2.0**62, -(2.0**63)])
def test_offsets_far_outside_read_zeros(module, value):
    x, w = ints(1, 2, 5, 5), np.ones((1, 2, 3, 3))
    offset = np.zeros((1, 18, 3, 3))
    offset[0, :, 1, 1] = value
    y = module.deform_conv2d(x, offset, w)
    expected = F.conv2d(x, w)
    expected[0, 0, 1, 1] = 0
    same(y, expected)
    gradients = module.deform_conv2d_backward(np.ones_like(y), x, offset, w)
    for gradient in gradients[:3]:
        assert np.isfinite(gradient).all()
    assert not gradients.offset[0, :, 1, 1].any()


@MODULE
def test_a_nan_offset_spoils_what_it_reads_only(module):
    x, w = ints(1, 2, 5, 5), ints(2, 2, 3, 3, low=1)
    offset = np.zeros((1, 18, 3, 3))
    offset[0, 4, 1, 2] = np.nan
    y = module.deform_conv2d(x, offset, w)
    expected = F.conv2d(x, w)
    expected[:, :, 1, 2] = np.nan
    same(y, expected)
    gradients = module.deform_conv2d_backward(np.ones_like(y), x, offset, w)
    assert np.isfinite(gradients.input).all()
    assert np.argwhere(np.isnan(gradients.offset)).tolist() == [[0, 4, 1, 2], [0, 5, 1, 2]]
    assert np.isnan(gradients.weight).sum() == 4  # this tap of two filters and two channels


@MODULE
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_infinities_are_read_only_where_taps_are(module, value):
    x, w = ints(1, 1, 6, 6), np.ones((1, 1, 3, 3))
    x[0, 0, 2, 3] = value
    offset = np.zeros((1, 18, 4, 4))
    same(np.isfinite(module.deform_conv2d(x, offset, w)), np.isfinite(F.conv2d(x, w)))
    gy = np.ones((1, 1, 4, 4))
    gy[0, 0, 1, 1] = value
    found = module.deform_conv2d_backward(gy, x, offset, w).input
    same(np.isfinite(found), np.isfinite(F.conv2d_input(x.shape, w, gy)))


@MODULE
def test_no_batch(module):
    x, offset, w = np.zeros((0, 2, 5, 5)), np.zeros((0, 18, 3, 3)), np.ones((3, 2, 3, 3))
    y = module.deform_conv2d(x, offset, w)
    assert y.shape == (0, 3, 3, 3)
    found = module.deform_conv2d_backward(y, x, offset, w)
    assert (found.input.shape, found.offset.shape) == (x.shape, offset.shape)
    same(found.weight, np.zeros_like(w))


def test_parameters_are_torchvisions():
    names = ["input", "offset", "weight", "bias", "stride", "padding", "dilation", "mask"]
    more = ["padding_mode", "layout", "acc_dtype"]
    parameters = inspect.signature(F.deform_conv2d).parameters
    assert list(parameters) == names + more
    assert all(parameters[name].kind == inspect.Parameter.KEYWORD_ONLY for name in more)
    backward = inspect.signature(F.deform_conv2d_backward).parameters
    assert list(backward) == ["grad_output", *(n for n in names if n != "bias"), *more]


@MODULE
@pytest.mark.parametrize("name", [n for n in with_bfloat16() if "float16" in n])
def test_halves_are_computed_in_float32_and_rounded_once(module, name):
    dtype = row_of(name).dtype
    place = PLACES["all"]
    stride, padding, dilation, _, _ = place
    generator = np.random.default_rng(1)
    halves = [generator.standard_normal(a.shape).astype(dtype) for a in arrays(*place)]
    wide = [a.astype(np.float64) for a in halves]
    found, exact = (
        (
            module.deform_conv2d(x, offset, w, None, stride, padding, dilation, mask),
            *module.deform_conv2d_backward(gy, x, offset, w, stride, padding, dilation, mask),
        )
        for x, offset, w, mask, gy in (halves, wide)
    )
    eps = 2.0 ** (-8 if name == "bfloat16" else -11)
    for got, expected in zip(found, exact, strict=True):
        assert got.dtype == dtype
        largest = np.abs(expected).max()  # what float32 loses where terms cancel
        error = np.abs(got.astype(np.float64) - expected)
        assert (error <= np.abs(expected) * eps * 1.001 + largest * 1e-5).all()


@pytest.mark.parametrize("masked", [False, True], ids=["v1", "v2"])
@pytest.mark.parametrize("place", ["plain", "stride", "groups", "all"])
def test_onnx_defines_the_same(place, masked):
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    stride, padding, dilation, groups, offset_groups = PLACES[place]
    x, offset, w, mask, _ = arrays(*PLACES[place], masked)
    b = ints(6, seed=5)
    given = {"X": x, "W": w, "offset": offset, "B": b} | ({"mask": mask} if masked else {})
    node = onnx.helper.make_node(
        *("DeformConv", list(given), ["Y"]),
        strides=both(stride),
        pads=both(padding) * 2,
        dilations=both(dilation),
        group=groups,
        offset_group=offset_groups,
        kernel_shape=w.shape[2:],
    )
    double = onnx.TensorProto.DOUBLE
    values = [onnx.helper.make_tensor_value_info(n, double, a.shape) for n, a in given.items()]
    out = onnx.helper.make_tensor_value_info("Y", double, None)
    graph = onnx.helper.make_graph([node], "deform", values, [out])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)])
    (expected,) = ReferenceEvaluator(model).run(None, given)
    same(F.deform_conv2d(x, offset, w, b, stride, padding, dilation, mask), expected)


def test_padding_by_elements_of_the_input_moves_with_the_offsets():
    """As if the input were padded first: a tap in the padding reads it, one beyond reads zeros."""
    x, w, place = ints(1, 1, 4, 5), np.ones((1, 1, 1, 1)), (1, 2)
    offset = np.zeros((1, 2, 8, 9))
    offset[:, 1] = -1
    y = F.deform_conv2d(x, offset, w, None, *place, padding_mode="circular")
    around = np.pad(x, [(0, 0)] * 2 + [(2, 2)] * 2, "wrap")
    same(y[..., 1:], around[..., :-1])
    assert not y[..., 0].any()


X, OFFSET, W = ints(1, 4, 6, 6), ints(1, 18, 4, 4), ints(2, 4, 3, 3)
SHAPES = {
    "input": ((X[0], OFFSET, W), r"input: expected shape \(N, C_in, H, W\)"),
    "weight": ((X, OFFSET, W[0]), r"weight: expected shape \(C_out"),
    "weight-channels": ((X, OFFSET, ints(2, 3, 3, 3)), "weight: .*3 channels.*4 of input"),
    "weight-groups": ((X, OFFSET, ints(3, 2, 3, 3)), "groups: 2 must divide"),
    "offset": ((X, OFFSET[0], W), r"offset: expected shape \(N, 2"),
    "offset-channels": ((X, ints(1, 9, 4, 4), W), "offset: 9 channels.*multiple of the 18"),
    "offset-groups": ((X, ints(1, 54, 4, 4), W), "offset: its 3 groups .*4 channels"),
    "offset-size": ((X, ints(1, 18, 5, 4), W), r"offset: expected shape \(1, 18, 4, 4\)"),
    "offset-batch": ((X, ints(2, 18, 4, 4), W), r"offset: expected shape \(1, 18, 4, 4\)"),
    "kernel": ((X, OFFSET, ints(2, 4, 3, 7)), "offset: 18 channels"),
    "zero": ((X[:, :, :0], OFFSET, W), "input: every dimension"),
    "bias": ((X, OFFSET, W, ints(3)), r"bias: expected shape \(2,\)"),
    "mask": (
        (X, OFFSET, W, None, 1, 0, 1, ints(1, 18, 4, 4)),
        r"mask: expected shape \(1, 9, 4, 4\)",
    ),
}


@pytest.mark.parametrize(("args", "words"), SHAPES.values(), ids=SHAPES)
@MODULE
def test_shapes_that_do_not_fit(module, args, words, plans):
    with pytest.raises(ShapeError, match=words):
        module.deform_conv2d(*args)
    assert plans == []


def test_gradients_that_do_not_fit(plans):
    with pytest.raises(ShapeError, match="grad_output: expected shape"):
        F.deform_conv2d_backward(ints(1, 2, 4, 5), X, OFFSET, W)
    with pytest.raises(ParameterError, match="stride: "):
        F.deform_conv2d_backward(ints(1, 2, 4, 4), X, OFFSET, W, 0)
    assert plans == []


@pytest.mark.parametrize("dtype", [complex, object, int, np.uint8, bool], ids=str)
def test_other_dtypes_are_refused(dtype):
    arrays = (a.astype(dtype) for a in (X, OFFSET, W))
    with pytest.raises(DtypeError, match=r"input: .*" + (np.dtype(dtype).name)):
        F.deform_conv2d(*arrays)
