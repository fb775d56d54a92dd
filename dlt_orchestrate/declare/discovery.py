"""What is known of tables before anything runs: declared hints in the form of a schema. Nothing is read for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.conventions import DEFAULT_CONVENTION
from dlt_orchestrate.schema.document import Schema
from dlt_orchestrate.schema.naming import Naming, naming_for
from dlt_orchestrate.schema.table import Column, Table, TableHints

if TYPE_CHECKING:
    from dlt_orchestrate.declare.resource import Resource


def declared_table(resource: Resource, item: Any = None, naming: Naming | None = None) -> Table:
    """The root table of a resource, as declared.

    Args:
        item: A record, for resources whose table depends on it.
        naming: Makes identifiers of the names that the user wrote; they stay as they are without it.

    Raises:
        DeclarationError: The table depends on the record, and none is given.
    """
    name = resource.table_name
    if callable(name):
        if item is None:
            raise DeclarationError(
                f"Resource {resource.name!r}: a function of the record tells its table, so that the table cannot be told "
                "without one. Pass a record: compute_table_schema(record)."
            )
        name = name(item)
    hints = resource.table_hints()
    names = dict.fromkeys([*hints.columns, *hints.primary_key, *hints.merge_key])
    identifiers = {written: naming.path((written,)) if naming else written for written in names}
    columns = {identifier: _column(written, identifier, hints) for written, identifier in identifiers.items()}
    return Table(
        name=naming.table((name,)) if naming else name,
        columns=columns,
        resource=resource.name,
        write_disposition=hints.write_disposition,
        strategy=hints.strategy if hints.is_merge else "delete-insert",
        description=hints.description,
    )


def declared_schema(name: str, resources: Iterable[Resource], item: Any = None, naming: str = DEFAULT_CONVENTION) -> Schema:
    """The tables of some resources, as declared; those that depend on the record are left out without one.

    Of resources that fill one table, later hints of a column go before earlier ones.
    """
    convention = naming_for(naming, Capabilities())
    tables: dict[str, Table] = {}
    for resource in resources:
        if item is None and callable(resource.table_name):
            continue
        table = declared_table(resource, item, convention)
        before = tables.get(table.name)
        tables[table.name] = replace(table, columns={**before.columns, **table.columns}) if before else table
    return Schema(convention.dataset(name), tables, naming=naming)


def _column(written: str, name: str, hints: TableHints) -> Column:
    hint = hints.columns.get(written)
    nullable = hint.nullable if hint and hint.nullable is not None else written not in hints.required_key
    return Column(
        name=name,
        type=hint.type if hint else None,
        nullable=nullable,
        primary_key=written in hints.primary_key,
        merge_key=written in hints.merge_key,
        description=hint.description if hint else None,
        hints=dict(hint.hints) if hint else {},
    )
