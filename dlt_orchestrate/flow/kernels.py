"""Arrow's compute functions, imported when the first of them is called: importing them costs more than a small load.

from dlt_orchestrate.flow import kernels as pc
"""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    found = getattr(importlib.import_module("pyarrow.compute"), name)
    globals()[name] = found
    return found
