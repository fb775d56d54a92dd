"""How far the tables of a resource may grow: what the configuration says, and which keys have a column already."""

from __future__ import annotations

from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.flow.batch import KeyPath, TableKey
from dlt_orchestrate.normalize.places import HasPlace
from dlt_orchestrate.normalize.rules import Bounds
from dlt_orchestrate.pipeline.settings import at_least, setting
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.document import Schema
from dlt_orchestrate.schema.growth import DEFAULT_MAX_FIELD_BYTES, DEFAULT_MAX_KEY_LENGTH, DEFAULT_MAX_NESTING, Growth
from dlt_orchestrate.schema.naming import Naming
from dlt_orchestrate.schema.table import SYSTEM_COLUMNS

FEWEST_COLUMNS = 10
"""The least limit that leaves room for keys beside the columns of the package itself."""

_LEAST = {
    "max_columns": FEWEST_COLUMNS,
    "max_new_columns": 0,
    "max_nested_tables": 0,
    "max_new_nested_tables": 0,
    "max_nesting": 0,
    "max_field_bytes": 1_000,
    "max_key_length": 1,
}
"""The limits of section `schema`, and the least value of each."""

_POLICIES = {"widen": "widen", "variant": "variant"}


def configured_growth(resource: Resource, resolver: Resolver) -> Growth:
    """The settings of section `schema`, for the resource, its source, the pipeline or all.

    Raises:
        ConfigValueCoercionError: A setting is none of the values that it may have.
    """
    policy = setting("schema.type_policy", resource, resolver, str, "'widen' or 'variant'", _POLICIES.get)
    limits = {
        name: setting(f"schema.{name}", resource, resolver, int, f"number of {least} or more", at_least(least))
        for name, least in _LEAST.items()
    }
    return Growth(policy or "widen", **limits)


def bounds_of(growth: Growth, capabilities: Capabilities, schema: Schema | None, naming: Naming, root: str) -> Bounds:
    """What normalize makes of the records of a root table at most."""
    table = naming.table((root,))
    stored = len(schema.nested_tables(table)) if schema is not None and table in schema.tables else 0
    return Bounds(
        columns=growth.new_columns_within(growth.columns_within(capabilities)),
        tables=growth.new_tables_beside(stored),
        levels=DEFAULT_MAX_NESTING if growth.max_nesting is None else min(growth.max_nesting, DEFAULT_MAX_NESTING),
        key_length=DEFAULT_MAX_KEY_LENGTH if growth.max_key_length is None else growth.max_key_length,
        field_bytes=DEFAULT_MAX_FIELD_BYTES if growth.max_field_bytes is None else growth.max_field_bytes,
    )


def stored_places(schema: Schema | None, naming: Naming, cursor_path: str | None) -> HasPlace:
    """Tells keys that have a column or a nested table already, and the cursor, which must have one."""
    cursor = tuple(cursor_path.split(".")) if cursor_path else None
    known: dict[TableKey, tuple[frozenset[KeyPath], frozenset[str]]] = {}

    def has_place(table: TableKey, path: KeyPath) -> bool:
        if table not in known:
            known[table] = _stored(schema, naming.table((table.root, *table.path)), naming)
        paths, names = known[table]
        return path in paths or (path == cursor and not table.path) or (bool(names) and naming.path(path) in names)

    return has_place


def _stored(schema: Schema | None, name: str, naming: Naming) -> tuple[frozenset[KeyPath], frozenset[str]]:
    """The paths that lead to the columns of a table and to the tables nested in it; names where no path is stored."""
    table = schema.tables.get(name) if schema is not None else None
    if schema is None or table is None:
        return frozenset(), frozenset()
    children = [other for other in schema.tables.values() if other.parent == name]
    paths = {column.path for column in table.columns.values() if column.path}
    paths |= {child.path[len(table.path) :] for child in children if child.path}
    names = {column.name for column in table.columns.values() if not column.path} - SYSTEM_COLUMNS
    names |= {child.name.removeprefix(name + naming.convention.PATH_SEPARATOR) for child in children if not child.path}
    return frozenset(paths), frozenset(names)
