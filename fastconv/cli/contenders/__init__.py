"""Who competes in `fastconv bench` and in `benchmarks/`: siblings of one shape.

To add one: write its file with the members of `Contender`, and give it its place in the list.
"""

from fastconv.cli.contenders.contender import Call, Contender
from fastconv.cli.contenders.onnx_runtime import OnnxRuntime
from fastconv.cli.contenders.own import Engine, Reference
from fastconv.cli.contenders.pytorch import PyTorch
from fastconv.cli.contenders.window_view import WindowView

REFERENCE, ENGINE, WINDOW_VIEW = Reference(), Engine(), WindowView()
PEERS: tuple[Contender, ...] = (PyTorch(), OnnxRuntime())
"""Other libraries, which may or may not be installed."""
CONTENDERS: tuple[Contender, ...] = (REFERENCE, ENGINE, WINDOW_VIEW, *PEERS)

__all__ = [
    "CONTENDERS",
    "ENGINE",
    "PEERS",
    "REFERENCE",
    "WINDOW_VIEW",
    "Call",
    "Contender",
]
