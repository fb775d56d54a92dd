"""The component for the tables of a database: `type: dlt_orchestrate.dagster.SqlDatabaseComponent`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Self

from dagster import AssetsDefinition, ComponentLoadContext, Definitions, SensorDefinition, scaffold_with
from pydantic import Field, model_validator

from dlt_orchestrate.config.references import filled
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.dagster.components.discovered import STATE_VERSION, DiscoveredIngestComponent, DiscoveredSettings
from dlt_orchestrate.dagster.components.late import late
from dlt_orchestrate.dagster.components.scaffolding import SqlDatabaseScaffolder, identifier
from dlt_orchestrate.dagster.components.sensors import of_every_sensor
from dlt_orchestrate.dagster.components.settings import SensorSettings, Settings
from dlt_orchestrate.dagster.naming import RESOURCE, op_name, op_names
from dlt_orchestrate.dagster.sql_watermark import build_sql_watermark_sensor
from dlt_orchestrate.errors import ComponentError
from dlt_orchestrate.sources.sql_database.discovery import as_value_of, types_of
from dlt_orchestrate.sources.sql_database.selection import declared_for

_HOME = "dlt_orchestrate.sources.sql_database"


class CursorSettings(Settings):
    """The cursor of a table."""

    cursor_path: str = Field(description="The column that tells how new a row is.")
    initial_value: Any = Field(default=None, description="Where the first load starts; moments in ISO 8601.")
    row_order: str | None = Field(default=None, description="asc or desc, to ask for rows in that order.")
    on_cursor_value_missing: str = "raise"
    lag: float | None = Field(default=None, description="How far before the last value a load starts.")
    range_start: str = "closed"
    range_end: str = "open"


class TableSettings(Settings):
    """What is declared of one table, or of all that a pattern means."""

    incremental: CursorSettings | None = None
    primary_key: str | list[str] | None = Field(default=None, description="In place of that of the table.")
    write_disposition: str | dict[str, Any] | None = None
    columns: dict[str, dict[str, Any]] | None = Field(default=None, description="Column hints by name.")
    included_columns: list[str] | None = None
    excluded_columns: list[str] | None = None
    split_by: str | None = Field(default=None, description="A column of whole numbers, whose ranges are partitions.")


class SqlSensorSettings(SensorSettings):
    """A sensor; one of type `watermark` without `query` looks whether the cursor columns of tables have moved."""

    own_type = "watermark"


class SqlDatabaseSettings(DiscoveredSettings):
    """The tables of a database."""

    credentials: Any = Field(description="A URL as {secret: NAME}, or its fields drivername, host, ...")
    database_schema: str | None = Field(default=None, description="Of the database; its default schema if not given.")
    table_names: list[str] | None = Field(default=None, description="Names and patterns, such as shop_*; all by default.")
    exclude: list[str] | None = Field(default=None, description="Names and patterns of tables that are left out.")
    include_views: bool = False
    tables: dict[str, TableSettings] = Field(
        default_factory=dict, description="What is declared of tables, by name or pattern."
    )
    sensors: list[SqlSensorSettings] = Field(  # type: ignore[assignment]  # of a narrower kind, and never assigned to
        default_factory=list,
        description="{type: watermark} loads a table when its cursor column has moved; resources may be patterns.",
    )
    write_disposition: str | dict[str, Any] | None = Field(default=None, description="Of tables that declare none.")
    snapshot: bool = Field(default=False, description="Whether a step reads all its tables as they were at one moment.")
    chunk_size: int = Field(default=50_000, ge=1, description="Most rows that are read at once.")
    source: str = Field(default=f"{_HOME}:discovered_tables", description="Is set already.")
    discover: str = Field(default=f"{_HOME}:discover_tables", description="Is set already.")

    @model_validator(mode="after")
    def _expect_cursors(self) -> Self:
        """A sensor for tables has a cursor column to look at."""
        for at, sensor in enumerate(self.sensors):
            declared = [declared_for(name, self.tables) for name in sensor.resources or ()] or list(self.tables.values())
            if sensor.looks_at_own and not any(table is not None and table.incremental is not None for table in declared):
                raise ValueError(
                    f"sensors.{at} needs 'incremental' of a table, whose cursor_path is the column that it looks at, or "
                    "a 'query' of its own."
                )
        return self


@scaffold_with(SqlDatabaseScaffolder)
class SqlDatabaseComponent(DiscoveredIngestComponent):
    """Ingests tables of a database that are named by patterns. They are looked for when state is refreshed, never while
    definitions load.
    """

    def __init__(self, settings: SqlDatabaseSettings, loaded_in: ComponentLoadContext) -> None:
        folder = loaded_in.path if loaded_in.path.is_dir() else loaded_in.path.parent
        super().__init__(_completed(settings, settings.name or identifier(folder.name)), loaded_in)
        self.tables = settings.tables
        self.credentials = settings.credentials
        self.schema = settings.database_schema

    @classmethod
    def get_model_cls(cls) -> type[SqlDatabaseSettings]:
        return SqlDatabaseSettings

    @property
    def source_name(self) -> str:
        """That of the load, so that several databases of a project have assets of their own."""
        return str(self.settings.name)

    def build_defs_from_state(self, context: ComponentLoadContext, state_path: Path | None) -> Definitions:
        if state_path is not None and state_path.exists():
            state = json.loads(state_path.read_text(encoding="utf-8"))
            self._expect_values_of_cursors(state["resources"] if state.get("version") == STATE_VERSION else ())
        found = super().build_defs_from_state(context, state_path)
        sensors = list(self._sensors([asset for asset in found.assets or () if isinstance(asset, AssetsDefinition)]))
        return Definitions.merge(found, Definitions(sensors=sensors)) if sensors else found

    def _expect_values_of_cursors(self, tables: Sequence[Mapping[str, Any]]) -> None:
        """Raise if a cursor starts at a value that its column cannot hold."""
        for table in tables:
            given = declared_for(table["name"], self.tables)
            if given is None or given.incremental is None:
                continue
            try:
                as_value_of(given.incremental.initial_value, types_of(table).get(given.incremental.cursor_path, {}))
            except ValueError as error:
                pattern = next(name for name, settings in self.tables.items() if settings is given)
                raise ComponentError(
                    place=f"tables.{pattern}.incremental.initial_value", problem=f"table {table['name']!r}: {error}"
                ) from None

    def _sensors(self, steps: Sequence[AssetsDefinition]) -> Iterator[SensorDefinition]:
        """A sensor for each table that is to have one; tables may share a step."""
        keys = {spec.metadata[RESOURCE]: spec.key for step in steps for spec in step.specs if RESOURCE in spec.metadata}
        for sensor in self.settings.sensors:
            wanted = sensor.resources or ["*"]
            for table, op in op_names(self.source_name, keys).items():
                given = declared_for(table, self.tables)
                is_wanted = sensor.looks_at_own and any(fnmatchcase(table, name) for name in wanted)
                if is_wanted and given is not None and given.incremental is not None:
                    yield build_sql_watermark_sensor(
                        [keys[table]],
                        name=f"{op_name(sensor.name)}__{op_name(table)}_watermark" if sensor.name else f"{op}_watermark",
                        table=table,
                        column=given.incremental.cursor_path,
                        schema=self.schema,
                        credentials=self._credentials,
                        **of_every_sensor(sensor),
                    )

    def _credentials(self) -> Any:
        """Read anew for each tick of a sensor."""
        named = late(self.credentials, "credentials")
        return filled(named, Resolver.from_environment(), owner=f"The sensor of {self.defs_state_config.key}")


def _completed(settings: SqlDatabaseSettings, name: str) -> SqlDatabaseSettings:
    """The settings with the name of the load, and the arguments of what discovers the tables, and of what reads them."""
    asked = {
        "credentials": settings.credentials,
        "schema": settings.database_schema,
        "table_names": settings.table_names,
        "exclude": settings.exclude,
        "include_views": settings.include_views,
    }
    read = {
        "credentials": settings.credentials,
        "schema": settings.database_schema,
        "chunk_size": settings.chunk_size,
        "tables": {name: given.model_dump(exclude_unset=True) for name, given in settings.tables.items()},
        "write_disposition": settings.write_disposition,
        "snapshot": settings.snapshot,
    }
    return settings.model_copy(update={"name": name, "discover_args": asked, "args": {**read, **settings.args}})
