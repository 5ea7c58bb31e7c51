"""What every algorithm looks like."""

from dataclasses import dataclass
from typing import Any, Protocol

from fastconv.dtypes import Array
from fastconv.problem import Problem


@dataclass(frozen=True)
class Packed:
    """A weight and a bias as one algorithm reads them; `key` says for which problems."""

    weight: Array
    panels: Array
    bias: Array
    key: tuple[Any, ...]


@dataclass(frozen=True)
class PackedPhases(Packed):
    """What is packed of the phases of a gradient's elements, in their order; None has no taps."""

    phases: tuple[Packed | None, ...] = ()


Inputs = tuple[Any, ...]
Outputs = tuple[Array, ...]


class Algorithm(Protocol):
    """One way to solve some problems.

    Inputs and outputs by operation and direction, all batched, of the problem's dtype, outputs
    allocated and not yet written:

    ======================== ================== =======================
    problem                  inputs             outputs
    ======================== ================== =======================
    conv forward             x, w, b or None    y
    conv input_gradient      w, gy, and maybe b gx
    conv weight_gradient     x, gy              gw
    max_pool forward         x                  y, and indices if asked
    avg_pool forward         x                  y
    avg_pool input_gradient  gy                 gx
    columns forward          x, pad value       columns
    columns input_gradient   columns            x
    scatter forward          values, indices    planes
    deform_conv forward      as conv, then offset, mask or None; so too the input and weight
                             gradients; for those of offset and mask x, w, gy, offset, mask
    local_conv ...           as conv, the bias with an element for every output of a sample
    ======================== ================== =======================

    The weight of a convolution forward may also be a view of any strides with an axis of the groups
    before the others: `(groups, C_out // groups, C_in // groups, *kernel)`.

    Further members are optional; whoever plans asks for them by name:

    `compiled`
        True: computes in compiled loops only, which raise no floating-point warnings.
    `declines(problem, precision)`
        Returns why it is not taken though it accepts, or None: asked where no algorithm is forced.
    `errors`
        How many times as large as those of sums that are not rearranged errors may be; else 1.
    `only_slow(problem, precision)`
        Whether what it declines for is but its estimated time, which measuring may contradict.
    `fuses_activation(problem)`
        True: `run` applies the problem's activation too; else the plan does so afterwards.
    `adds_bias(problem)`
        True: `run` adds the bias of an input gradient too; else the plan does so afterwards.
    `layout`
        "channels_last": takes such arrays; else the plan hands it views of them with the channels
        second, and copies what it filled.
    `checks_places`
        True: `run` raises where an index lies outside of its plane; else callers look before.
    `last_resort`
        True: not refused for the memory of a padded copy, even where a limit is set.
    `takes_views(problem)`
        True: fills such views too, whatever their strides; nothing is then copied for it.
    `pack(problem, weight, bias)`
        Returns `Packed`, which `run` takes in the place of the weight, any number of times.
    `bind(problem, packed, limit, threads)`
        Returns `solve(x, y)`: `run` with all settled that does not depend on the data.
    `settle(problem, limit, threads)`
        Returns `solve(inputs, outputs)`: `run` with all settled that does not depend on the data.
    """

    @property
    def name(self) -> str:
        """The name that forces it: `settings(algorithm=name)`."""

    @property
    def exact(self) -> bool:
        """Whether sums of small integers come out exact, bit for bit."""

    @property
    def uses_blas(self) -> bool:
        """Whether its multiplies run on NumPy's BLAS, with the threads that has."""

    def rejects(self, problem: Problem) -> str | None:
        """Return why this algorithm refuses a problem, or None if it accepts."""

    def scratch(self, problem: Problem, limit: int) -> int:
        """Return the bytes of scratch memory used if `limit` are allowed: more where it must."""

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Solve the problem into `outputs`.

        With `limit` bytes of scratch memory and `threads` of fastconv's threads allowed.
        """
