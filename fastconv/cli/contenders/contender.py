"""What every contender looks like."""

from collections.abc import Callable
from typing import Protocol

from fastconv.algorithms import Inputs
from fastconv.dtypes import Array
from fastconv.problem import Problem

Call = Callable[[], Array]


class Contender(Protocol):
    """One way to compute what a problem asks for; inputs are as in `algorithms.Algorithm`."""

    @property
    def name(self) -> str:
        """What it is called in tables."""

    def available(self) -> bool:
        """Whether what it needs is installed."""

    def rejects(self, problem: Problem) -> str | None:
        """Return why it cannot compute a problem, or None if it can."""

    def prepare(self, problem: Problem, inputs: Inputs, threads: int = 1) -> Call:
        """Return the call to be timed, which returns the result; all else is done here.

        `threads` is for other libraries; fastconv's own threads and those of NumPy's BLAS are set
        for the whole process by whoever times the call, with `own_threads`.
        """
