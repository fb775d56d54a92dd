from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from shop_to_show import shop

import dlt_orchestrate as dlt
from dlt_orchestrate.cli.app import app

RunTool = Callable[..., Result]


@pytest.fixture
def tool(project: Path) -> RunTool:
    """Run the command line tool in this process, in an empty project folder."""
    return lambda *arguments: CliRunner().invoke(app, arguments, prog_name="dlt-orchestrate")


@pytest.fixture
def loaded(project: Path) -> dlt.Pipeline:
    """A pipeline that has loaded the shop into `warehouse.duckdb` of the project folder."""
    pipeline = dlt.pipeline("warehouse", destination="duckdb", dataset_name="raw")
    pipeline.run(shop())
    return pipeline
