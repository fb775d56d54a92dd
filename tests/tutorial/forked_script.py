"""A script in a process of its own that need not import what every script imports: it is forked from one that has."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType


def run_forked(script: str, folder: Path, environment: Mapping[str, str], outputs: Sequence[Path]) -> int:
    """Run the script as `python script` does; called in the forked process.

    Args:
        outputs: Files for what it writes to standard output, and to standard error.

    Returns:
        What the process would exit with.
    """
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for stream, file in zip((sys.stdout, sys.stderr), outputs, strict=True):
        stream.flush()
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), stream.fileno())
    sys.argv[:] = [script]
    sys.path.insert(0, str(folder))
    main = sys.modules["__main__"] = ModuleType("__main__")
    main.__file__ = script
    try:
        exec(compile(Path(script).read_bytes(), script, "exec", dont_inherit=True), main.__dict__)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - told as Python tells it
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0
