"""The loop of `fit`, with everything it goes on from after an interrupt."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastconv.dtypes import Array
from fastconv.errors import StateError
from fastconv.nn import checkpoint, state
from fastconv.nn.batches import Batches, Transform
from fastconv.nn.layer import Layer
from fastconv.nn.losses import Loss
from fastconv.nn.metrics import Metric
from fastconv.nn.optimisers import Optimiser
from fastconv.nn.progress import Tell, bar

Numbers = dict[str, float]
Pair = tuple[Array, Array]
SECONDS = "seconds"
"""What a row of the history holds beside results; it alone differs when training is resumed."""


@dataclass
class History:
    """What `fit` found.

    Attributes
    ----------
    epochs : list of dict
        For each epoch "loss", the metrics, the same of the validation data with "validation_"
        before, and "seconds".
    best_epoch : int
        The epoch with the best value of what was watched, counted from 0; -1 before the first.
    stopped_early : bool
        Whether patience ended.
    """

    epochs: list[Numbers] = field(default_factory=list)
    best_epoch: int = -1
    stopped_early: bool = False


@dataclass
class Plan:
    """What `fit` was asked for."""

    model: Layer
    optimiser: Optimiser
    loss: Loss
    metrics: Mapping[str, Metric]
    batches: Batches
    rng: np.random.Generator
    transform: Transform | None
    epochs: int
    schedule: Callable[[int], float] | None
    monitor: str
    patience: int | None
    restore_best: bool
    path: Path | None
    every: int | None
    progress: bool
    on_epoch: Callable[[int, Numbers], None] | None


class Trainer:
    """Training that has come to some batch of some epoch."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.history = History()
        self.batch = 0
        self.order: Array | None = None
        self.sums = Means()
        self.seconds = 0.0
        self.best: dict[str, Array] = {}

    def run(self, data: Pair, validation: Pair | None) -> History:
        """Train until the last epoch, or until patience ends."""
        plan, history = self.plan, self.history
        if plan.path is not None and plan.path.exists():
            self._resume(plan.path)
        while len(history.epochs) < plan.epochs and not history.stopped_early:
            self._epoch(data)
            self._end_epoch(validation)
            self._save()
            if plan.on_epoch is not None:
                plan.on_epoch(len(history.epochs) - 1, dict(history.epochs[-1]))
        if plan.restore_best and self.best:
            plan.model.load_state_dict(self.best)
        plan.model.eval()
        return history

    def _epoch(self, data: Pair) -> None:
        """Take the steps that are left of an epoch."""
        plan, number = self.plan, len(self.history.epochs)
        started = time.perf_counter() - self.seconds
        plan.model.train()
        if self.order is None:
            self.order = plan.batches.order(plan.rng)
            if plan.schedule is not None:
                plan.optimiser.lr = float(plan.schedule(number))
        with bar(plan.progress, plan.batches.count) as tell:
            for places in plan.batches.places(self.order, self.batch):
                self._step(data, places)
                self.batch += 1
                self._show(tell)
                self.seconds = time.perf_counter() - started
                if plan.every and self.batch % plan.every == 0 and self.batch < plan.batches.count:
                    self._save()

    def _step(self, data: Pair, places: Array) -> None:
        plan = self.plan
        x, target = data[0][places], data[1][places]
        if plan.transform is not None:
            x = plan.transform(x, plan.rng)
        output = plan.model.forward(x)
        value, gradient = plan.loss(output, target)
        plan.model.backward_parameters(gradient)
        plan.optimiser.step()
        self.sums.add(len(places), value, plan.metrics, output, target)

    def _end_epoch(self, validation: Pair | None) -> None:
        plan, history = self.plan, self.history
        numbers = self.sums.means()
        if validation is not None:
            found = evaluated(plan.model, validation, plan.loss, plan.metrics, plan.batches.size)
            numbers |= {f"validation_{name}": value for name, value in found.items()}
        history.epochs.append({**numbers, SECONDS: self.seconds})
        self.batch, self.order, self.sums, self.seconds = 0, None, Means(), 0.0
        number = len(history.epochs) - 1
        if self._is_best(number):
            history.best_epoch = number
            self.best = plan.model.state_dict() if plan.restore_best else {}
        elif plan.patience is not None:
            history.stopped_early = number - max(history.best_epoch, -1) >= plan.patience

    def _is_best(self, number: int) -> bool:
        epochs, name, best = self.history.epochs, self.plan.monitor, self.history.best_epoch
        value = epochs[number][name]
        if best < 0:
            return not math.isnan(value)
        if name.endswith("loss"):
            return value < epochs[best][name]
        return value > epochs[best][name]

    def _show(self, tell: Tell) -> None:
        loss = self.sums.means()["loss"]
        tell(self.batch, f"epoch {len(self.history.epochs) + 1}, loss {loss:.4f}")

    def _save(self) -> None:
        plan = self.plan
        if plan.path is None:
            return
        record = {
            "arguments": self._arguments(),
            "history": vars(self.history),
            "batch": self.batch,
            "sums": self.sums.total,
            "samples": self.sums.samples,
            "seconds": self.seconds,
            "lr": plan.optimiser.lr,
            "generators": {
                name: checkpoint.generator_state(rng) for name, rng in self._generators().items()
            },
        }
        order = {} if self.order is None else {"samples": self.order}
        checkpoint.save(
            plan.path,
            record,
            model=plan.model.state_dict(),
            optimiser=plan.optimiser.state_dict(),
            best=self.best,
            order=order,
        )

    def _resume(self, path: Path) -> None:
        """Go on from a checkpoint; nothing is changed unless all of it fits."""
        plan = self.plan
        record, groups = checkpoint.load(path)
        if record["arguments"] != self._arguments():
            raise StateError(
                f"checkpoint: {path} is of training with other arguments: "
                f"{_differences(record['arguments'], self._arguments())}"
            )
        generators = self._generators()
        if set(record["generators"]) != set(generators):
            raise StateError(f"checkpoint: {path} is of another model: it has other generators")
        state.check(plan.model.state_dict(), groups.get("model", {}))
        plan.optimiser.load_state_dict(groups["optimiser"])
        plan.model.load_state_dict(groups["model"])
        for name, rng in generators.items():
            checkpoint.restore_generator(rng, record["generators"][name])
        plan.optimiser.lr = record["lr"]
        for name, value in record["history"].items():
            setattr(self.history, name, value)
        if self.history.stopped_early and plan.patience is None:
            self.history.stopped_early = False
        self.batch, self.seconds = record["batch"], record["seconds"]
        self.sums = Means(record["sums"], record["samples"])
        self.order = groups.get("order", {}).get("samples")
        self.best = groups.get("best", {})

    def _arguments(self) -> dict[str, Any]:
        """Return what must be the same when training is resumed."""
        plan = self.plan
        return {
            **vars(plan.batches),
            "metrics": list(plan.metrics),
            "monitor": plan.monitor,
            "optimiser": plan.optimiser.settings(),
            "restore_best": plan.restore_best,
        }

    def _generators(self) -> dict[str, np.random.Generator]:
        return {"fit": self.plan.rng, **self.plan.model.generators()}


class Means:
    """Means over the samples of batches."""

    def __init__(self, total: Numbers | None = None, samples: int = 0) -> None:
        self.total: Numbers = total or {}
        self.samples = samples

    def add(
        self,
        samples: int,
        loss: float,
        metrics: Mapping[str, Metric],
        output: Array,
        target: Array,
    ) -> None:
        """Add what a batch found."""
        found = {name: metric(output, target) for name, metric in metrics.items()}
        for name, value in {"loss": loss, **found}.items():
            self.total[name] = self.total.get(name, 0.0) + samples * value
        self.samples += samples

    def means(self) -> Numbers:
        """Return the means so far."""
        return {name: value / self.samples for name, value in self.total.items()}


def evaluated(
    model: Layer, data: Pair, loss: Loss, metrics: Mapping[str, Metric], batch_size: int
) -> Numbers:
    """Return loss and metrics of a model in evaluation mode, in which it is left."""
    model.eval()
    means = Means()
    x, target = data
    for start in range(0, len(x), batch_size):
        part = slice(start, start + batch_size)
        output = model.forward(x[part])
        means.add(len(output), loss(output, target[part])[0], metrics, output, target[part])
    return means.means()


def _differences(saved: dict[str, Any], own: dict[str, Any]) -> str:
    names = [name for name in own if saved.get(name) != own[name]]
    return ", ".join(f"{name} {saved.get(name)!r}, not {own[name]!r}" for name in names)
