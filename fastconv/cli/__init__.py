"""The command `fastconv`: `demo`, `bench`, `check`, `warmup` and `info`, one file each.

`demo NAME` shows one of `demos`, again one file each.

What they share is beside them: `layers` and `problems` (what is computed), `operands` (on which
data), `contenders` (by whom), `console` (how it is shown). None of it is imported by `fastconv`.
"""

import sys

from fastconv.cli.extras import require
from fastconv.errors import FastconvError


def main() -> None:
    """Run the command line; a caller's mistake becomes one line on stderr and exit code 2."""
    try:
        require("cli", "typer", "rich")
        from fastconv.cli.app import app

        app(prog_name="fastconv")
    except (FastconvError, OSError) as error:
        sys.stderr.write(f"fastconv: {' '.join(str(error).split())}\n")
        sys.exit(2)
