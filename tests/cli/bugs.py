"""Algorithms with a mistake put into them."""

from fastconv.algorithms import ALGORITHMS


def break_algorithm(monkeypatch, name, mistake):
    """Call `mistake(problem, inputs, outputs)` after each run of an algorithm; return its class."""
    kind = type(next(algorithm for algorithm in ALGORITHMS if algorithm.name == name))
    right = kind.run

    def wrong(self, problem, inputs, outputs, limit, threads):
        right(self, problem, inputs, outputs, limit, threads)
        mistake(problem, inputs, outputs)

    monkeypatch.setattr(kind, "run", wrong)
    return kind


def wrong_where_strided(problem, inputs, outputs):
    """Be off by 0.5 wherever a convolution has a stride beyond 1."""
    if problem.operation == "conv" and max(axis.stride for axis in problem.window.axes) > 1:
        outputs[0][...] += 0.5
