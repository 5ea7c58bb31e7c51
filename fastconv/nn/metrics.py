"""What is told of a model beside its loss: functions of output and target, means of a batch."""

from collections.abc import Callable

import numpy as np

from fastconv.dtypes import Array
from fastconv.errors import ShapeError

Metric = Callable[[Array, Array], float]


def accuracy(output: Array, target: Array) -> float:
    """Return the share of samples whose class is right.

    Parameters
    ----------
    output : numpy.ndarray
        `(N, classes, ...)`, the largest of which is the class; or logits of two classes, `(N,)` or
        `(N, 1)`, above 0 for the second.
    target : numpy.ndarray
        Classes `(N, ...)`, or a share for each, of the shape of the output.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    ShapeError
        If the shapes do not fit each other.

    Examples
    --------
    >>> accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    0.5
    """
    target = np.asarray(target)
    if output.ndim < 2 or output.shape[1] == 1:
        predicted, wanted = output.reshape(-1) > 0, target.reshape(-1) > 0.5
    else:
        predicted = output.argmax(1)
        wanted = target.argmax(1) if target.shape == output.shape else target
    if predicted.shape != wanted.shape:
        raise ShapeError(f"target: expected shape {predicted.shape}, got {target.shape}")
    return float(np.mean(predicted == wanted))


def confusion_matrix(predicted: Array, target: Array, classes: int) -> Array:
    """Return how often each class, by row, was taken for each, by column.

    Parameters
    ----------
    predicted, target : numpy.ndarray
        Classes, `(N,)`.
    classes : int
        How many there are.

    Returns
    -------
    numpy.ndarray
        int64, `(classes, classes)`.

    Examples
    --------
    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    array([[1, 1],
           [0, 1]])
    """
    places = np.asarray(target, np.int64) * classes + np.asarray(predicted, np.int64)
    return np.bincount(places, minlength=classes**2).reshape(classes, classes)
