"""Where files lie: a folder, or a bucket of an object store, opened through fsspec."""

from __future__ import annotations

import inspect
import json
import logging
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlt_orchestrate.config.redaction import learn, looks_secret, redact_url
from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import DeclarationError, FilesNotListedError, MissingExtraError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_log = logging.getLogger("dlt_orchestrate.sources.filesystem")

Credentials = Mapping[str, Any] | str | None

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure"}

# What dlt calls a credential, and what the client of the store does; a dot leads into an argument that is a table.
_NAMES: dict[str, dict[str, str]] = {
    "s3": {
        "aws_access_key_id": "key",
        "aws_secret_access_key": "secret",
        "aws_session_token": "token",
        "profile_name": "profile",
        "endpoint_url": "endpoint_url",
        "region_name": "client_kwargs.region_name",
    },
    "gcs": {"project_id": "project"},
    "azure": {
        "azure_storage_account_name": "account_name",
        "azure_storage_account_key": "account_key",
        "azure_storage_sas_token": "sas_token",
        "azure_account_host": "account_host",
        "azure_client_id": "client_id",
        "azure_client_secret": "client_secret",
        "azure_tenant_id": "tenant_id",
    },
}
_WHOLE = {"gcs": "token", "azure": "connection_string"}
"""The argument that credentials given as one text are."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file, as it was listed.

    Attributes:
        path: As its file system knows it.
        relative_path: Behind the folder or bucket that was listed.
        url: With its protocol, for people and for other tools.
        modified: When it was last written, in UTC.
        size: In bytes.
        mark: Tells one content of the file from another: its entity tag, or else the time of its last change and its size.
    """

    path: str
    relative_path: str
    url: str
    modified: datetime
    size: int
    mark: str


@dataclass(frozen=True, slots=True)
class Storage:
    """A folder, or a prefix of a bucket.

    Attributes:
        fs: The file system.
        root: The folder's path in it.
        url: Its address, without secrets.
    """

    fs: AbstractFileSystem
    root: str
    url: str

    @classmethod
    def opened(
        cls,
        bucket_url: str,
        credentials: Credentials | AbstractFileSystem = None,
        options: Mapping[str, Any] | None = None,
        client_options: Mapping[str, Any] | None = None,
    ) -> Storage:
        """Open a place; nothing is asked of it yet.

        Args:
            bucket_url: A path, or an address such as `s3://bucket/prefix`.
            credentials: By name, as dlt names them or as the file system of fsspec does; one text where a store knows
                such; or a file system that is open already.
            options: Further arguments of the file system.
            client_options: Further arguments of the client in it, `client_kwargs`.

        Raises:
            DeclarationError: The address or the credentials are none of those that the store knows.
            MissingExtraError: The package that speaks to the store is not installed.
        """
        from fsspec import AbstractFileSystem, filesystem, get_filesystem_class
        from fsspec.core import split_protocol

        protocol, _ = split_protocol(bucket_url)
        protocol = protocol or "file"
        if isinstance(credentials, AbstractFileSystem):
            return cls(credentials, credentials._strip_protocol(bucket_url), bucket_url)
        given = {**_storage_options(protocol, credentials), **(options or {})}
        if client_options:
            given["client_kwargs"] = {**given.get("client_kwargs", {}), **client_options}
        try:
            _expect_known(protocol, credentials, get_filesystem_class(protocol))
            # What a listing found before says nothing of what is there now.
            fs = filesystem(protocol, use_listings_cache=False, **given)
        except ImportError:
            feature = f"files at {protocol}:// addresses"
            raise MissingExtraError(feature=feature, extra=_EXTRAS.get(protocol, protocol)) from None
        except ValueError as error:
            raise DeclarationError(f"bucket_url {redact_url(bucket_url)!r} cannot be opened: {error}") from None
        root = fs._strip_protocol(bucket_url)
        return cls(fs, root.rstrip("/") or root, redact_url(fs.unstrip_protocol(root)).rstrip("/"))

    @property
    def is_local(self) -> bool:
        """Whether its files are those of this machine."""
        protocol = self.fs.protocol
        return "file" in ((protocol,) if isinstance(protocol, str) else protocol)

    def files(self, pattern: str) -> list[StoredFile]:
        """The files whose path behind the root matches, the oldest first, those of one moment by their path.

        Raises:
            FilesNotListedError: The place is not there, or it cannot be read.
        """
        try:
            found = list(self._found(pattern))
            if not found and not self.is_local:
                self._expect_bucket()
        except MissingExtraError:
            raise
        except Exception as error:  # each client has exceptions of its own
            raise FilesNotListedError(url=self.url, pattern=pattern, problem=_told(error)) from error
        if not found:
            _log.warning("No file at %s matches %r.", self.url, pattern)
        return sorted(found, key=lambda file: (file.modified, file.path))

    def look(self, path: str) -> StoredFile:
        """A file as it is now.

        Raises:
            FileNotFoundError: It is not there any more.
        """
        return self._file(path, self.fs.info(path))

    def _found(self, pattern: str) -> Iterator[StoredFile]:
        from fsspec.utils import glob_translate

        wanted = re.compile(glob_translate(pattern))
        takes_hidden = any(part.startswith(".") for part in pattern.split("/"))
        for file in self._below(*_fixed_part(pattern)):
            is_hidden = file.relative_path.startswith(".") or "/." in file.relative_path
            if wanted.match(file.relative_path) and (takes_hidden or not is_hidden):
                yield file

    def _expect_bucket(self) -> None:
        """Raise if there is nothing to list because the bucket is not there, which stores take for an empty one."""
        try:
            self.fs.ls(self.root.split("/")[0], detail=False)
        except PermissionError:
            return  # it is there, and only what lies behind a prefix may be listed

    def _below(self, folder: str, depth: int | None) -> Iterator[StoredFile]:
        """All files so many levels below a folder in the root."""
        if self.is_local:
            if not Path(self.root).is_dir():
                raise FileNotFoundError(f"{self.root} is no folder")
            start = Path(self.root, folder)
            if start.is_dir():
                yield from self._local_files(str(start), depth)
            return
        self.fs.invalidate_cache()
        start_path = "/".join(part for part in (self.root, folder) if part)
        for path, info in self.fs.find(start_path, maxdepth=depth, detail=True).items():
            if info["type"] == "file" and not path.endswith("/"):
                yield self._file(path, info)

    def _local_files(
        self, folder: str, depth: int | None, above: frozenset[tuple[int, int]] = frozenset()
    ) -> Iterator[StoredFile]:
        """The files below a folder, by the system's own functions: fsspec takes many times as long for them.

        Args:
            above: The folders that it lies in, by device and number: a link that leads back to one of them is a circle.
        """
        own = Path(folder).stat()
        here = (own.st_dev, own.st_ino)
        if here in above:
            return
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    if depth is None or depth > 1:
                        yield from self._local_files(entry.path, None if depth is None else depth - 1, above | {here})
                    continue
                try:
                    status = entry.stat()
                except FileNotFoundError:
                    continue  # gone since it was listed
                if stat.S_ISREG(status.st_mode):
                    yield self.local_file(entry.path, status)

    def _file(self, path: str, info: Mapping[str, Any]) -> StoredFile:
        relative = path[len(self.root) :].lstrip("/") if path.startswith(self.root) else path
        size = int(info["size"] or 0)
        modified = _modified(self.fs, path, info)
        tag = info.get("ETag") or info.get("etag") or info.get("generation")
        mark = str(tag).strip('"') if tag else f"{modified.timestamp()!r}-{size}"
        return StoredFile(path, relative, redact_url(self.fs.unstrip_protocol(path)), modified, size, mark)

    def local_file(self, path: str, status: os.stat_result) -> StoredFile:
        """A file of this machine by what the system says of it."""
        relative = path[len(self.root) :].lstrip("/")
        modified = datetime.fromtimestamp(status.st_mtime_ns // 1_000 / 1e6, UTC)
        return StoredFile(path, relative, f"file://{path}", modified, status.st_size, mark_of(status))


def mark_of(status: os.stat_result) -> str:
    """What tells one content of a file of this machine from another."""
    return f"{status.st_mtime_ns}-{status.st_size}"


def _fixed_part(pattern: str) -> tuple[str, int | None]:
    """The folders that a pattern names without wildcards, and how many levels below them it reaches; None for any.

    >>> _fixed_part("2026/01/*.csv"), _fixed_part("**/*.csv")
    (('2026/01', 1), ('', None))
    """
    parts = pattern.split("/")
    count = next((at for at, part in enumerate(parts[:-1]) if any(letter in part for letter in "*?[{")), len(parts) - 1)
    return "/".join(parts[:count]), None if "**" in pattern else len(parts) - count


def _modified(fs: AbstractFileSystem, path: str, info: Mapping[str, Any]) -> datetime:
    for name in ("LastModified", "last_modified", "mtime", "updated", "modified", "created"):
        found = info.get(name)
        if found is not None:
            break
    else:
        found = fs.modified(path)
    if isinstance(found, int | float):
        return datetime.fromtimestamp(found, UTC)
    moment = datetime.fromisoformat(found) if isinstance(found, str) else found
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _storage_options(protocol: str, credentials: Any) -> dict[str, Any]:
    store = _EXTRAS.get(protocol, protocol)
    if credentials is None:
        return {}
    if isinstance(credentials, str) and credentials.lstrip().startswith("{"):
        with suppress(ValueError):
            credentials = json.loads(credentials)
    if isinstance(credentials, str):
        if store not in _WHOLE:
            raise DeclarationError(
                f"The credentials of {protocol}:// are given as one text. Give them by name, such as "
                f"{', '.join(list(_NAMES.get(store, {'username': '', 'password': ''}))[:2])}."
            )
        learn(credentials)
        return {_WHOLE[store]: credentials}
    known = _NAMES.get(store, {})
    options: dict[str, Any] = {}
    for name, value in credentials.items():
        if value is None:
            continue
        if looks_secret(name):
            learn(value)
        table, _, last = known.get(name, name.removeprefix(f"{protocol}_")).rpartition(".")
        (options.setdefault(table, {}) if table else options)[last] = value
    if store == "gcs" and "private_key" in options:
        account = {**options, "type": "service_account", "token_uri": "https://oauth2.googleapis.com/token"}
        return {"token": account, "project": options.get("project")}
    return options


_OF_EVERY_CLIENT = ("profile", "batch_size", "skip_instance_cache", "listings_expiry_time", "max_paths")
"""Arguments that clients hand on, so that their own signatures do not name them."""


def _expect_known(protocol: str, credentials: Credentials, client: type[AbstractFileSystem]) -> None:
    """Refuse the name of a credential that the store does not have: its client would tell of it without saying where."""
    known = _NAMES.get(_EXTRAS.get(protocol, protocol))
    if known is None or not isinstance(credentials, Mapping) or "private_key" in credentials:  # all fields of an account
        return
    taken = {*known, *known.values(), *inspect.signature(client).parameters, *_OF_EVERY_CLIENT}
    for name, value in credentials.items():
        if value is not None and name not in taken and name.removeprefix(f"{protocol}_") not in taken:
            told = meant(name, taken, listed=known)
            raise DeclarationError(f"The credentials of {protocol}:// have no {name!r}. {told}")


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
