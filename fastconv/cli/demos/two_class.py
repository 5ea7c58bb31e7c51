"""`fastconv demo two-class`: one convolution and one dense unit tell two classes apart."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastconv.cli.console import console, help_text, show
from fastconv.cli.engines import Engine, on
from fastconv.cli.extras import check_folder, require
from fastconv.dtypes import Array
from fastconv.errors import ParameterError

if TYPE_CHECKING:
    from fastconv.cli.saved_model import Sight
    from fastconv.nn import Sequential
    from fastconv.nn.batches import Data
    from fastconv.nn.trainer import History

NAME = "two-class"
RATES = {1: 0.02, 32: 0.5}
"""Learning rates, by the size of batches up to which they are taken."""
HELP = help_text(
    """Train the smallest of classifiers: a 3x3 convolution, ReLU, and a dense sigmoid unit.

Four times from the same start: image by image, in mini-batches, with the convolution frozen, and
with the dense unit frozen. The images are two of scikit-learn's handwritten digits, or with --data
two classes of the IDX files of MNIST or Fashion-MNIST. Shows loss and accuracy of every epoch and
the time of a step on each engine, and writes curves, the filters before and after, confusion, and
the model.""",
    "fastconv demo two-class",
    "fastconv demo two-class --classes 4,9 --filters 4",
    "fastconv predict demo-output/two-class.npz digit.png",
)


@dataclass(frozen=True)
class Variant:
    """One way to train; `frozen` is the name of a layer."""

    name: str
    batch_size: int
    frozen: str | None = None

    @property
    def rate(self) -> float:
        """The learning rate."""
        return next(rate for size, rate in RATES.items() if self.batch_size <= size)


VARIANTS = (
    Variant("image by image", 1),
    Variant("mini-batches of 16", 16),
    Variant("convolution frozen", 1, "conv"),
    Variant("dense unit frozen", 1, "dense"),
)


def run(
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A folder with the four files of MNIST or its likes."),
    ] = None,
    classes: Annotated[str, typer.Option(metavar="A,B", help="Which two.")] = "3,8",
    filters: Annotated[int, typer.Option(min=1, max=64, help="Of the convolution.")] = 1,
    epochs: Annotated[int, typer.Option(min=1, help="How often to go through the data.")] = 5,
    engine: Annotated[Engine, typer.Option(help="Who computes.")] = Engine.COMPILED,
    seed: Annotated[int, typer.Option(min=0, help="Draws parameters and orders.")] = 0,
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder that everything is written to.")
    ] = Path("demo-output"),
) -> None:
    """Train a convolution and a dense unit to tell two classes apart."""
    two = pair_of(classes)
    require("demo", "matplotlib")
    check_folder("output", output)
    from fastconv import nn
    from fastconv.cli import digits, saved_model
    from fastconv.cli.epochs import epochs_table, speeds

    found = digits.load(data).of_classes(two)
    numbers = (float(found.images.mean()), float(found.images.std()))
    sight = saved_model.Sight("two-class", found.side, *numbers, tuple(map(str, two)), filters)
    train = (sight.inputs(found.images), found.labels)
    test = (sight.inputs(found.test_images), found.test_labels)
    out = console()
    out.print(
        f"{found.name}, {two[0]} or {two[1]}: {len(train[0])} to train, {len(test[0])} to test"
    )
    start = saved_model.two_class(sight.side, filters, seed)
    rates = [  # before anything is trained: it compiles, too
        speeds(
            lambda: (start, nn.binary_cross_entropy_with_logits), *(part[:count] for part in train)
        )
        for count in (1, 16)
    ]
    histories, models = {}, {}
    with on(engine):
        for variant, model, history in trained(sight, train, test, epochs, seed):
            title = f"{variant.name}, engine {engine.value}, learning rate {variant.rate}"
            show(epochs_table(title, history))
            histories[variant.name], models[variant.name] = history, model
        best = max(histories, key=lambda name: histories[name].epochs[-1]["validation_accuracy"])
        answers = nn.predict(models[best], test[0]).reshape(-1) > 0
    out.print(f"Best: {best}, {histories[best].epochs[-1]['validation_accuracy']:.2%} of the test")
    for shown in rates:
        show(shown)
    saved_model.save(output / "two-class.npz", models[best], sight)
    counts = nn.confusion_matrix(answers, test[1], 2)
    _draw(output, histories, {"at first": start, **models}, counts, sight)
    out.print(f"Figures: {output}/two-class-*.png", soft_wrap=True)
    out.print(f"Model: {output / 'two-class.npz'}", soft_wrap=True)


def _draw(
    output: Path,
    histories: dict[str, "History"],
    models: dict[str, "Sequential"],
    confusion: Array,
    sight: "Sight",
) -> None:
    from fastconv.cli.training_figures import draw_confusion, draw_curves, draw_filters

    banks = {name: model.parameters()["conv.weight"] for name, model in models.items()}
    draw_curves(histories, output / "two-class-curves.png")
    draw_filters(banks, output / "two-class-filters.png")
    draw_confusion(confusion, sight.classes, output / "two-class-confusion.png")


def trained(
    sight: "Sight", train: "Data", test: "Data", epochs: int, seed: int
) -> Iterator[tuple[Variant, "Sequential", "History"]]:
    """Train every variant from the same start."""
    from fastconv import nn
    from fastconv.cli.saved_model import two_class

    for variant in VARIANTS:
        model = two_class(sight.side, sight.filters, seed)
        if variant.frozen is not None:
            model[variant.frozen].freeze()
        history = nn.fit(
            model,
            train,
            test,
            optimiser=nn.SGD(model, variant.rate),
            loss=nn.binary_cross_entropy_with_logits,
            epochs=epochs,
            batch_size=variant.batch_size,
            rng=seed,
        )
        yield variant, model, history


def pair_of(text: str) -> tuple[int, int]:
    """Return the two classes of "3,8", or refuse."""
    try:
        first, second = (int(word) for word in text.split(","))
    except ValueError:
        raise ParameterError(f"classes: expected two numbers as in 3,8, got {text!r}") from None
    if first == second or not (0 <= first <= 9 and 0 <= second <= 9):
        raise ParameterError(f"classes: expected two different ones from 0 to 9, got {text!r}")
    return first, second
