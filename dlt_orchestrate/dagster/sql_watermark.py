"""The watermark sensor of a table of a database: its assets are ingested when the greatest value of a column has moved."""

from collections.abc import Callable
from typing import Any

from dagster import DefaultSensorStatus, SensorDefinition

from dlt_orchestrate.config.inject import bind_with_config
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.config.values import secrets
from dlt_orchestrate.dagster.selection import Assets
from dlt_orchestrate.dagster.watermark_sensor import build_table_watermark_sensor


def build_sql_watermark_sensor(
    assets: Assets,
    *,
    name: str,
    table: str,
    column: str,
    schema: str | None = None,
    credentials: Any = None,
    minimum_interval_seconds: int = 60,
    default_status: DefaultSensorStatus = DefaultSensorStatus.STOPPED,
) -> SensorDefinition:
    """A sensor that asks a source database for the greatest value of a column, and materializes `assets` when it changes.

    Args:
        column: The cursor of the table; let it have an index.
        credentials: As of `sql_database`, or a function that gives them, called at each tick; the configured
            `sources.sql_database.credentials` by default.
    """

    def connect() -> Any:
        from dlt_orchestrate.sources.sql_database.watermark import Watermark

        return Watermark(_read(credentials), table=table, column=column, schema=schema)

    return build_table_watermark_sensor(
        f"the greatest {column} of {table}",
        assets,
        name=name,
        connect=connect,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description=f"Launches a run when the greatest {column} of the table {table} has changed.",
    )


def _read(credentials: Any | Callable[[], Any]) -> Any:
    if callable(credentials):
        return credentials()
    if credentials is not None:
        return credentials
    ready = bind_with_config(
        _configured, (), {}, resolver=Resolver.from_environment(), sections=("sources", "sql_database"), owner="The sensor"
    )
    return ready.arguments["credentials"]


def _configured(credentials: dict[str, Any] | str | Any = secrets.value) -> None:
    """What is read from the configuration."""
