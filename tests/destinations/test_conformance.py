"""Every destination keeps the same promises."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import clean_database

from dlt_orchestrate import destinations
from dlt_orchestrate.protocols.destination import Destination
from dlt_orchestrate.testing.destination_conformance import DestinationConformance


class TestDuckDB(DestinationConformance):
    @pytest.fixture
    def destination(self, tmp_path: Path) -> Destination:
        return destinations.duckdb(tmp_path / "conformance_data.duckdb")


class TestPostgres(DestinationConformance):
    @pytest.fixture
    def destination(self) -> Iterator[Destination]:
        with clean_database() as url:
            yield destinations.postgres(url)


@pytest.mark.slow
class TestDuckDBForManyRuns(DestinationConformance):
    @pytest.fixture
    def destination(self, tmp_path: Path) -> Destination:
        return destinations.duckdb(tmp_path / "conformance_data.duckdb").for_many_runs()


class TestMemory(DestinationConformance):
    @pytest.fixture
    def destination(self) -> Destination:
        return destinations.memory()
