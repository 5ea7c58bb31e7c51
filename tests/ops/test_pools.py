"""What the pools promise beyond PyTorch: NaN, rounding, padding, layouts, windows of nothing."""

import inspect

import numpy as np
import pytest

import fastconv as F
from tests import oracle_pool
from tests.helpers import distinct, ints, same

RANKS = pytest.mark.parametrize("rank", [1, 2, 3])
ALGORITHMS = pytest.mark.parametrize("algorithm", ["pooling", "naive"])
SIZES = {1: (11,), 2: (9, 8), 3: (5, 6, 7)}
NAN, INF = float("nan"), float("inf")


def of(name, rank):
    return getattr(F, name.format(rank))


TORCH = {
    "max_pool": "input kernel_size stride padding dilation ceil_mode return_indices",
    "min_pool": "input kernel_size stride padding dilation ceil_mode return_indices",
    "lp_pool": "input norm_type kernel_size stride ceil_mode",
    "adaptive_max_pool": "input output_size return_indices",
    "adaptive_avg_pool": "input output_size",
    "max_unpool": "input indices kernel_size stride padding output_size",
    "fractional_max_pool": (
        "input kernel_size output_size output_ratio return_indices _random_samples"
    ),
    "lp_pool_backward": "grad_output input output norm_type kernel_size stride ceil_mode",
    "adaptive_avg_pool_backward": "grad_output input_size",
    "adaptive_max_pool_backward": "grad_output indices input_size",
    "fractional_max_pool_backward": "grad_output indices input_size",
    "max_unpool_backward": "grad_output indices input_size",
    "min_pool_backward": "grad_output indices input_size",
}


@RANKS
@pytest.mark.parametrize("name", TORCH)
def test_parameters_are_those_of_pytorch_and_the_rest_by_keyword(rank, name):
    if name.startswith("fractional") and rank == 1:
        assert not hasattr(F, "fractional_max_pool1d")
        return
    stem, _, backward = name.partition("_backward")
    full = f"{stem}{rank}d{'_backward' if '_backward' in name else backward}"
    parameters = inspect.signature(getattr(F, full)).parameters.values()
    places = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    assert places == TORCH[name].split()
    assert "layout" in [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


# NaN


@ALGORITHMS
@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize(
    ("values", "place"),
    [
        ([NAN, 1, NAN, 3], {"max": 3, "min": 1}),
        ([3, NAN, 3, 1], {"max": 0, "min": 3}),
        ([NAN, NAN, NAN, NAN], {"max": 0, "min": 0}),
        ([NAN, -INF, -INF, NAN], {"max": 1, "min": 1}),
        ([NAN, INF, INF, NAN], {"max": 1, "min": 1}),
        ([1, 1, NAN, 1], {"max": 0, "min": 0}),
    ],
    ids=repr,
)
def test_ignored_nan(algorithm, name, values, place):
    for shape, rank, kernel in (((1, 1, 4), 1, 4), ((1, 1, 2, 2), 2, 2), ((1, 1, 1, 2, 2), 3, 2)):
        x = np.array(values, float).reshape(shape)
        kernel = (1, 2, 2) if rank == 3 else kernel
        with F.settings(algorithm=algorithm):
            y, indices = of(f"{name}_pool{{}}d", rank)(x, kernel, return_indices=True, nan="ignore")
            same(of(f"{name}_pool{{}}d", rank)(x, kernel, nan="ignore"), y)
        assert indices.item() == place[name]
        same(y.ravel(), x.ravel()[indices.ravel()])


@ALGORITHMS
@RANKS
@pytest.mark.parametrize("nan", ["propagate", "ignore"])
@pytest.mark.parametrize("seed", range(4))
def test_nan_and_infinities_anywhere(algorithm, rank, nan, seed):
    values = [NAN, NAN, INF, -INF, -INF, 0.0, 1.0, 1.0, 2.0]
    x = np.random.default_rng(seed).choice(values, (1, 2, *SIZES[rank]))
    place = ((3,) * rank, (2,) * rank, ((1, 2),) * rank, (1,) * rank)
    with F.settings(algorithm=algorithm):
        for name in ("max", "min"):
            got = of(f"{name}_pool{{}}d", rank)(
                x, *place, return_indices=True, nan=nan, rounding="cover_all"
            )
            wanted = oracle_pool.extreme_pool(
                x, *place, "cover_all", name == "min", nan == "ignore"
            )
            for one, other in zip(got, wanted, strict=True):
                same(one, other)
        got = of("adaptive_max_pool{}d", rank)(x, 3, return_indices=True, nan=nan)
        wanted = oracle_pool.adaptive_max_pool(x, (3,) * rank, nan == "ignore")
        for one, other in zip(got, wanted, strict=True):
            same(one, other)


@ALGORITHMS
def test_nan_in_a_quantile_is_nan(algorithm):
    x = np.array([[[1.0, NAN, 3.0, 2.0, 5.0]]])
    with F.settings(algorithm=algorithm):
        same(F.median_pool1d(x, 3, 2), np.array([[[NAN, 3.0]]]))


# Windows of nothing, rounding and padding


@ALGORITHMS
def test_windows_without_an_element(algorithm):
    """Four windows of one element every three: the last begins behind the input."""
    x = np.array([[[-5.0, 1.0, 2.0, -7.0, 4.0, 5.0, -6.0, 8.0]]])
    with F.settings(algorithm=algorithm):
        options = {"rounding": "cover_all", "return_indices": True}
        y, indices = F.max_pool1d(x, 1, 3, **options)
        assert y.tolist() == [[[-5.0, -7.0, -6.0, -INF]]]
        assert indices.tolist() == [[[0, 3, 6, -1]]]
        y, indices = F.min_pool1d(x, 1, 3, nan="ignore", **options)
        assert y.tolist() == [[[-5.0, -7.0, -6.0, INF]]]
        assert indices.tolist() == [[[0, 3, 6, -1]]]
        options.pop("return_indices")
        same(F.avg_pool1d(x, 1, 3, **options), np.array([[[-5.0, -7.0, -6.0, 0.0]]]))
        skipped = F.avg_pool1d(x, 1, 3, count_include_pad=False, **options)
        same(skipped, np.array([[[-5.0, -7.0, -6.0, NAN]]]))
        same(F.lp_pool1d(x, 2, 1, 3, **options), np.array([[[5.0, 7.0, 6.0, 0.0]]]))
        same(F.lp_pool1d(x, INF, 1, 3, **options), np.array([[[5.0, 7.0, 6.0, 0.0]]]))
        same(F.median_pool1d(x, 1, 3, **options), np.array([[[-5.0, -7.0, -6.0, -INF]]]))


@ALGORITHMS
@pytest.mark.parametrize("value", [-INF, NAN])
def test_padding_never_is_a_maximum(algorithm, value):
    x = np.full((1, 1, 3, 3), value)
    with F.settings(algorithm=algorithm):
        for nan in ("propagate", "ignore"):
            y, indices = F.max_pool2d(x, 3, 2, 1, return_indices=True, nan=nan)
            same(y, np.full((1, 1, 2, 2), value))
            assert ((indices >= 0) & (indices < 9)).all()


def test_rounding_is_floor_or_ceil_mode_or_covers_all():
    x = ints(1, 1, 8)
    sizes = {name: F.max_pool1d(x, 3, 2, 1, rounding=name).shape[-1] for name in ("floor", "ceil")}
    assert sizes == {"floor": 4, "ceil": 5}
    same(F.max_pool1d(x, 3, 2, 1, 1, True), F.max_pool1d(x, 3, 2, 1, rounding="ceil"))
    # a window that would start in the padding behind the input is one only to cover all
    x = ints(1, 1, 7)
    sizes = {
        name: F.max_pool1d(x, 2, 4, 1, rounding=name).shape[-1]
        for name in ("floor", "ceil", "cover_all")
    }
    assert sizes == {"floor": 2, "ceil": 2, "cover_all": 3}


@RANKS
@pytest.mark.parametrize("form", ["valid", "same", "same_lower"])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 2, 1), (2, 1, 1), (2, 3, 2)])
def test_named_padding_is_the_padding_it_names(rank, form, kernel, stride, dilation):
    x = ints(1, 2, *SIZES[rank])
    pads = []
    for size in SIZES[rank]:
        reach = dilation * (kernel - 1) + 1
        total = max(0, (-(-size // stride) - 1) * stride + reach - size) if form != "valid" else 0
        pads.append((total - total // 2, total // 2) if form == "same_lower" else None)
        pads[-1] = pads[-1] or (total // 2, total - total // 2)
    pads = tuple(pads)
    place = {"stride": stride, "dilation": dilation}
    for name, options in (
        ("max_pool", {}),
        ("min_pool", {}),
        ("avg_pool", {}),
        ("median_pool", {}),
    ):
        pool = of(name + "{}d", rank)
        named = pool(x, kernel, padding=form, **place, **options)
        same(named, pool(x, kernel, padding=pads, **place, **options))
        if form != "valid":
            assert named.shape[2:] == tuple(-(-size // stride) for size in SIZES[rank])
    norms = of("lp_pool{}d", rank)
    same(norms(x, 1, kernel, padding=form, **place), norms(x, 1, kernel, padding=pads, **place))
    gy = of("avg_pool{}d", rank)(x, kernel, padding=form, **place)
    back = of("avg_pool{}d_backward", rank)
    same(
        back(gy, x.shape, kernel, padding=form, **place),
        back(gy, x.shape, kernel, padding=pads, **place),
    )


# Layouts


def last(array):
    return np.ascontiguousarray(np.moveaxis(array, -array.ndim + 1, -1))


def moved(array, unbatched):
    return np.moveaxis(array, 0 if unbatched else 1, -1)


@ALGORITHMS
@RANKS
@pytest.mark.parametrize("unbatched", [False, True], ids=["batched", "unbatched"])
def test_channels_last_is_the_same_moved(algorithm, rank, unbatched):
    x = ints(2, 3, *SIZES[rank])
    x = x[0] if unbatched else x
    swapped = moved(x, unbatched)
    calls = {
        "max_pool": ((3, 2, 1), {"return_indices": True}),
        "min_pool": ((3, 2, 1), {"return_indices": True}),
        "avg_pool": ((3, 2, 1), {}),
        "lp_pool": ((1, 3, 2), {}),
        "median_pool": ((3, 2, 1), {}),
        "adaptive_max_pool": ((2,), {"return_indices": True}),
        "adaptive_avg_pool": ((2,), {}),
    }
    with F.settings(algorithm=algorithm):
        for name, (args, options) in calls.items():
            pool = of(name + "{}d", rank)
            first = pool(x, *args, **options)
            second = pool(swapped, *args, layout="channels_last", **options)
            first, second = (r if isinstance(r, tuple) else (r,) for r in (first, second))
            for one, other in zip(first, second, strict=True):
                same(other, np.ascontiguousarray(moved(one, unbatched)))


@ALGORITHMS
@RANKS
@pytest.mark.parametrize("unbatched", [False, True], ids=["batched", "unbatched"])
def test_gradients_in_channels_last_are_the_same_moved(algorithm, rank, unbatched):
    x = distinct(2, 3, *SIZES[rank])
    x = x[0] if unbatched else x
    size = moved(x, unbatched).shape
    layout = {"layout": "channels_last"}

    def swap(array):
        return moved(array, unbatched)

    with F.settings(algorithm=algorithm):
        y, places = of("max_pool{}d", rank)(x, 2, return_indices=True)
        gy = ints(*y.shape)
        for name in ("max", "min", "adaptive_max"):
            back = of(name + "_pool{}d_backward", rank)
            same(back(swap(gy), swap(places), size, **layout), swap(back(gy, places, x.shape)))
        back = of("avg_pool{}d_backward", rank)
        same(back(swap(gy), size, 2, **layout), swap(back(gy, x.shape, 2)))
        back = of("adaptive_avg_pool{}d_backward", rank)
        same(back(swap(gy), size, **layout), swap(back(gy, x.shape)))
        back = of("lp_pool{}d_backward", rank)
        norms = of("lp_pool{}d", rank)(x, 1, 2)
        same(back(swap(gy), swap(x), swap(norms), 1, 2, **layout), swap(back(gy, x, norms, 1, 2)))
        undo = of("max_unpool{}d", rank)
        same(
            undo(swap(y), swap(places), 2, output_size=SIZES[rank], **layout),
            swap(undo(y, places, 2, output_size=SIZES[rank])),
        )
        if not unbatched:
            same(
                undo(swap(y), swap(places), 2, output_size=size, **layout),
                swap(undo(y, places, 2, output_size=x.shape)),
            )
        back = of("max_unpool{}d_backward", rank)
        same(back(swap(x), swap(places), swap(y).shape, **layout), swap(back(x, places, y.shape)))


def test_global_pools_of_any_number_of_dimensions():
    for shape in ((2, 3, 5), (2, 3, 4, 5), (2, 3, 2, 3, 4), (2, 3, 2, 3, 2, 2), (0, 3, 4, 2, 2, 2)):
        x = ints(*shape) * 240
        flat = x.reshape(*shape[:2], int(np.prod(shape[2:])))
        ones = (1,) * (len(shape) - 2)
        same(F.global_avg_pool(x), flat.mean(2).reshape(*shape[:2], *ones))
        y, indices = F.global_max_pool(x, return_indices=True)
        same(y, flat.max(2).reshape(*shape[:2], *ones))
        same(indices, flat.argmax(2).reshape(*shape[:2], *ones))
        same(F.global_lp_pool(x, INF), np.abs(flat).max(2).reshape(*shape[:2], *ones))
        swapped = np.moveaxis(x, 1, -1)
        for pool in (F.global_avg_pool, F.global_max_pool, F.global_lp_pool):
            same(pool(swapped, layout="channels_last"), np.moveaxis(pool(x), 1, -1))


# Random windows


def test_a_generator_decides_the_windows():
    x = ints(3, 4, 30, 31)

    def pooled(seed):
        return F.fractional_max_pool2d(x, 2, (14, 15), generator=np.random.default_rng(seed))

    same(pooled(1), pooled(1))
    assert (pooled(1) != pooled(2)).any()
    assert F.fractional_max_pool2d(x, 2, (14, 15)).shape == (3, 4, 14, 15)


@pytest.mark.parametrize("sample", [0.0, 0.3, 0.999, 1.0])
def test_fractional_windows_are_where_the_formula_says(sample):
    x = distinct(1, 1, 11, 13)
    y, indices = F.fractional_max_pool2d(
        x, 1, (7, 5), return_indices=True, _random_samples=np.full((1, 1, 2), sample)
    )
    rows = oracle_pool.fractional_starts(sample, 11, 1, 7)
    columns = oracle_pool.fractional_starts(sample, 13, 1, 5)
    assert indices[0, 0, :, 0].tolist() == [row * 13 + columns[0] for row in rows]
    assert indices[0, 0, 0].tolist() == [rows[0] * 13 + column for column in columns]
    same(y[0, 0], x[0, 0][np.ix_(rows, columns)])


# Undoing


@RANKS
def test_unpooling_undoes_pooling(rank):
    x = distinct(2, 3, *SIZES[rank]) + 0.5  # none is 0
    y, indices = of("max_pool{}d", rank)(x, 2, return_indices=True)
    back = of("max_unpool{}d", rank)(y, indices, 2, output_size=SIZES[rank])
    kept = back != 0
    np.testing.assert_array_equal(back[kept], x[kept])
    same(of("max_pool{}d", rank)(np.where(kept, back, -INF), 2), y)


@ALGORITHMS
def test_places_of_nothing_stay_nothing(algorithm):
    with F.settings(algorithm=algorithm):
        values, places = np.array([[[5.0, 7.0, 9.0]]]), np.array([[[1, -1, 1]]])
        same(F.max_unpool1d(values, places, 1), np.array([[[0.0, 9.0, 0.0]]]))
        planes = np.array([[[1.0, 2.0, 3.0]]])
        same(F.max_unpool1d_backward(planes, places, (1, 1, 3)), np.array([[[2.0, 0.0, 2.0]]]))


def test_nothing_flows_through_a_norm_of_zero():
    x = np.array([[[0.0, 0.0, 3.0, 4.0]]])
    for norm in (0.5, 1, 2, 3, 7.5):
        y = F.lp_pool1d(x, norm, 2)
        gx = F.lp_pool1d_backward(np.ones_like(y), x, y, norm, 2)
        assert np.isfinite(gx[0, 0, 2:]).all()
        if norm >= 1:
            assert gx[0, 0, :2].tolist() == [0.0, 0.0]
