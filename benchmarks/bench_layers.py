"""Every contender on every layer of the table, grouped by layer.

    make bench                                   # all, saved as JSON under .benchmarks/
    .venv/bin/pytest benchmarks --benchmark-enable -k "resnet50 and forward"
    .venv/bin/pytest-benchmark compare           # against earlier runs

Results are compared with the engine's before anything is timed.
"""

import time

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fastconv.cli.contenders import CONTENDERS, ENGINE, Contender, own_threads
from fastconv.cli.layers import CHOICES, Layer, layers
from fastconv.cli.operands import tolerance
from fastconv.cli.race import inputs_of

SECONDS = 0.3
"""Time for one contender on one layer."""
MOST_ROUNDS = 200

CASES = [
    pytest.param(layer, contender, id=f"{direction}-{layer.name}-{contender.name}")
    for direction in CHOICES
    for layer in layers(direction)
    for contender in CONTENDERS
    if contender.available() and contender.rejects(layer.problem) is None
]


@pytest.mark.parametrize(("layer", "contender"), CASES)
def bench_layer(benchmark: BenchmarkFixture, layer: Layer, contender: Contender) -> None:
    problem = layer.problem
    benchmark.group = f"{problem.operation} {problem.direction} {layer.name}"
    benchmark.extra_info.update(problem=str(problem), flops=problem.flops)
    inputs = inputs_of(layer)
    with own_threads(1):
        expected = ENGINE.prepare(problem, inputs)()
        call = contender.prepare(problem, inputs)
        start = time.perf_counter()
        result = call()
        took = time.perf_counter() - start
        np.testing.assert_allclose(result, expected, rtol=0, atol=2 * tolerance(problem, expected))
        rounds = int(min(MOST_ROUNDS, max(1, SECONDS / took)))
        benchmark.pedantic(call, rounds=rounds)  # type: ignore[no-untyped-call]
