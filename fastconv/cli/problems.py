"""The list of edge cases that tests, benchmarks and `fastconv check` share."""

from importlib.resources import files

from fastconv.dtypes import with_bfloat16
from fastconv.problem import Problem


def edge_problems() -> list[Problem]:
    """Return the problems of `data/edges.txt`, in its order; bfloat16 needs ml_dtypes."""
    known = with_bfloat16()
    text = files("fastconv.cli").joinpath("data", "edges.txt").read_text(encoding="utf-8")
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [Problem.parse(line) for line in lines if line and line.split()[-1] in known]
