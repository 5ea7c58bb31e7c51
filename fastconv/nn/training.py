"""Training: `fit`, `evaluate` and `predict`."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array
from fastconv.errors import ParameterError
from fastconv.nn.batches import Batches, Data, Transform, pair
from fastconv.nn.layer import Layer, Seed
from fastconv.nn.losses import Loss, softmax_cross_entropy
from fastconv.nn.metrics import Metric, accuracy
from fastconv.nn.optimisers import Optimiser
from fastconv.nn.state import PathLike
from fastconv.nn.trainer import History, Numbers, Plan, Trainer, evaluated

EVALUATION_BATCH = 256


def fit(
    model: Layer,
    data: Data,
    validation: Data | None = None,
    *,
    optimiser: Optimiser,
    loss: Loss = softmax_cross_entropy,
    metrics: Mapping[str, Metric] | None = None,
    epochs: int = 1,
    batch_size: int = 32,
    shuffle: bool = True,
    drop_last: bool = False,
    rng: Seed = None,
    transform: Transform | None = None,
    schedule: Callable[[int], float] | None = None,
    monitor: str | None = None,
    patience: int | None = None,
    restore_best: bool = False,
    checkpoint: PathLike | None = None,
    checkpoint_every: int | None = None,
    progress: bool = True,
    on_epoch: Callable[[int, Numbers], None] | None = None,
) -> History:
    """Train a model.

    Parameters
    ----------
    model : Layer
        Changed in place; in evaluation mode afterwards.
    data, validation : tuple of two array_like
        Inputs `(N, ...)` and targets `(N, ...)`; the second ones are only looked at.
    optimiser : Optimiser
        Of this model.
    loss : callable
        `(output, target)` to a value and the output's gradient.
    metrics : mapping of str to callable, optional
        `(output, target)` to the mean of a batch; the accuracy by default.
    epochs : int
        How often to go through the data, all in all: also when training is resumed.
    batch_size : int
        Samples of a step.
    shuffle : bool
        Whether every epoch has an order of its own.
    drop_last : bool
        Whether to leave out a last batch of fewer samples.
    rng : int or numpy.random.Generator, optional
        Draws the orders, and is what `transform` draws from.
    transform : callable, optional
        `(inputs, rng)` to the inputs that are trained with, batch by batch.
    schedule : callable, optional
        The number of an epoch, from 0, to its learning rate.
    monitor : str, optional
        What is watched, by its name in the history; the validation loss by default, or else the
        loss. Names that end in "loss" should fall, others rise.
    patience : int, optional
        Stop after so many epochs without a better value.
    restore_best : bool
        Whether the model at last gets back the parameters of the best epoch.
    checkpoint : path-like, optional
        A file that is written after every epoch, in a single step. If it is there already, training
        goes on from it, to the same bits as without the interruption.
    checkpoint_every : int, optional
        Also write it after every so many batches.
    progress : bool
        Show a bar, if stderr is a terminal and rich or tqdm is installed.
    on_epoch : callable, optional
        Is told the number of every epoch, from 0, and what it found.

    Returns
    -------
    History
        What every epoch found.

    Raises
    ------
    ParameterError, ShapeError
        If an argument makes no sense.
    StateError
        If the checkpoint is of another model, or of training with other arguments.

    Examples
    --------
    >>> from fastconv import nn
    >>> x = np.random.default_rng(0).standard_normal((64, 2)).astype(np.float32)
    >>> model = nn.MLP([2, 8, 2], rng=0)
    >>> found = nn.fit(model, (x, (x[:, 0] > 0).astype(int)), optimiser=nn.Adam(model, 0.05),
    ...                epochs=20, rng=0)
    >>> found.epochs[-1]["accuracy"] > 0.9
    True
    """
    x, target = pair("data", data)
    checked = None if validation is None else pair("validation", validation)
    batches = Batches(
        len(x),
        parameters.integer("batch_size", batch_size),
        parameters.flag("shuffle", shuffle),
        parameters.flag("drop_last", drop_last),
    )
    if not batches.count:
        raise ParameterError(f"batch_size: {batch_size} leaves no batch of {len(x)} samples")
    if optimiser.model is not model:
        raise ParameterError("optimiser: expected one of this model, got one of another")
    measured = {"accuracy": accuracy} if metrics is None else dict(metrics)
    plan = Plan(
        model=model,
        optimiser=optimiser,
        loss=loss,
        metrics=measured,
        batches=batches,
        rng=np.random.default_rng(rng),
        transform=transform,
        epochs=parameters.integer("epochs", epochs, 0),
        schedule=schedule,
        monitor=_watched(monitor, measured, checked is not None),
        patience=_count("patience", patience),
        restore_best=parameters.flag("restore_best", restore_best),
        path=None if checkpoint is None else Path(checkpoint),
        every=_count("checkpoint_every", checkpoint_every),
        progress=progress,
        on_epoch=on_epoch,
    )
    return Trainer(plan).run((x, target), checked)


def evaluate(
    model: Layer,
    data: Data,
    *,
    loss: Loss = softmax_cross_entropy,
    metrics: Mapping[str, Metric] | None = None,
    batch_size: int = EVALUATION_BATCH,
) -> Numbers:
    """Return the loss and the metrics of a model on some data.

    Parameters
    ----------
    model : Layer
        In evaluation mode afterwards.
    data : tuple of two array_like
        Inputs `(N, ...)` and targets `(N, ...)`.
    loss, metrics
        As for `fit`.
    batch_size : int
        Samples at a time.

    Returns
    -------
    dict of str to float
        "loss", and the metrics.

    Raises
    ------
    ParameterError, ShapeError
        If an argument makes no sense.

    Examples
    --------
    >>> from fastconv import nn
    >>> found = nn.evaluate(nn.MLP([3, 2], rng=0), (np.zeros((4, 3), np.float32), [0, 0, 1, 1]))
    >>> found["accuracy"]
    0.5
    """
    measured = {"accuracy": accuracy} if metrics is None else metrics
    size = parameters.integer("batch_size", batch_size)
    return evaluated(model, pair("data", data), loss, measured, size)


def predict(model: Layer, x: npt.ArrayLike, *, batch_size: int = EVALUATION_BATCH) -> Array:
    """Return a model's outputs in evaluation mode.

    Parameters
    ----------
    model : Layer
        In evaluation mode afterwards.
    x : array_like
        Inputs `(N, ...)`.
    batch_size : int
        Samples at a time.

    Returns
    -------
    numpy.ndarray
        `(N, ...)`.

    Raises
    ------
    ParameterError
        If `batch_size` is not positive.

    Examples
    --------
    >>> from fastconv import nn
    >>> predict(nn.MLP([3, 2]), np.zeros((5, 3), np.float32)).shape
    (5, 2)
    """
    x, size = np.asarray(x), parameters.integer("batch_size", batch_size)
    model.eval()
    starts = range(0, max(1, len(x)), size)
    return np.concatenate([model.forward(x[start : start + size]) for start in starts])


def _watched(monitor: str | None, metrics: Mapping[str, Metric], validated: bool) -> str:
    """Return the name of what is watched, or refuse it."""
    names = ["loss", *metrics]
    if validated:
        names += [f"validation_{name}" for name in names]
    watched = monitor or ("validation_loss" if validated else "loss")
    if watched not in names:
        raise ParameterError(f"monitor: expected one of {names}, got {monitor!r}")
    return watched


def _count(name: str, value: int | None) -> int | None:
    return None if value is None else parameters.integer(name, value)
