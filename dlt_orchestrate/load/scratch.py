"""The scratch folder of one run: made when first needed, gone with the run, swept by the next run if its process died."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from dlt_orchestrate.errors import RunStoppedError
from dlt_orchestrate.faults import faultpoint

LOCK_FILE = "alive.lock"


class Scratch:
    """A folder for the spooled batches of one run, held by a lock so that others can tell that it lives."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder: Path | None = None
        self._lock: IO[bytes] | None = None
        self._is_over = False

    def __enter__(self) -> Scratch:
        with suppress(OSError):  # no home folder, or one that may not be read: a run that spools little needs none
            if self._root.is_dir():
                sweep(self._root)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._is_over = True
        if self._lock is not None:
            self._lock.close()
        if self._folder is not None:
            faultpoint("scratch.before_remove")
            shutil.rmtree(self._folder, ignore_errors=True)

    def new_file(self, suffix: str) -> Path:
        """A path inside the folder that is not used yet."""
        return self._made() / f"{secrets.token_hex(8)}{suffix}"

    def _made(self) -> Path:
        if self._is_over:
            raise RunStoppedError  # a thread that an interrupted run has not waited for
        if self._folder is None:
            self._root.mkdir(parents=True, exist_ok=True)
            faultpoint("scratch.before_create")
            with _turn(self._root):
                folder = self._root / f"run-{os.getpid()}-{secrets.token_hex(6)}"
                folder.mkdir()
                faultpoint("scratch.after_create")
                self._lock = (folder / LOCK_FILE).open("wb")
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._folder = folder
        return self._folder


def folder_name(name: str) -> str:
    """A folder's name for any name: what of it is safe anywhere, and a hash that tells it from other names.

    >>> folder_name("github"), folder_name("../Git Hub")
    ('github-c0b0109d', 'git-hub-c0554555')
    """
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{readable}-{digest}" if readable else digest


def sweep(root: Path) -> list[Path]:
    """Remove the folders of runs that are dead: those whose lock nobody holds, or that died before they had one."""
    swept = []
    with _turn(root):
        for folder in root.glob("run-*"):
            if _is_dead(folder):
                faultpoint("scratch.before_sweep")
                shutil.rmtree(folder, ignore_errors=True)
                swept.append(folder)
    return swept


def _is_dead(folder: Path) -> bool:
    try:
        with (folder / LOCK_FILE).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


@contextmanager
def _turn(root: Path) -> Iterator[None]:
    """Making and sweeping folders take turns, so that a folder is never seen between its making and its lock."""
    handle = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
