"""Where columns come from: the fields of the system that is read, and the columns of assets above."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dagster import AssetKey, AssetSpec, MetadataValue, TableColumnDep, TableColumnLineage

from dlt_orchestrate.dagster.bindings import SourceLike
from dlt_orchestrate.dagster.naming import PARENT, PARENT_ASSET, UPSTREAM, default_upstream_key
from dlt_orchestrate.dagster.references import is_ready_made
from dlt_orchestrate.declare.source import Source
from dlt_orchestrate.schema.table import Column

_KINDS = {"sql_database": "database", "filesystem": "file"}
"""What ready-made sources read, by their section of the configuration; all others read an API."""


def build_source_spec(
    source: SourceLike,
    *,
    key: AssetKey | Sequence[str] | str | None = None,
    description: str | None = None,
    group_name: str | None = None,
    owners: Sequence[str] | None = None,
    tags: Mapping[str, str] | None = None,
    kinds: Iterable[str] | None = None,
    url: str | None = None,
) -> AssetSpec:
    """The asset of the system that a source reads, for `Definitions(assets=[...])` and `ingest_assets(upstream=...)`.

    Nothing of ours materializes it: it shows where tables come from, and which fields their columns hold.

    Args:
        key: `source/<name of the source>` if not given.
        description: What the source's docstring says, if not given; nothing, if the source is a ready-made one.
        kinds: `api` if not given; of ready-made sources what they read, `database` or `file`.
        url: An address that the asset links to.
    """
    recipe = source if isinstance(source, Source) else source()
    is_ours = is_ready_made(recipe.function)
    if kinds is None:
        kinds = (_KINDS.get(recipe.section, "api") if is_ours else "api",)
    return AssetSpec(
        key=default_upstream_key(recipe.name) if key is None else key,
        description=description or (None if is_ours else inspect.getdoc(recipe.function)),
        group_name=group_name,
        owners=owners,
        tags=tags,
        kinds=set(kinds),
        metadata={"dagster/uri": MetadataValue.url(url)} if url else None,
    )


def column_lineage(
    columns: Iterable[Column], metadata: Mapping[str, Any], *, place: str, ids: Mapping[str, TableColumnDep] | None = None
) -> dict[str, TableColumnLineage]:
    """The metadata that tells what the columns of a table are made of; empty if nothing is known.

    Args:
        metadata: That of the asset's spec.
        place: Where in the records of the system the rows are, such as `orders.lines[]`.
        ids: What the columns come from that tie a nested table to those above.
    """
    found = {column.name: deps for column in columns if (deps := _deps(column, metadata, place, ids or {}))}
    return {"dagster/column_lineage": TableColumnLineage(found)} if found else {}


def _deps(
    column: Column, metadata: Mapping[str, Any], place: str, ids: Mapping[str, TableColumnDep]
) -> list[TableColumnDep]:
    deps = [ids[column.name]] if column.name in ids else []
    of_parent = f"_{metadata.get(PARENT)}_"
    if PARENT in metadata and column.name.startswith(of_parent) and column.name != of_parent:
        above = AssetKey.from_user_string(metadata[PARENT_ASSET])
        return [TableColumnDep(above, column.name.removeprefix(of_parent))]
    if UPSTREAM in metadata and column.path:
        deps.append(TableColumnDep(AssetKey.from_user_string(metadata[UPSTREAM]), ".".join((place, *column.path))))
    return deps


def source_field(column: Column) -> str | None:
    """The field that a column holds, where its name does not tell; None else."""
    return ".".join(column.path) if column.path and column.path != (column.name,) else None
