"""fastconv.nn: layers, losses and optimisers on NumPy arrays, with the names of `torch.nn`.

A layer has `forward` and `backward`, written by hand; parameters are plain arrays. `fit` trains.

layer, weighted, container      what layers are, and how they are put together
conv, linear, pool, norm, ...   the layers, on the operations of `fastconv.ops`
elementwise                     what they do to every element
losses, metrics, optimisers     functions of outputs and targets; steps
training, trainer, checkpoint   `fit`, its loop, and what it goes on from
models                          LeNet5, SmallResNet, MLP

>>> from fastconv import nn
>>> model = nn.models.LeNet5(rng=0)
>>> optimiser = nn.SGD(model, lr=0.1, momentum=0.9)
"""

from fastconv.nn import initialisers, losses, metrics, models
from fastconv.nn.activation import LeakyReLU, ReLU, Sigmoid, Tanh
from fastconv.nn.container import Residual, Sequential
from fastconv.nn.conv import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from fastconv.nn.dropout import Dropout
from fastconv.nn.layer import Layer
from fastconv.nn.linear import Flatten, Linear
from fastconv.nn.losses import (
    binary_cross_entropy_with_logits,
    mean_squared_error,
    softmax_cross_entropy,
)
from fastconv.nn.metrics import accuracy, confusion_matrix
from fastconv.nn.models import MLP, LeNet5, SmallResNet
from fastconv.nn.norm import BatchNorm2d
from fastconv.nn.optimisers import SGD, Adam, AdamW, Optimiser
from fastconv.nn.pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from fastconv.nn.state import from_torch, to_torch
from fastconv.nn.trainer import History
from fastconv.nn.training import evaluate, fit, predict

__all__ = [
    "MLP",
    "SGD",
    "Adam",
    "AdamW",
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BatchNorm2d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Dropout",
    "Flatten",
    "History",
    "Layer",
    "LeNet5",
    "LeakyReLU",
    "Linear",
    "MaxPool2d",
    "Optimiser",
    "ReLU",
    "Residual",
    "Sequential",
    "Sigmoid",
    "SmallResNet",
    "Tanh",
    "accuracy",
    "binary_cross_entropy_with_logits",
    "confusion_matrix",
    "evaluate",
    "fit",
    "from_torch",
    "initialisers",
    "losses",
    "mean_squared_error",
    "metrics",
    "models",
    "predict",
    "softmax_cross_entropy",
    "to_torch",
]
