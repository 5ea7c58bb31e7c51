"""`fastconv info`: what is installed and in force."""

import textwrap
from dataclasses import asdict
from typing import Any

from rich.table import Table

import fastconv
from fastconv.cli.console import console, help_text
from fastconv.cli.extras import importable

HELP = help_text(
    """Show versions, CPU features, algorithms, settings and where compiled code is kept.""",
    "fastconv info",
)


def info() -> None:
    """Show what `fastconv.info` returns as a table."""
    facts = fastconv.info()
    shown = Table(show_header=False, title="fastconv", title_justify="left", title_style="bold")
    shown.add_column(style="bold")
    shown.add_column(overflow="fold", max_width=90)
    for name, text in _rows(facts):
        shown.add_row(name, text)
    console().print(shown, markup=False)


def _rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    cpu = facts["cpu"]
    packages = facts["packages"]
    installed = [f"{name} {version}" for name, version in packages.items() if version]
    missing = [name for name, version in packages.items() if not version]
    settings = [f"{name} = {value}" for name, value in asdict(facts["settings"]).items()]
    return [
        ("version", str(facts["fastconv"])),
        ("Python", facts["python"]),
        ("platform", facts["platform"]),
        ("packages", "\n".join(installed)),
        ("not installed", ", ".join(missing) or "–"),
        ("CPU", f"{cpu['name']}, {cpu['cores']} cores for this process"),
        ("CPU features", textwrap.fill(" ".join(cpu["features"]), 88) or "– (Numba tells them)"),
        ("algorithms", ", ".join(facts["algorithms"])),
        ("BLAS", _blas()),
        ("settings", "\n".join(settings)),
        ("compiled code", _kept(facts)),
        ("tuned plans", facts["tuned_plans"] or "not kept: no folder can be written"),
    ]


def _kept(facts: dict[str, Any]) -> str:
    folder: str | None = facts["cache_folder"]
    if folder is not None:
        return f"kept in {folder}"
    if not facts["packages"]["numba"]:
        return "none (Numba is not installed)"
    return "not kept: no folder can be written, so every process compiles again"


def _blas() -> str:
    if not importable("threadpoolctl"):
        return "– (threadpoolctl tells it)"
    import threadpoolctl

    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    return "\n".join(
        f"{pool['internal_api']} {pool['version']}, threads: {pool['num_threads']}"
        for pool in pools
    )
