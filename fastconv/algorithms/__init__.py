"""The ways to solve a problem, siblings of one shape, in order of preference; `naive` is last.

To add one: write its file with the members of `Algorithm`, and give it its place in the list.
The planner, the agreement tests, `fastconv check` and the benchmarks then find it by themselves.
"""

from fastconv.algorithms.algorithm import Algorithm, Inputs, Outputs, Packed
from fastconv.algorithms.channel_vectors import ChannelVectors
from fastconv.algorithms.channels_last import ChannelsLast
from fastconv.algorithms.column_rows import ColumnRows
from fastconv.algorithms.columns import Columns
from fastconv.algorithms.converted import Converted
from fastconv.algorithms.deform_gemm import DeformGemm
from fastconv.algorithms.dense import Dense
from fastconv.algorithms.depthwise import Depthwise
from fastconv.algorithms.depthwise_pairs import DepthwisePairs
from fastconv.algorithms.depthwise_sums import DepthwiseSums
from fastconv.algorithms.fft import Fft
from fastconv.algorithms.im2col_gemm import Im2colGemm
from fastconv.algorithms.implicit_gemm import ImplicitGemm
from fastconv.algorithms.local_gemm import LocalGemm
from fastconv.algorithms.naive import Naive
from fastconv.algorithms.plane_places import PlanePlaces
from fastconv.algorithms.pointwise import Pointwise
from fastconv.algorithms.pooling import Pooling
from fastconv.algorithms.position_dots import PositionDots
from fastconv.algorithms.position_sums import PositionSums
from fastconv.algorithms.tapwise import Tapwise
from fastconv.algorithms.transposed_gemm import TransposedGemm
from fastconv.algorithms.turned_forward import TURNED_WINOGRADS, TurnedForward
from fastconv.algorithms.window_places import WindowPlaces
from fastconv.algorithms.window_planes import WindowPlanes
from fastconv.algorithms.window_rows import WindowRows
from fastconv.algorithms.window_spread import WindowSpread
from fastconv.algorithms.winograd import WINOGRADS

FORWARD: tuple[Algorithm, ...] = (Depthwise(), ChannelsLast(), ChannelVectors(), ImplicitGemm())
"""Compiled convolutions; they solve the gradient of the input too."""
ALGORITHMS: tuple[Algorithm, ...] = (
    DepthwiseSums(),
    DepthwisePairs(),
    PositionDots(),
    PositionSums(),
    Fft(),
    Dense(),
    *WINOGRADS,
    *FORWARD,
    TransposedGemm(),
    *TURNED_WINOGRADS,
    TurnedForward(FORWARD),
    Pointwise(),
    Converted(),
    Im2colGemm(),
    Tapwise(),
    WindowPlanes(),
    WindowRows(),
    WindowPlaces(),
    WindowSpread(),
    PlanePlaces(),
    Pooling(),
    ColumnRows(),
    Columns(),
    LocalGemm(),
    DeformGemm(),
    Naive(),
)

__all__ = ["ALGORITHMS", "Algorithm", "Inputs", "Outputs", "Packed"]
