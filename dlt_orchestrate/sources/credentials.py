"""Credentials of databases as objects, where dlt has them; a URL or a mapping of its fields does the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dlt_orchestrate.config.redaction import MASK
from dlt_orchestrate.errors import DatabaseCredentialsError
from dlt_orchestrate.sources.sql_database.credentials import URL_FIELDS, location_of, url_of

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema
    from sqlalchemy.engine import URL


class ConnectionStringCredentials(dict[str, Any]):
    """The fields of a database's address, as items and as attributes; made of a URL, a mapping, or field by field.

    >>> found = ConnectionStringCredentials("postgresql://me:secret@db.example:5432/shop")
    >>> found.host, found.database, found
    ('db.example', 'shop', ConnectionStringCredentials('postgresql://db.example:5432/shop'))
    """

    def __init__(self, connection_string: str | Mapping[str, Any] | None = None) -> None:
        """
        Raises:
            DatabaseCredentialsError: It is no address of a database.
        """
        super().__init__()
        if connection_string is not None:
            url = url_of(connection_string)
            self.update({name: found for name in URL_FIELDS if (found := getattr(url, name))})

    def to_url(self) -> URL:
        """The address, for SQLAlchemy."""
        return url_of(self)

    def to_native_representation(self) -> str:
        """The address as text, with its password."""
        return self.to_url().render_as_string(hide_password=False)

    def __getattr__(self, name: str) -> Any:
        if name not in URL_FIELDS:
            raise AttributeError(f"Credentials of a database have no {name!r}; they have {', '.join(URL_FIELDS)}.")
        return self.get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __repr__(self) -> str:
        try:
            shown = location_of(url_of(self)) if self.drivername else ""
        except DatabaseCredentialsError:  # said where they are used; what is shown while that is looked into must not fail
            shown = MASK
        return f"{type(self).__name__}({shown!r})"

    __str__ = __repr__

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(cls)
