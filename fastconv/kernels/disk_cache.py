"""Where compiled kernels are kept on disk, and when they are stale.

Numba's own cache looks at the decorated function's file only, so a helper that changes in another
file leaves stale machine code in use; where no folder is writable it fails at import; and two
processes that save different signatures at once can leave an index that names the wrong code.
Here every entry is one file named by a hash of all it depends on: the signature, the CPU, the
versions of Python and Numba, and every source file in `kernels/`. Files appear whole or not at
all. A machine without a writable folder compiles again in every process.
"""

import functools
import hashlib
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import compiler, serialize

from fastconv.kernels.folder import cache_folder, write_whole

__all__ = ["DiskCache", "cache_folder", "source_hash"]


class DiskCache:
    """The cache of one function's compiled versions, in the form Numba's dispatchers call it."""

    def __init__(self, function: Callable, folder: Path, variant: str = "") -> None:
        self.cache_path = str(folder)
        self._folder = folder
        module, name = function.__module__.rpartition(".")[2], function.__name__
        self._name = f"{module}.{name}{variant and '-' + variant}"

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Return the compiled function for a signature, or None."""
        target_context.refresh()
        path, identity = self._entry(signature, target_context.codegen())
        try:
            stored, payload = pickle.loads(path.read_bytes())
        except Exception:
            return None
        if stored != identity:
            return None
        return compiler.CompileResult._rebuild(target_context, *payload)

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep a compiled function; a full or vanished disk is not an error."""
        if compiled.library.has_dynamic_globals or any(
            not lift.can_cache for lift in compiled.lifted
        ):
            return
        path, identity = self._entry(signature, compiled.codegen)
        try:
            write_whole(path, serialize.dumps((identity, compiled._reduce())))
        except OSError:
            return

    def flush(self) -> None:
        """Forget every stored version of this function."""
        for path in self._folder.glob(f"{self._name}-*.bin"):
            path.unlink(missing_ok=True)

    def _entry(self, signature: Any, codegen: Any) -> tuple[Path, str]:
        depends_on = (codegen.magic_tuple(), sys.version, numba.__version__, source_hash())
        identity = repr((self._name, signature, depends_on))
        digest = hashlib.sha256(identity.encode()).hexdigest()[:24]
        return self._folder / f"{self._name}-{digest}.bin", identity


@functools.cache
def source_hash() -> str:
    """Return a hash of every source file in `kernels/`."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


source_hash()  # now, before any file can change under code that is already imported
