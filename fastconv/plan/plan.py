"""A plan: which algorithm solves a problem, and why not another."""

from dataclasses import dataclass, field

import numpy as np

from fastconv.algorithms import Algorithm, Inputs, Outputs
from fastconv.plan.threads import limited_threads
from fastconv.problem import Problem


@dataclass(frozen=True)
class Plan:
    """What `explain` returns and prints.

    Attributes
    ----------
    problem : Problem
        What is solved; `str` of it is its one line of text.
    candidates : tuple of str
        All algorithms that accept, in order of preference.
    refusals : dict of str to str
        Why each of the others does not.
    scratch_bytes : int
        Scratch memory of the chosen algorithm.
    max_scratch_bytes : int
        What it was allowed.
    threads : int
        Threads allowed: fastconv's own, or those of NumPy's BLAS where the algorithm uses that.
    limits_blas : bool
        Whether the threads were set, so that BLAS is held to them while the call runs.
    """

    problem: Problem
    candidates: tuple[str, ...]
    refusals: dict[str, str]
    scratch_bytes: int
    max_scratch_bytes: int
    threads: int
    limits_blas: bool
    chosen: Algorithm = field(repr=False)

    @property
    def algorithm(self) -> str:
        """Name of the chosen algorithm."""
        return self.chosen.name

    @property
    def exact(self) -> bool:
        """Whether sums of small integers come out exact."""
        return self.chosen.exact

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the result, batched."""
        return self.problem.result_shape

    @property
    def flops(self) -> int:
        """Floating-point operations of the direct algorithm."""
        return self.problem.flops

    def run(self, inputs: Inputs, outputs: Outputs) -> None:
        """Solve the problem into `outputs`; floating-point warnings are left to the values."""
        with np.errstate(all="ignore"):
            if self.limits_blas:
                with limited_threads(self.threads):
                    self._run(inputs, outputs)
            else:
                self._run(inputs, outputs)

    def _run(self, inputs: Inputs, outputs: Outputs) -> None:
        self.chosen.run(self.problem, inputs, outputs, self.max_scratch_bytes, self.threads)

    def __str__(self) -> str:
        lines = [
            f"problem    {self.problem}",
            f"algorithm  {self.algorithm}",
            f"output     {self.output_shape}",
            f"scratch    {_mebibytes(self.scratch_bytes)} of {_mebibytes(self.max_scratch_bytes)}",
            f"work       {self.flops / 1e6:.1f} Mflop",
            f"threads    {self.threads}{', of BLAS' if self.chosen.uses_blas else ''}",
            f"exact      {'yes' if self.exact else 'no'}",
            f"accepted   {', '.join(self.candidates)}",
        ]
        lines += [f"refused    {name}: {reason}" for name, reason in self.refusals.items()]
        return "\n".join(lines)


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.2f} MiB"
