"""Where a PostgreSQL database is and who asks: read from a URL or from fields, printed without credentials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from dlt_orchestrate.config.redaction import Secret
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import InvalidCredentialsError

DEFAULT_PORT = "5432"
DEFAULT_CONNECT_TIMEOUT_SECONDS = 10

FIELDS = ("host", "port", "username", "password", "database", "connect_timeout", "sslmode")
"""What credentials are made of where they are given one by one."""

_SAME_AS = {"user": "username", "dbname": "database"}
_NO_OPTIONS = frozenset(("host", "port", "username", "password", "database", "drivername", "client_encoding"))
_FORMS = "Give postgresql://user:password@host:5432/database, or the fields host, port, username, password and database"


@dataclass(frozen=True)
class Address:
    """One database of a server, and who connects to it.

    Attributes:
        host: A name, an address, or the folder of a Unix socket.
        options: Further parameters of libpq, such as `sslmode`.
    """

    host: str
    database: str
    port: str = DEFAULT_PORT
    username: str | None = None
    password: Secret | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, credentials: object) -> Address:
        """Read credentials: a URL as text or secret, or a mapping of fields.

        Raises:
            InvalidCredentialsError: They name no host or no database, or are something else.

        >>> Address.of("postgresql://me:p%40ss@db.example/shop?sslmode=require").location
        'postgresql://db.example:5432/shop'
        """
        if isinstance(credentials, Address):
            return credentials
        if isinstance(credentials, Secret):
            credentials = credentials.reveal()
        if isinstance(credentials, str):
            return cls._of_url(credentials)
        if isinstance(credentials, Mapping):
            return cls._of_fields(credentials)
        raise _invalid(f"they are a {type(credentials).__name__}", f"{_FORMS}.")

    @property
    def location(self) -> str:
        """Where it is, printable: without credentials."""
        host = f"[{self.host}]" if ":" in self.host and not self.host.startswith("[") else self.host
        return f"postgresql://{host}:{self.port}/{self.database}"

    def conninfo(self, application_name: str) -> str:
        """The address as libpq reads it, password included: not to be shown."""
        parameters = {
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
            "user": self.username,
            "password": self.password.reveal() if self.password is not None else None,
            "client_encoding": "UTF8",
            "application_name": application_name,
            "connect_timeout": str(DEFAULT_CONNECT_TIMEOUT_SECONDS),
            **self.options,
        }
        return " ".join(f"{name}={_spelled(value)}" for name, value in parameters.items() if value)

    @classmethod
    def _of_url(cls, url: str) -> Address:
        scheme, separator, rest = url.partition("://")
        if not separator or scheme.split("+")[0] not in ("postgresql", "postgres"):
            raise _invalid("they are no URL that begins with postgresql://", f"{_FORMS}.")
        parts = urlsplit(f"postgresql://{rest}")
        username, _, password = parts.netloc.rpartition("@")[0].partition(":")
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _invalid("their port is no number", "Percent-encode @ : / ? # and % in user name and password.") from None
        options = dict(parse_qsl(parts.query))
        found: dict[str, Any] = {
            "host": unquote(host or ""),
            "port": port,
            "username": unquote(username),
            "password": unquote(password),
            "database": unquote(parts.path.removeprefix("/")),
        }
        return cls._of_fields({**options, **{name: value for name, value in found.items() if value}})

    @classmethod
    def _of_fields(cls, given: Mapping[str, Any]) -> Address:
        fields = {_SAME_AS.get(name, name): value for name, value in given.items() if value is not None}
        fields.update(fields.pop("query", None) or {})
        missing = [name for name in ("host", "database") if not fields.get(name)]
        if missing:
            raise _invalid(f"they name no {' and no '.join(missing)}", f"{_FORMS}.")
        password = fields.get("password")
        return cls(
            host=str(fields["host"]),
            database=str(fields["database"]),
            port=str(fields.get("port") or DEFAULT_PORT),
            username=str(fields["username"]) if fields.get("username") else None,
            password=password if isinstance(password, Secret) else Secret(str(password)) if password else None,
            options={name: str(value) for name, value in fields.items() if name not in _NO_OPTIONS and value != ""},
        )


def _spelled(value: str) -> str:
    r"""A value as libpq reads it.

    >>> _spelled("it's")
    "'it\\'s'"
    """
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _invalid(problem: str, advice: str) -> InvalidCredentialsError:
    return InvalidCredentialsError(destination="postgres", problem=problem, advice=advice)
