"""Every destination keeps the same promises."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from adbc_driver_postgresql import dbapi
from postgres_server import clean_database

from dlt_orchestrate import destinations
from dlt_orchestrate.protocols.destination import Destination
from dlt_orchestrate.testing.destination_conformance import DestinationConformance
from dlt_orchestrate.testing.packages import DATASET


class TestDuckDB(DestinationConformance):
    @pytest.fixture
    def destination(self, tmp_path: Path) -> Destination:
        return destinations.duckdb(tmp_path / "conformance_data.duckdb")

    def remove_column(self, destination: Destination, table: str, column: str) -> None:
        with duckdb.connect(str(destination.path)) as connection:
            connection.execute(f"ALTER TABLE {DATASET}.{DATASET}.{table} DROP COLUMN {column}")


class TestPostgres(DestinationConformance):
    @pytest.fixture
    def destination(self) -> Iterator[Destination]:
        with clean_database() as url:
            self.url = url
            yield destinations.postgres(url)

    def remove_column(self, destination: Destination, table: str, column: str) -> None:
        with dbapi.connect(self.url, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {DATASET}.{table} DROP COLUMN {column}")


class TestMemory(DestinationConformance):
    @pytest.fixture
    def destination(self) -> Destination:
        return destinations.memory()
