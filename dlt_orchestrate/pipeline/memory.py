"""How a run lets Arrow and Python handle memory: settings of the whole process, which are put back after the run."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_COSTLY_POOL = "mimalloc"
_GROWTH = 100_000
"""Blocks of Python's memory, some 10 MB: as much may be rubbish before it is searched for."""

_is_apart = False
_blocks_without_rubbish = sys.maxsize


@contextmanager
def arrow_memory_of_the_system() -> Iterator[None]:
    """Arrow takes memory from glibc while a run goes on, unless the environment names another pool.

    A run fills and frees arrays of some megabytes all the time. Arrow's own pool gives such memory back and asks for it
    anew, in pages of 2 MB that the kernel clears each time: that took a third of the time of normalizing and spooling.
    """
    import pyarrow as pa

    before = pa.default_memory_pool()
    if before.backend_name != _COSTLY_POOL or "ARROW_DEFAULT_MEMORY_POOL" in os.environ or not _has_glibc():
        yield
        return
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(before)


@contextmanager
def settled_objects() -> Iterator[None]:
    """Python's collector leaves alone what was there before the run.

    Records by the thousand make it search all objects again and again, and those of the imported modules are many.
    """
    global _is_apart
    if _is_apart or gc.get_freeze_count():  # by a run beside this one, or by the program; to count takes milliseconds
        yield
        return
    _is_apart = True
    _collect_what_has_grown()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        _is_apart = False


def _collect_what_has_grown() -> None:
    """Collect when Python's memory has grown by a quarter since it was last without rubbish.

    The collector would, but `gc.freeze` makes it forget how much is new, and calls rubbish old that was about to be found:
    in a process of many small loads it would never search all objects again.
    """
    global _blocks_without_rubbish
    blocks = sys.getallocatedblocks()
    if blocks - _blocks_without_rubbish > max(_GROWTH, _blocks_without_rubbish // 4):
        gc.collect()
        _blocks_without_rubbish = sys.getallocatedblocks()
    _blocks_without_rubbish = min(_blocks_without_rubbish, blocks)


def _has_glibc() -> bool:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") is not None
    except (AttributeError, ValueError, OSError):
        return False
