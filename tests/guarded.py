"""Arrays directly before or after memory that cannot be touched: one element too far ends Python.

For programs of their own, which a stray read or write kills.
"""

import ctypes
import mmap

import numpy as np

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
PROT_NONE = 0
PAGE = mmap.PAGESIZE
SIDES = ("start", "end")


class Guarded:
    """A copy of an array that starts or ends at an unmapped page; at its other end lies NaN."""

    def __init__(self, array, side):
        pages = -(-max(array.nbytes, 1) // PAGE)
        memory = mmap.mmap(-1, (pages + 2) * PAGE)
        first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        whole = np.frombuffer(memory, array.dtype, pages * PAGE // array.itemsize, PAGE)
        whole[:] = np.nan
        for guard in (first, first + (pages + 1) * PAGE):
            if LIBC.mprotect(guard, PAGE, PROT_NONE):
                raise OSError(ctypes.get_errno(), "mprotect")
        size = array.size
        inside, self._rest = (
            (whole[:size], whole[size:])
            if side == "start"
            else (whole[whole.size - size :], whole[: whole.size - size])
        )
        self.array = inside.reshape(array.shape)
        self.array[...] = array

    @property
    def unharmed(self):
        """Whether the NaN at the other end are all there."""
        return bool(np.isnan(self._rest).all())
