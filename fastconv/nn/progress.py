"""A progress bar where there is a terminal and a package that draws one; else nothing."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tell = Callable[[int, str], None]
"""Is told how many batches of the epoch are done, and what to show beside."""


@contextmanager
def bar(wanted: bool, total: int) -> Iterator[Tell]:
    """Draw the bar of an epoch on stderr, by rich, or else tqdm."""
    if not wanted or not sys.stderr.isatty():
        yield lambda done, words: None
        return
    try:
        import rich  # noqa: F401
    except ImportError:
        with _tqdm(total) as tell:
            yield tell
        return
    with _rich(total) as tell:
        yield tell


@contextmanager
def _rich(total: int) -> Iterator[Tell]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as drawn:
        task = drawn.add_task("", total=total)
        yield lambda done, words: drawn.update(task, completed=done, description=words)


@contextmanager
def _tqdm(total: int) -> Iterator[Tell]:
    try:
        from tqdm import tqdm
    except ImportError:
        yield lambda done, words: None
        return
    with tqdm(total=total, leave=False) as drawn:

        def tell(done: int, words: str) -> None:
            drawn.set_description(words, refresh=False)
            drawn.update(done - drawn.n)

        yield tell
