"""The tables that a dataset of dlt has beside its data, in dlt's shapes, so that either reads what the other wrote."""

from __future__ import annotations

from dlt_orchestrate.schema import types
from dlt_orchestrate.schema.table import LOAD_ID, ROW_ID, Column

PREFIX = "_dlt_"
"""Begins the names of tables and columns that hold no data of the user."""

LOADS = "_dlt_loads"
VERSION = "_dlt_version"
STATE = "_dlt_pipeline_state"


def text(name: str, *, nullable: bool = True) -> Column:
    return Column(name, types.TEXT, nullable)


def number(name: str, *, nullable: bool = True) -> Column:
    return Column(name, types.BIGINT, nullable)


def moment(name: str) -> Column:
    return Column(name, types.TIMESTAMP, nullable=False)


DLT_TABLES: dict[str, tuple[Column, ...]] = {
    LOADS: (
        text("load_id", nullable=False),
        text("schema_name"),
        number("status", nullable=False),
        moment("inserted_at"),
        text("schema_version_hash"),
    ),
    VERSION: (
        number("version", nullable=False),
        number("engine_version", nullable=False),
        moment("inserted_at"),
        text("schema_name", nullable=False),
        text("version_hash", nullable=False),
        text("schema", nullable=False),
    ),
    STATE: (
        number("version", nullable=False),
        number("engine_version", nullable=False),
        text("pipeline_name", nullable=False),
        text("state", nullable=False),
        moment("created_at"),
        text("version_hash"),
        text(LOAD_ID, nullable=False),
        text(ROW_ID, nullable=False),
    ),
}
