"""`fastconv demo lenet`: LeNet-5 learns to read digits."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from fastconv.cli.console import console, help_text, show
from fastconv.cli.engines import Engine, on
from fastconv.cli.extras import check_folder, require
from fastconv.dtypes import Array
from fastconv.errors import ParameterError

if TYPE_CHECKING:
    from fastconv.cli.saved_model import Sight
    from fastconv.nn import Layer
    from fastconv.nn.trainer import History

NAME = "lenet"
RATE = 0.002
CLASSES = 10
HELP = help_text(
    """Train LeNet-5 on handwritten digits.

By default those that scikit-learn ships (1797 images of 8x8, a fifth for the test); with --data the
IDX files of MNIST or Fashion-MNIST in a folder. They are moved a little each time. Shows loss and
accuracy of every epoch and the time of a step on each engine, and writes curves, filters, a
confusion matrix, and the model, which `fastconv predict` uses. With --resume it goes on where it
was interrupted.""",
    "fastconv demo lenet",
    "fastconv demo lenet --data mnist --epochs 5 --batch-size 128",
    "fastconv demo lenet --engine numpy",
    "fastconv predict demo-output/lenet.npz digit.png",
)


def run(
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A folder with the four files of MNIST or its likes."),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="How often to go through the data.")] = 30,
    batch_size: Annotated[int, typer.Option(min=1, help="Images of a step.")] = 32,
    engine: Annotated[Engine, typer.Option(help="Who computes.")] = Engine.COMPILED,
    seed: Annotated[int, typer.Option(min=0, help="Draws parameters and orders.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in the output folder.")
    ] = False,
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder that everything is written to.")
    ] = Path("demo-output"),
) -> None:
    """Train LeNet-5 on handwritten digits."""
    require("demo", "matplotlib")
    check_folder("output", output)
    from fastconv import nn
    from fastconv.cli import digits, saved_model
    from fastconv.cli.epochs import epochs_table, speeds

    found = digits.load(data)
    seen = digits.enlarged(found.images)
    numbers = (float(seen.mean()), float(seen.std()))
    sight = saved_model.Sight("lenet", found.side, *numbers, tuple(map(str, range(CLASSES))))
    train = (sight.inputs(found.images), found.labels)
    test = (sight.inputs(found.test_images), found.test_labels)
    point = _checkpoint(output, resume)
    out = console()
    out.print(f"{found.name}: {len(train[0])} images to train on, {len(test[0])} to test")
    part = slice(min(batch_size, len(train[0])))
    rates = speeds(lambda: (nn.LeNet5(rng=0), nn.softmax_cross_entropy), *(a[part] for a in train))
    model = nn.LeNet5(CLASSES, rng=seed)
    with on(engine):
        history = nn.fit(
            model,
            train,
            test,
            optimiser=nn.Adam(model, RATE),
            epochs=epochs,
            batch_size=batch_size,
            schedule=lambda epoch: RATE / 2 * (1 + np.cos(np.pi * epoch / epochs)),
            transform=digits.shifted,
            rng=seed,
            checkpoint=point,
        )
        answers = nn.predict(model, test[0]).argmax(1)
    show(epochs_table(f"LeNet-5, engine {engine.value}, batches of {batch_size}", history))
    taken = sum(row["seconds"] for row in history.epochs)
    right = history.epochs[-1]["validation_accuracy"]
    out.print(f"Test accuracy {right:.2%}, {taken:.1f} s of training")
    show(rates)
    saved_model.save(output / "lenet.npz", model, sight)
    _draw(output, history, model, nn.confusion_matrix(answers, test[1], CLASSES), sight)
    out.print(f"Figures: {output}/lenet-*.png", soft_wrap=True)
    out.print(f"Model: {output / 'lenet.npz'}", soft_wrap=True)


def _checkpoint(output: Path, resume: bool) -> Path:
    """Return the path of the checkpoint, which is there only if training is to go on from it."""
    point = output / "lenet-checkpoint.npz"
    if resume and not point.exists():
        raise ParameterError(f"resume: there is no checkpoint {point}")
    if not resume:
        point.unlink(missing_ok=True)
    return point


def _draw(
    output: Path, history: "History", model: "Layer", confusion: Array, sight: "Sight"
) -> None:
    from fastconv.cli.training_figures import draw_confusion, draw_curves, draw_filters

    banks = {name: model.parameters()[f"{name}.weight"] for name in ("conv1", "conv2")}
    draw_curves({"LeNet-5": history}, output / "lenet-curves.png")
    draw_filters(banks, output / "lenet-filters.png")
    draw_confusion(confusion, sight.classes, output / "lenet-confusion.png")
