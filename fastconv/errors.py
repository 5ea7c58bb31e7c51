"""Every exception fastconv raises for a caller's mistake.

Each derives from `FastconvError` and from the built-in class that NumPy users already catch.
"""


class FastconvError(Exception):
    """Base of all fastconv errors."""


class ShapeError(FastconvError, ValueError):
    """An array's shape does not fit the call."""


class DtypeError(FastconvError, TypeError):
    """An array's type or dtype is not supported."""


class ParameterError(FastconvError, ValueError):
    """A parameter other than an array has a value that makes no sense."""


class AccumulatorError(FastconvError, OverflowError):
    """Sums of these integers could exceed the dtype they are kept in."""


class PlanError(FastconvError, RuntimeError):
    """No algorithm accepts the problem, or the one asked for refuses it."""


class MissingDependencyError(FastconvError, ImportError):
    """A package that this call needs is not installed; the message says which."""


class StateError(FastconvError, RuntimeError):
    """A saved state does not fit, or an object is not in the state that a call needs."""
