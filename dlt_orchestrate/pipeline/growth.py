"""How far the tables of a resource may grow: what the configuration says, and which keys have a column already."""

from __future__ import annotations

from typing import Any

from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.errors import ConfigValueCoercionError
from dlt_orchestrate.flow.batch import KeyPath, TableKey
from dlt_orchestrate.normalize.places import HasPlace
from dlt_orchestrate.schema.document import Schema
from dlt_orchestrate.schema.growth import Growth
from dlt_orchestrate.schema.naming import Naming
from dlt_orchestrate.schema.table import SYSTEM_COLUMNS

FEWEST_COLUMNS = 10
"""The least limit that leaves room for keys beside the columns of the package itself."""

_POLICIES = {"widen": "widen", "variant": "variant"}


def configured_growth(resource: Resource, resolver: Resolver) -> Growth:
    """The settings of section `schema`, for the resource, its source, the pipeline or all.

    Raises:
        ConfigValueCoercionError: A setting is none of the values that it may have.
    """

    def read(name: str, annotation: type, expected: str, reading: Any) -> Any:
        found = resolver.lookup(f"schema.{name}", resource.sections, annotation)
        if found is None:
            return None
        value = reading(found.value)
        if value is None:
            raise ConfigValueCoercionError(field=name, provider=found.provider, key=found.key, expected=expected)
        return value

    policy = read("type_policy", str, "'widen' or 'variant'", _POLICIES.get)
    most = read("max_columns", int, f"number of {FEWEST_COLUMNS} or more", lambda n: n if n >= FEWEST_COLUMNS else None)
    return Growth(policy or "widen", most)


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
