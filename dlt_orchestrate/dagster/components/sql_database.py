"""The component for the tables of a database: `type: dlt_orchestrate.dagster.SqlDatabaseComponent`."""

from pathlib import Path
from typing import Any

from dagster import AssetsDefinition, ComponentLoadContext, Definitions, scaffold_with
from pydantic import Field

from dlt_orchestrate.config.references import filled
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.dagster.components.discovered import DiscoveredIngestComponent, DiscoveredSettings
from dlt_orchestrate.dagster.components.late import late
from dlt_orchestrate.dagster.components.scaffolding import SqlDatabaseScaffolder
from dlt_orchestrate.dagster.components.settings import Settings
from dlt_orchestrate.dagster.naming import op_name
from dlt_orchestrate.dagster.sql_watermark import build_sql_watermark_sensor

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
    watermark: bool = Field(default=False, description="Whether a sensor loads it when its cursor column has moved.")


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
    write_disposition: str | dict[str, Any] | None = Field(default=None, description="Of tables that declare none.")
    snapshot: bool = Field(default=False, description="Whether a step reads all its tables as they were at one moment.")
    chunk_size: int = Field(default=50_000, ge=1, description="Most rows that are read at once.")
    source: str = Field(default=f"{_HOME}:discovered_tables", description="Is set already.")
    discover: str = Field(default=f"{_HOME}:discover_tables", description="Is set already.")


@scaffold_with(SqlDatabaseScaffolder)
class SqlDatabaseComponent(DiscoveredIngestComponent):
    """Ingests tables of a database that are named by patterns. They are looked for when state is refreshed, never while
    definitions load.
    """

    def __init__(self, settings: SqlDatabaseSettings, loaded_in: ComponentLoadContext) -> None:
        super().__init__(_completed(settings), loaded_in)
        self.tables = settings.tables
        self.credentials = settings.credentials
        self.schema = settings.database_schema

    @classmethod
    def get_model_cls(cls) -> type[SqlDatabaseSettings]:
        return SqlDatabaseSettings

    def build_defs_from_state(self, context: ComponentLoadContext, state_path: Path | None) -> Definitions:
        found = super().build_defs_from_state(context, state_path)
        steps = [asset for asset in found.assets or () if isinstance(asset, AssetsDefinition)]
        sensors = [
            build_sql_watermark_sensor(
                [asset],
                name=f"{asset.op.name}_watermark",
                table=table,
                column=given.incremental.cursor_path,
                schema=self.schema,
                credentials=self._credentials,
            )
            for table, given in self.tables.items()
            if given.watermark and given.incremental is not None
            for asset in steps
            if asset.op.name.endswith(f"__{op_name(table)}")
        ]
        return Definitions.merge(found, Definitions(sensors=sensors)) if sensors else found

    def _credentials(self) -> Any:
        """Read anew for each tick of a sensor."""
        named = late(self.credentials, "credentials")
        return filled(named, Resolver.from_environment(), owner=f"The sensor of {self.defs_state_config.key}")


def _completed(settings: SqlDatabaseSettings) -> SqlDatabaseSettings:
    """The settings with the arguments of what discovers the tables, and of what reads them."""
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
        "tables": {
            name: given.model_dump(exclude_unset=True, exclude={"watermark"}) for name, given in settings.tables.items()
        },
        "write_disposition": settings.write_disposition,
        "snapshot": settings.snapshot,
    }
    return settings.model_copy(update={"discover_args": asked, "args": {**read, **settings.args}})
