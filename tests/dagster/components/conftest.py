from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from component_yard import Yard
from dagster.components.testing import create_defs_folder_sandbox


@pytest.fixture
def yard(project: Path) -> Iterator[Yard]:
    with create_defs_folder_sandbox() as sandbox, ExitStack() as stack:
        yield Yard(sandbox, stack)


@pytest.fixture
def run(instance: dg.DagsterInstance) -> Any:
    """Materialize assets in this process."""

    def materialize(assets: Any, **options: Any) -> dg.ExecuteInProcessResult:
        return dg.materialize(assets, instance=instance, raise_on_error=False, **options)

    return materialize
