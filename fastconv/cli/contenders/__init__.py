"""Who competes in `fastconv bench` and in `benchmarks/`: siblings of one shape.

To add one: write its file with the members of `Contender`, and give it its place in the list.
"""

from fastconv.cli.contenders.contender import Call, Contender
from fastconv.cli.contenders.onnx_runtime import OnnxRuntime
from fastconv.cli.contenders.own import (
    Engine,
    EnginePrepared,
    PureNumpy,
    Reference,
    own_threads,
)
from fastconv.cli.contenders.pytorch import PyTorch
from fastconv.cli.contenders.transposed import (
    EnginePreparedTransposed,
    OnnxRuntimeTransposed,
    PyTorchTransposed,
)
from fastconv.cli.contenders.window_view import WindowView

REFERENCE, ENGINE, PREPARED, WINDOW_VIEW = Reference(), Engine(), EnginePrepared(), WindowView()
PURE_NUMPY, PREPARED_TRANSPOSED = PureNumpy(), EnginePreparedTransposed()
OWN = (ENGINE.name, PREPARED.name)
"""The engine's names: all others are what it is compared with."""
PEERS: tuple[Contender, ...] = (PyTorch(), OnnxRuntime())
"""Other libraries, which may or may not be installed."""
TRANSPOSED_PEERS: tuple[Contender, ...] = (PyTorchTransposed(), OnnxRuntimeTransposed())
"""The same, where gradients of inputs stand for transposed convolutions."""
CONTENDERS: tuple[Contender, ...] = (
    REFERENCE,
    ENGINE,
    PREPARED,
    PURE_NUMPY,
    WINDOW_VIEW,
    *PEERS,
    PREPARED_TRANSPOSED,
    *TRANSPOSED_PEERS,
)

__all__ = [
    "CONTENDERS",
    "ENGINE",
    "OWN",
    "PEERS",
    "PREPARED",
    "PREPARED_TRANSPOSED",
    "PURE_NUMPY",
    "REFERENCE",
    "TRANSPOSED_PEERS",
    "WINDOW_VIEW",
    "Call",
    "Contender",
    "own_threads",
]
