"""A destination whose settings are read in the step."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from dlt_orchestrate import destinations
from dlt_orchestrate.config.references import filled
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.dagster.components.settings import POSTGRES_ADDRESS
from dlt_orchestrate.errors import ConfigError
from dlt_orchestrate.flow.package import CommitResult, LoadPackage
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.protocols.destination import Destination, Reader
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.types import ColumnType

_STAND_IN = {"path": "unknown.duckdb", "host": "unknown", "database": "unknown"}


class LateDestination:
    """Makes the destination when something is loaded or read; until then, what it can do is known, and not where it is.

    Attributes:
        root: The folder that relative paths of files lie in.
    """

    def __init__(self, kind: str, fields: Mapping[str, Any], root: Path) -> None:
        self.name = kind
        self._fields = fields
        self._root = root
        self._made: Destination | None = None
        stand_in = {name: _STAND_IN[name] for name in (("path",) if kind == "duckdb" else ("host", "database"))}
        self._stand_in = _made(kind, stand_in, root)

    @property
    def made(self) -> Destination:
        """The destination itself.

        Raises:
            ConfigFieldMissingError: A value that its settings name is missing.
        """
        if self._made is None:
            fields = filled(self._fields, Resolver.from_environment(), owner=f"Destination {self.name!r}")
            self._made = _made(self.name, fields, self._root)
        return self._made

    @property
    def location(self) -> str:
        try:
            return self.made.location
        except ConfigError:
            return f"{self.name} (its settings are read in the step)"

    @property
    def capabilities(self) -> Capabilities:
        return self._stand_in.capabilities

    def __repr__(self) -> str:
        return f"LateDestination({self.name!r})"

    def read_state(self, scope: Scope) -> Snapshot:
        return self.made.read_state(scope)

    def commit(self, package: LoadPackage) -> CommitResult:
        return self._with_folder().commit(package)

    def reader(self, dataset_name: str) -> AbstractContextManager[Reader]:
        return self.made.reader(dataset_name)

    def datasets(self) -> Sequence[str]:
        return self.made.datasets()

    def type_name(self, column_type: ColumnType) -> str:
        return self._stand_in.type_name(column_type)

    def qualified_name(self, dataset_name: str, table: str) -> str:
        """The full name of a table; without the database as long as a secret says which it is."""
        try:
            return self.made.qualified_name(dataset_name, table)
        except ConfigError:
            return f"{dataset_name}.{table}"

    def _with_folder(self) -> Destination:
        """The destination, with the folder that its file lies in: a project that was cloned has no folder of data yet."""
        if isinstance(path := getattr(self.made, "path", None), Path):
            path.parent.mkdir(parents=True, exist_ok=True)
        return self.made


def _made(kind: str, fields: Mapping[str, Any], root: Path) -> Destination:
    given = {name: value for name, value in fields.items() if value is not None}
    if kind == "duckdb":
        path = Path(str(given.pop("path")).removeprefix("duckdb:///")).expanduser()
        return destinations.duckdb(root / path, **given)
    address = {name: given.pop(name) for name in POSTGRES_ADDRESS if name in given}
    return destinations.postgres(given.pop("credentials", None) or address, **given)
