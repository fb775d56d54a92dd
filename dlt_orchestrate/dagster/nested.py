"""Nested tables as assets of their own, below the asset of the resource whose records hold them."""

from collections.abc import Mapping, Sequence

from dagster import AssetDep, AssetKey, AssetSpec, TableColumnDep

from dlt_orchestrate.dagster.bindings import Binding
from dlt_orchestrate.dagster.events import MetadataEntry, column_schema, place
from dlt_orchestrate.dagster.lineage import column_lineage
from dlt_orchestrate.dagster.naming import UPSTREAM
from dlt_orchestrate.flow.package import TableCounts
from dlt_orchestrate.pipeline.info import ResourceReport
from dlt_orchestrate.pipeline.pipeline import Pipeline
from dlt_orchestrate.schema.table import PARENT_ID, ROOT_ID, ROW_ID

NESTED = "dlt_orchestrate/nested_table"
NESTED_OF = "dlt_orchestrate/nested_of"
NESTED_PATH = "dlt_orchestrate/nested_path"
"""Names of the spec's metadata that tie an asset to its table, to the resource that fills it, and to its lists in there."""

NestedTables = Mapping[str, Sequence[str]]
"""For each resource the keys of its records that hold lists, such as `{"orders": ["lines", "lines.taxes"]}`."""


def nested_specs(binding: Binding, specs: Mapping[str, AssetSpec], nested: NestedTables) -> dict[str, list[AssetSpec]]:
    """The specs of nested tables, by resource; each depends on the table that it is nested in.

    They take over group, owners, kinds and partitions of the resource's asset.
    """
    if not nested:
        return {}  # the database, which may need a secret, is not asked for names
    naming = binding.pipeline.naming_of(binding.recipe.name)
    destination, dataset = binding.pipeline.destination, binding.pipeline.dataset_name
    found: dict[str, list[AssetSpec]] = {}
    for resource, paths in nested.items():
        root = specs[resource]
        root_table = str(root.metadata.get("dagster/table_name", resource)).removeprefix(
            destination.qualified_name(dataset, "")
        )
        keys: dict[tuple[str, ...], AssetKey] = {(): root.key}
        for path in sorted((tuple(path.split(".")) for path in paths), key=len):
            table = naming.table((root_table, *path))
            keys[path] = AssetKey([*root.key.path[:-1], "__".join((root.key.path[-1], *path))])
            parent = next(keys[path[:length]] for length in range(len(path) - 1, -1, -1) if path[:length] in keys)
            spec = root.replace_attributes(
                key=keys[path],
                deps=[AssetDep(parent)],
                description=f"The lists {'.'.join(path)!r} of resource {resource!r}, a row for each item.",
                metadata={
                    NESTED: table,
                    NESTED_OF: resource,
                    NESTED_PATH: ".".join(f"{key}[]" for key in path),
                    **({UPSTREAM: root.metadata[UPSTREAM]} if UPSTREAM in root.metadata else {}),
                    "dlt_orchestrate/pipeline": binding.pipeline.pipeline_name,
                    "dagster/table_name": destination.qualified_name(dataset, table),
                },
                automation_condition=None,
                freshness_policy=None,
            )
            found.setdefault(resource, []).append(spec)
    return found


def nested_metadata(
    report: ResourceReport, spec: AssetSpec, pipeline: Pipeline, *, root: AssetKey
) -> dict[str, MetadataEntry]:
    """What a load did to a nested table, with the columns that tie it to the tables above."""
    table = str(spec.metadata[NESTED])
    counts = report.tables.get(table, TableCounts())
    columns = report.nested_columns.get(table, ())
    above = next((dep.asset_key for dep in spec.deps), root)
    ids = {PARENT_ID: TableColumnDep(above, ROW_ID), ROOT_ID: TableColumnDep(root, ROW_ID)}
    lists = f"{report.resource}.{spec.metadata[NESTED_PATH]}"
    return {
        "rows_loaded": counts.loaded,
        "rows_inserted": counts.inserted,
        "rows_updated": counts.updated,
        "rows_deleted": counts.deleted,
        "dagster/row_count": counts.total,
        **place(table, pipeline),
        **({"load_id": report.load_id} if report.load_id else {}),
        **({"dagster/column_schema": column_schema(columns, pipeline.destination)} if columns else {}),
        **column_lineage(columns, spec.metadata, place=lists, ids=ids),
    }
