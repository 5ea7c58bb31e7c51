"""`info`: what is installed and in force."""

from typing import Any

from fastconv.algorithms import ALGORITHMS
from fastconv.algorithms.numba_here import numba_installed
from fastconv.kernels.pool import cores
from fastconv.plan import current_settings, wisdom

PACKAGES = ("numpy", "numba", "llvmlite", "scipy", "threadpoolctl", "torch", "onnxruntime")


def info() -> dict[str, Any]:
    """Return versions, CPU, algorithms, settings and the folder of compiled kernels.

    Returns
    -------
    dict
        `fastconv`, `python`, `platform`, `packages` (name to version or None), `cpu` (name,
        cores, features), `algorithms`, `settings`, `cache_folder`, `tuned_plans` (the file that
        `tune` keeps its choices in, or None). With Numba installed this
        imports it, for the CPU's name and features.

    Examples
    --------
    >>> import fastconv as F
    >>> F.info()["algorithms"][-1]
    'naive'
    """
    import platform  # here, as `importlib.metadata` is below: they take as long as all of fastconv

    cpu: dict[str, Any] = {"name": platform.machine(), "cores": cores(), "features": []}
    folder = None
    if numba_installed():
        from llvmlite import binding

        from fastconv.kernels.disk_cache import cache_folder

        cpu["name"] = binding.get_host_cpu_name()
        cpu["features"] = sorted(name for name, on in binding.get_host_cpu_features().items() if on)
        found = cache_folder()
        folder = None if found is None else str(found)
    tuned = wisdom.path()
    return {
        "fastconv": _version("fastconv"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "cpu": cpu,
        "algorithms": [algorithm.name for algorithm in ALGORITHMS],
        "settings": current_settings(),
        "cache_folder": folder,
        "tuned_plans": None if tuned is None else str(tuned),
    }


def _version(package: str) -> str | None:
    import importlib.metadata

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
