"""`explain` foretells, from shapes alone, the plan that the call runs."""

import functools
import inspect
import math
from dataclasses import replace

import numpy as np
import pytest

import fastconv as F
from fastconv import DtypeError, ParameterError, PlanError, ShapeError
from fastconv.ops.deform import DeformGradients
from fastconv.ops.explain import EXPLAINED
from tests.helpers import ints
from tests.test_reference import BETWEEN


class Array:
    """Marks an argument that the call gets as an array of this shape, `explain` as the shape."""

    def __init__(self, *shape, dtype=np.float32):
        self.shape, self.dtype = shape, dtype


SPATIAL = {1: (9,), 2: (9, 8), 3: (5, 6, 7)}


def cases():
    yield "im2col", (Array(2, 3, 9, 8), 3), {"padding": 1}
    yield "im2col", (Array(3, 9, 8), (3, 2)), {"padding": "same", "stride": 2}
    yield "im2col", (Array(2, 3, 9), 3), {"dilation": 2, "pad_value": 5}
    yield "unfold", (Array(3, 9, 8), 3), {"dilation": 2}
    yield "unfold", (Array(1, 3, 5, 6, 7), 2), {}
    yield "col2im", (Array(2, 8, 8), 9, 2), {}
    yield "col2im", (Array(12, 12), (5, 4), 2), {}
    yield "fold", (Array(2, 12, 9), 4, 2), {}
    yield "fold", (Array(12, 12), (5, 4), (2, 2)), {}
    for r, sizes in SPATIAL.items():
        x, w = Array(2, 4, *sizes), Array(6, 2, *(3,) * r)
        yield f"conv{r}d", (x, w), {"groups": 2, "padding": "same", "stride": 2}
        yield f"conv{r}d", (x, Array(6, 4, *(1,) * r), Array(6)), {}
        yield f"conv{r}d", (Array(4, *sizes), w, None, 1, 1, 1, 2), {}
        gy = Array(2, 6, *(size - 2 for size in sizes))
        yield f"conv{r}d_input", ((2, 4, *sizes), w, gy), {"groups": 2}
        yield f"conv{r}d_weight", (x, w.shape, gy), {"groups": 2}
        last_x, last_gy = Array(2, *sizes, 4), Array(2, *(size - 2 for size in sizes), 6)
        last = {"groups": 2, "layout": "channels_last"}
        yield f"conv{r}d", (last_x, w), last
        yield f"conv{r}d_input", ((2, *sizes, 4), w, last_gy), last
        yield f"conv{r}d_weight", (last_x, w.shape, last_gy), last
        mode = {"groups": 2, "padding": "same", "padding_mode": "reflect"}
        yield f"conv{r}d", (x, w), mode
        gy = Array(2, 6, *sizes)
        yield f"conv{r}d_input", ((2, 4, *sizes), w, gy), mode
        yield f"conv{r}d_weight", (x, w.shape, gy), mode
        transposed = {"groups": 2, "stride": 2, "output_padding": 1}
        w, gy = Array(4, 3, *(3,) * r), Array(2, 6, *(2 * size + 2 for size in sizes))
        yield f"conv_transpose{r}d", (x, w, Array(6)), transposed
        yield f"conv_transpose{r}d", (Array(4, *sizes), w), {"padding": "same", "stride": 3}
        yield f"conv_transpose{r}d", (last_x, w), {"layout": "channels_last", "activation": "relu"}
        yield f"conv_transpose{r}d_input", ((2, 4, *sizes), w, gy), transposed
        yield f"conv_transpose{r}d_weight", (x, w.shape, gy), transposed
        yield f"conv{r}d_bias", (gy,), {}
        yield f"conv{r}d_bias", (last_gy,), {"layout": "channels_last"}
        separable = (Array(8, 1, *(3,) * r), Array(5, 8, *(1,) * r), Array(5))
        one, last_one = Array(4, *sizes), Array(1, *sizes, 4)
        yield f"separable_conv{r}d", (one, *separable), {"padding": 1, "activation": "relu"}
        yield f"separable_conv{r}d", (last_one, *separable), {"layout": "channels_last"}
        yield f"max_pool{r}d", (x, 3), {"stride": 2, "padding": 1, "ceil_mode": True}
        yield f"max_pool{r}d", (x, 2, 2, 0, 2), {"return_indices": True}
        yield f"avg_pool{r}d", (x, 3), {"count_include_pad": False, "padding": 1}
        yield f"max_pool{r}d", (x, 3), {"rounding": "cover_all", "padding": "same", "nan": "ignore"}
        yield f"min_pool{r}d", (x, 3), {"stride": 2, "return_indices": True}
        yield f"lp_pool{r}d", (x, 2.5, 3), {"padding": 1, "ceil_mode": True}
        yield f"median_pool{r}d", (x, 3), {"padding": 1}
        yield f"quantile_pool{r}d", (x, 3), {"q": 0.25, "dilation": 2}
        yield f"adaptive_max_pool{r}d", (x, 3), {"return_indices": True}
        yield f"adaptive_avg_pool{r}d", (x, (None, 2, 3)[:r]), {}
        gradient = (Array(2, 4, *(3,) * r), Array(2, 4, *(3,) * r, dtype=np.int64), (2, 4, *sizes))
        yield f"median_pool{r}d", (x, 3), {"return_indices": True, "layout": "channels_last"}
        yield f"max_pool{r}d_with_indices", (x, 3), {"dilation": 2}
        yield f"adaptive_max_pool{r}d_with_indices", (x, 3), {}
        for name in ("min", "median", "quantile", "adaptive_max", "fractional_max")[: 4 + (r > 1)]:
            yield f"{name}_pool{r}d_backward", gradient, {}
        yield f"adaptive_avg_pool{r}d_backward", gradient[::2], {}
        if r > 1:
            yield f"fractional_max_pool{r}d", (x, 2, 3), {}
            yield f"fractional_max_pool{r}d_with_indices", (x, 2, 3), {}
            yield f"fractional_max_pool{r}d", (x, 2), {"output_ratio": 0.5, "return_indices": True}
        last = Array(2, *sizes, 4)
        yield f"max_pool{r}d", (last, 2), {"layout": "channels_last", "return_indices": True}
        yield f"avg_pool{r}d", (last, 2), {"layout": "channels_last", "dilation": 2}
        out = tuple(size // 2 for size in sizes)
        y = Array(2, 4, *out)
        yield f"lp_pool{r}d_backward", (y, x, y, 2, 2), {}
        yield f"max_unpool{r}d", (y, Array(2, 4, *out, dtype=np.int64), 2), {"output_size": sizes}
        yield f"max_unpool{r}d_backward", (x, Array(2, 4, *out, dtype=np.int64), y.shape), {}
        indices = Array(2, 4, *out, dtype=np.int64)
        yield f"max_pool{r}d_backward", (Array(2, 4, *out), indices, (2, 4, *sizes)), {}
        yield f"avg_pool{r}d_backward", (Array(2, 4, *out), (2, 4, *sizes), 2), {}
        w = Array(6, *out, 2, *(2,) * r)
        how = {"groups": 2, "stride": 2}
        yield f"local_conv{r}d", (Array(2, 4, *sizes), w, Array(6)), how
        yield f"local_conv{r}d_input", ((2, 4, *sizes), w, Array(2, 6, *out)), how
        gy = Array(2, 6, *out)
        yield f"local_conv{r}d_weight", (Array(2, 4, *sizes), w.shape, gy), how
    deform = Array(2, 4, 7, 6), Array(2, 18, 5, 4), Array(6, 2, 3, 3), Array(6)
    yield "deform_conv2d", deform, {}
    yield "deform_conv2d", (*deform, 1, 0, 1, Array(2, 9, 5, 4)), {}
    gradients = Array(2, 6, 5, 4), *deform[:3]
    yield "deform_conv2d_backward", gradients, {}
    yield "deform_conv2d_backward", (*gradients, 1, 0, 1, Array(2, 9, 5, 4)), {}
    deform = Array(2, 7, 6, 4), Array(2, 7, 6, 18), Array(6, 2, 3, 3)
    how = {"layout": "channels_last", "padding": 1, "padding_mode": "reflect"}
    yield "deform_conv2d", deform, how
    yield "conv_tbc", (Array(9, 2, 4), Array(3, 4, 6), Array(6)), {"pad": 2}
    yield "causal_conv1d", (Array(2, 4, 9), Array(6, 2, 3), Array(6), 2, 2), {}
    yield "causal_conv1d", (Array(4, 5), Array(6, 4, 3)), {"activation": "relu"}

    ones = Array(2, 3, 1, 1)
    yield "global_avg_pool_backward", (ones, (2, 3, 9, 8)), {}
    places = Array(2, 3, 1, 1, dtype=np.int64)
    yield "global_max_pool_backward", (ones, places, (2, 3, 9, 8)), {}
    yield "global_lp_pool_backward", (ones, Array(2, 3, 9, 8), ones, 3), {}
    ones, x = Array(2, 1, 1, 1, 3), Array(2, 2, 3, 2, 3)
    yield "global_lp_pool_backward", (ones, x, ones), {"layout": "channels_last"}
    yield "global_avg_pool_backward", (ones, (2, 2, 3, 2, 3)), {"layout": "channels_last"}
    yield "global_avg_pool", (Array(2, 3, 9, 8),), {}
    yield "global_max_pool", (Array(2, 3, 4, 3, 2),), {"return_indices": True}
    yield "global_lp_pool", (Array(2, 9, 8, 3),), {"layout": "channels_last", "norm_type": 3}
    yield "avg_pool2d", (Array(3, 9, 8), 2), {"divisor_override": 3}
    yield "avg_pool3d_backward", (Array(2, 2, 2, 3), (2, 5, 5, 6), 2), {"divisor_override": -1}


CASES = list(cases())
IDS = [f"{name}-{i}" for i, (name, _, _) in enumerate(CASES)]


def made(argument):
    if not isinstance(argument, Array):
        return argument
    if argument.dtype == np.int64:
        return np.zeros(argument.shape, np.int64)
    return ints(*argument.shape, dtype=argument.dtype)


@pytest.mark.parametrize(("name", "args", "kwargs"), CASES, ids=IDS)
@pytest.mark.parametrize(
    "changes", [{}, {"algorithm": "naive"}, {"max_scratch_bytes": 64}], ids=str
)
def test_the_plan_is_that_of_the_call(name, args, kwargs, changes, plans):
    shapes = [arg.shape if isinstance(arg, Array) else arg for arg in args]
    arrays = [made(arg) for arg in args]
    with F.settings(**changes):
        explained = [
            F.explain(name, *shapes, **kwargs),
            F.explain(getattr(F, name), *arrays, **kwargs),
        ]
        assert plans == []
        result = getattr(F, name)(*arrays, **kwargs)
    steps = functools.reduce(lambda before, plan: replace(plan, before=before), plans)
    assert len(plans) == 1 or name.startswith(("separable", "deform_conv2d_backward"))
    if name.startswith("separable"):  # what lies between the two is scratch memory too
        between = 8 if steps.problem.dtype == np.float64 else 4
        between *= math.prod(steps.problem.x_shape)
        steps = replace(steps, scratch_bytes=steps.scratch_bytes + between)
    assert explained == [steps, steps]
    if isinstance(result, DeformGradients):
        assert explained[0].output_shape == [g for g in result if g is not None][-1].shape
        return
    result = result[0] if isinstance(result, tuple) else result
    if name == "conv_tbc":
        result = result.transpose(1, 0, 2)
    shape = explained[0].output_shape
    assert shape in (result.shape, (1, *result.shape), (*result.shape, *shape[result.ndim :]))


def test_every_operation_with_a_plan_is_covered():
    assert {name for name, _, _ in CASES} == set(EXPLAINED)
    operations = {name for name in F.__all__ if inspect.isfunction(getattr(F, name))}
    others = {
        "configure",
        "explain",
        "forget_tuned",
        "info",
        "prepare_conv",
        "prepare_conv_transpose",
        "settings",
        "sliding_windows",
        "tune",
        *BETWEEN,
    }
    assert set(EXPLAINED) == operations - others


def test_the_dtype_is_float32_unless_said():
    assert str(F.explain("conv1d", (1, 1, 4), (1, 1, 2)).problem).endswith("float32")
    assert F.explain("conv1d", (1, 1, 4), (1, 1, 2), dtype=np.float64).problem.dtype == np.float64


def test_keywords_may_name_the_arrays():
    assert F.explain("conv1d", weight=(1, 1, 2), input=(1, 1, 4)).output_shape == (1, 1, 3)


def test_nothing_is_allocated():
    plan = F.explain("conv2d", (64, 512, 224, 224), (512, 512, 3, 3))
    assert plan.flops == 2 * 64 * 512 * 222 * 222 * 512 * 9
    assert plan.scratch_bytes <= plan.max_scratch_bytes


REFUSED = [
    (("conv4d", (1, 1, 4)), {}, ParameterError, "op: nothing to plan for 'conv4d'.*conv2d"),
    ((F.sliding_windows, (1, 1, 4), 2), {}, ParameterError, "nothing to plan"),
    ((len, (1, 1, 4)), {}, ParameterError, "nothing to plan for 'len'"),
    ((7, (1, 1, 4)), {}, ParameterError, "nothing to plan for '7'"),
    (("conv1d", (1, 1, 4)), {}, ParameterError, r"explain\('conv1d'\): missing.*weight"),
    (("conv1d", (1, 1, 4), (1, 1, 2)), {"speed": 1}, ParameterError, "speed"),
    (("conv1d", (1, 1, 4), (1, 2, 2)), {}, ShapeError, "weight"),
    (("conv1d", (1, 1, 4), 5), {}, ParameterError, "weight: expected a shape, got 5"),
    (("conv1d", (1, 1, 4), (1, 1, 5)), {}, ShapeError, "kernel_size"),
    (("conv1d", (1, 1, 4), (1, 1, 2)), {"dtype": "S3"}, DtypeError, "S3"),
    (("conv1d", (1, 1, 4), (1, 1, 2)), {"dtype": "uint64"}, DtypeError, "acc_dtype: nothing is"),
    (("conv1d", (1, 1, 4), (1, 1, 2)), {"acc_dtype": "int8"}, DtypeError, "acc_dtype: sums of"),
    (("conv1d", (1, 1, 4), (1, 1, 2)), {"stride": 0}, ParameterError, "stride"),
    (("conv1d_input", (1, 1, 4), (1, 1, 2), (1, 1, 4)), {}, ShapeError, "grad_output"),
    (("conv1d_weight", (1, 1, 4), (1, 1, 2), (1, 1, 4)), {}, ShapeError, "grad_output"),
    (("fold", (1, 12, 12), (4, 5), (2, 5)), {}, ShapeError, "multiple of the 10 taps"),
    (("fold", (1, 12, 11), (4, 5), (2, 2)), {}, ShapeError, "12 columns are expected, got 11"),
    (("max_pool1d", (1, 1, 4), 5), {}, ShapeError, "kernel_size"),
    (("conv1d", (1, 1, 4), (1, 1, 2), (3,)), {}, ShapeError, "bias"),
    (("avg_pool1d_backward", (1, 1, 9), (1, 1, 4), 2), {}, ShapeError, "grad_output"),
    (("max_pool1d_backward", (1, 2, 2), (1, 2, 2), (1, 1, 4)), {}, ShapeError, "grad_output"),
    (("max_pool1d_backward", (1, 1, 2), (1, 1, 3), (1, 1, 4)), {}, ShapeError, "indices"),
    (("fold", (1, 2, 12, 12), (4, 5), (2, 2)), {}, ShapeError, "input: expected shape"),
    (("im2col", (1, 1, 4), 2), {"pad_value": "a"}, ParameterError, "pad_value"),
]


@pytest.mark.parametrize(
    ("args", "kwargs", "error", "words"),
    REFUSED,
    ids=[f"{getattr(op, '__name__', op)}: {words}" for (op, *_), _, _, words in REFUSED],
)
def test_what_the_call_refuses_is_refused(args, kwargs, error, words):
    with pytest.raises(error, match=words):
        F.explain(*args, **kwargs)


def test_a_forced_algorithm_that_refuses():
    with F.settings(algorithm="pointwise"), pytest.raises(PlanError, match=r"tap|kernel"):
        F.explain("conv1d", (1, 1, 4), (1, 1, 2))
