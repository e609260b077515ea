"""Memory that a process frees and soon wants again: kept, not given back to the system after every batch.

Drawing problems takes and frees tensors of some megabytes by the hundred. The allocator of the GNU C library gives such blocks
back and has each page of them filled with zeros when it comes again.
"""

from __future__ import annotations

import ctypes
import platform

#: parameters of mallopt, from malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
#: bytes: nothing free at the end of the heap is given back; larger blocks than the second are still mapped by themselves
KEPT, MAPPED = 2**31 - 1, 2**25


def keep_freed_memory() -> bool:
    """Keep what this process frees for its own later use; return whether its allocator is one that this is known for (glibc).

    Source: mallopt(3), M_TRIM_THRESHOLD and M_MMAP_THRESHOLD.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all([mallopt(_TRIM_THRESHOLD, KEPT) == 1, mallopt(_MMAP_THRESHOLD, MAPPED) == 1])
