"""The component for the tables of a database: `type: dlt_orchestrate.dagster.SqlDatabaseComponent`."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Self

from dagster import AssetsDefinition, ComponentLoadContext, Definitions, SensorDefinition, scaffold_with
from pydantic import AfterValidator, Field, field_validator, model_validator

from dlt_orchestrate.config.references import filled, named_value
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.config.spelling import nearest
from dlt_orchestrate.dagster.components.discovered import DiscoveredIngestComponent, DiscoveredSettings
from dlt_orchestrate.dagster.components.late import late
from dlt_orchestrate.dagster.components.scaffolding import SqlDatabaseScaffolder, identifier
from dlt_orchestrate.dagster.components.sensors import expect_distinct, of_every_sensor, resources_of
from dlt_orchestrate.dagster.components.settings import SensorSettings, Settings
from dlt_orchestrate.dagster.naming import RESOURCE, op_name, op_names
from dlt_orchestrate.dagster.sql_watermark import build_sql_watermark_sensor
from dlt_orchestrate.declare.hints import parse_disposition
from dlt_orchestrate.errors import ComponentError, DatabaseCredentialsError, DeclarationError
from dlt_orchestrate.sources.sql_database.credentials import FIELDS, expect_options, url_of
from dlt_orchestrate.sources.sql_database.discovery import as_value_of, types_of
from dlt_orchestrate.sources.sql_database.selection import declared_for, is_pattern

_HOME = "dlt_orchestrate.sources.sql_database"
_TABLES = "tables"


def _known_disposition(value: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    """Judged at its line; one with a template is judged once that is carried out."""
    if value is not None and "{{" not in str(value):
        try:
            parse_disposition(_TABLES, value)
        except DeclarationError as error:
            raise ValueError(str(error).removeprefix(f"Resource {_TABLES!r}").lstrip(":, ")) from None
    return value


_Disposition = Annotated[str | dict[str, Any] | None, AfterValidator(_known_disposition)]


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
    write_disposition: _Disposition = None
    columns: dict[str, dict[str, Any]] | None = Field(default=None, description="Column hints by name.")
    included_columns: list[str] | None = None
    excluded_columns: list[str] | None = None
    split_by: str | None = Field(default=None, description="A column of whole numbers, whose ranges are partitions.")


class SqlSensorSettings(SensorSettings):
    """A sensor; one of type `watermark` without `query` looks whether the cursor columns of tables have moved."""

    own_type = "watermark"


class SqlDatabaseSettings(DiscoveredSettings):
    """The tables of a database."""

    credentials: Any = Field(
        description="A URL as {secret: NAME}, or its fields drivername, host, ... A relative path of a SQLite or DuckDB "
        "file lies in the project's folder."
    )
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
    write_disposition: _Disposition = Field(default=None, description="Of tables that declare none.")
    snapshot: bool = Field(default=False, description="Whether a step reads all its tables as they were at one moment.")
    chunk_size: int = Field(default=50_000, ge=1, description="Most rows that are read at once.")
    source: str = Field(default=f"{_HOME}:discovered_tables", description="Is set already.")
    discover: str = Field(default=f"{_HOME}:discover_tables", description="Is set already.")

    @field_validator("credentials")
    @classmethod
    def _expect_known_fields(cls, value: Any) -> Any:
        """Names of fields are known before their values are read."""
        if isinstance(value, Mapping) and named_value(value) is None:
            further = [name for name in value if name not in FIELDS]
            if len(value) == 1 and (meant_key := nearest(str(further[0]), ("secret", "env")) if further else None):
                raise ValueError(f"{further[0]!r} is no key here. Did you mean {meant_key!r}?")
            driver = value.get("drivername")
            try:
                expect_options(map(str, further), driver if isinstance(driver, str) and "{{" not in driver else "")
            except DatabaseCredentialsError as error:
                raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _expect_cursors(self) -> Self:
        """A sensor for tables has a cursor column to look at; a refresh tells which tables there are."""
        for at, sensor in enumerate(self.sensors):
            for name in (sensor.resources or ["*"]) if sensor.looks_at_own else ():
                if not any(given.incremental is not None for given in self._declared(name)):
                    close = None if name in self.tables else nearest(name, self.tables)
                    raise ValueError(
                        f"sensors.{at} needs 'incremental' of {'a table' if sensor.resources is None else repr(name)} in "
                        "'tables', whose cursor_path is the column that it looks at, or a 'query' of its own."
                        f"{f' Did you mean {close!r}?' if close else ''}"
                    )
        return self

    def _declared(self, name: str) -> Iterable[TableSettings]:
        """What is declared of a table, or of all that may be among those of a pattern."""
        if not is_pattern(name):
            return filter(None, (declared_for(name, self.tables),))
        return (given for key, given in self.tables.items() if is_pattern(key) or fnmatchcase(key, name))


@scaffold_with(SqlDatabaseScaffolder)
class SqlDatabaseComponent(DiscoveredIngestComponent):
    """Ingests tables of a database that are named by patterns. They are looked for when state is refreshed, never while
    definitions load.
    """

    def __init__(self, settings: SqlDatabaseSettings, loaded_in: ComponentLoadContext) -> None:
        folder = loaded_in.path if loaded_in.path.is_dir() else loaded_in.path.parent
        self._root = loaded_in.project_root
        name = settings.name or identifier(folder.name)
        super().__init__(_completed(settings, name, root=str(self._root)), loaded_in)
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
        found = super().build_defs_from_state(context, state_path)
        steps = [asset for asset in found.assets or () if isinstance(asset, AssetsDefinition)]
        sensors = list(self._sensors(steps)) if steps else []  # without a refresh nobody knows the tables
        expect_distinct(sensors)
        return Definitions.merge(found, Definitions(sensors=[sensor for _, sensor in sensors])) if sensors else found

    def expect_fitting(self, resources: Sequence[Mapping[str, Any]]) -> None:
        """Refuse a cursor that starts at a value which its column cannot hold.

        Raises:
            ComponentError: There is one.
        """
        for table in resources:
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

    def _sensors(self, steps: Sequence[AssetsDefinition]) -> Iterator[tuple[str, SensorDefinition]]:
        """A sensor for each table that is to have one, each with its place in the file; tables may share a step."""
        keys = {spec.metadata[RESOURCE]: spec.key for step in steps for spec in step.specs if RESOURCE in spec.metadata}
        ops = op_names(self.source_name, keys)
        for at, sensor in enumerate(self.settings.sensors):
            for table in self._watched(sensor, keys, f"sensors.{at}") if sensor.looks_at_own else ():
                name = f"{op_name(sensor.name)}__{op_name(table)}" if sensor.name else ops[table]
                yield (
                    f"sensors.{at}",
                    build_sql_watermark_sensor(
                        [keys[table]],
                        name=f"{name}_watermark",
                        table=table,
                        column=self._cursor_of(table),
                        schema=self.schema,
                        credentials=self._credentials,
                        **of_every_sensor(sensor),
                    ),
                )

    def _watched(self, sensor: SensorSettings, known: Collection[str], place: str) -> list[str]:
        """The tables whose cursors a sensor looks at.

        Raises:
            ComponentError: It names what is no table, or none that it means has a cursor.
        """
        named = resources_of(sensor, known, place)
        watched = [table for table in named if self._cursor_of(table)]
        if not watched:
            raise ComponentError(
                place=place,
                problem=f"it looks at cursors, and 'tables' declares no 'incremental' of {', '.join(map(repr, named))}",
            )
        return watched

    def _cursor_of(self, table: str) -> str:
        """The column of the table's cursor; empty without one."""
        given = declared_for(table, self.tables)
        return given.incremental.cursor_path if given is not None and given.incremental is not None else ""

    def _credentials(self) -> Any:
        """Read anew for each tick of a sensor."""
        named = late(self.credentials, "credentials")
        read = filled(named, Resolver.from_environment(), owner=f"A sensor of {self.told_name}")
        return url_of(read, self._root)


def _completed(settings: SqlDatabaseSettings, name: str, *, root: str) -> SqlDatabaseSettings:
    """The settings with the name of the load, and the arguments of what discovers the tables, and of what reads them."""
    asked = {
        "credentials": settings.credentials,
        "schema": settings.database_schema,
        "table_names": settings.table_names,
        "exclude": settings.exclude,
        "include_views": settings.include_views,
        "root": root,
    }
    read = {
        "credentials": settings.credentials,
        "schema": settings.database_schema,
        "chunk_size": settings.chunk_size,
        "tables": {name: given.model_dump(exclude_unset=True) for name, given in settings.tables.items()},
        "write_disposition": settings.write_disposition,
        "snapshot": settings.snapshot,
        "root": root,
    }
    return settings.model_copy(update={"name": name, "discover_args": asked, "args": {**read, **settings.args}})
