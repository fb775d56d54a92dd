"""The resource that lists files, and the source of the ready-made readers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from dlt_orchestrate.config.values import config, secrets
from dlt_orchestrate.declare import current, mark
from dlt_orchestrate.declare.incremental import Incremental
from dlt_orchestrate.declare.recipe import asks_for_key_if
from dlt_orchestrate.declare.resource import Resource, resource
from dlt_orchestrate.declare.source import source
from dlt_orchestrate.errors import DeclarationError, FilesNotListedError
from dlt_orchestrate.sources.filesystem.csv_files import read_csv
from dlt_orchestrate.sources.filesystem.duckdb_csv import read_csv_duckdb
from dlt_orchestrate.sources.filesystem.excel import read_excel
from dlt_orchestrate.sources.filesystem.items import FileItemDict
from dlt_orchestrate.sources.filesystem.json_documents import read_json
from dlt_orchestrate.sources.filesystem.json_lines import read_jsonl
from dlt_orchestrate.sources.filesystem.parquet import read_parquet
from dlt_orchestrate.sources.filesystem.reading import read_whole
from dlt_orchestrate.sources.filesystem.seen import LoadOnce, SeenFiles
from dlt_orchestrate.sources.filesystem.session import Session
from dlt_orchestrate.sources.filesystem.storage import Storage, StoredFile

_FILES_PER_PAGE = 100


@resource(name="filesystem", primary_key="file_url", section="filesystem")
@asks_for_key_if("partition_is_file")
def filesystem(
    bucket_url: str = config.value,
    credentials: dict[str, Any] | str | None = secrets.value,
    file_glob: str = "*",
    files_per_page: int = _FILES_PER_PAGE,
    extract_content: bool = False,
    kwargs: dict[str, Any] | None = None,
    client_kwargs: dict[str, Any] | None = None,
    incremental: Incremental[Any] | None = None,
    load_once: LoadOnce | None = None,
    min_age_seconds: float = 0,
    partition_is_file: bool = False,
) -> Iterator[list[FileItemDict] | mark.Checkpoint | mark.Arrived]:
    """List the files of a folder or a bucket, the oldest first, in pages for a reader: `filesystem(...) | read_csv()`.

    Args:
        bucket_url: A path, or an address: `s3://`, `gs://`, `az://`, `file://` and whatever else fsspec opens.
        credentials: Of the store; a table in the configuration, or a file system of fsspec.
        file_glob: Which files, as a path behind `bucket_url`: `*.csv`, with all folders below `**/*.csv`. Names that begin
            with a dot are left out unless the pattern has them.
        files_per_page: Files that are handed over at once.
        extract_content: Whether the records hold the bytes of the files.
        kwargs, client_kwargs: Further arguments of fsspec's file system, and of the client in it.
        incremental: A cursor over the records, such as `incremental("modification_date")`.
        load_once: Whether each file is loaded once: by its `name`, whatever becomes of it, or by its `version`, so that it
            is loaded again when it has changed. None lists all files in every run, and so does a run for a partition.
        min_age_seconds: Files that were written to later than so many seconds ago are left to the next run, but for the one
            that is a partition.
        partition_is_file: Whether the key of the partition that runs is the path of the one file to load. Its rows take the
            place of those that it gave before, under `merge`, too.

    Raises:
        DeclarationError: Arguments do not go together.
        FilesNotListedError: The place cannot be read.
        FileChangedError: Somebody writes to a file whose content is asked for.
    """
    if load_once is not None and incremental is not None:
        raise DeclarationError(
            "filesystem: load_once and incremental both say which files are new. Leave one of them out; load_once also "
            "finds files that come late with an old date."
        )
    if load_once not in (None, "name", "version"):
        raise DeclarationError(f"filesystem: load_once is 'name', 'version' or None, not {load_once!r}.")
    if files_per_page < 1:
        raise DeclarationError(f"filesystem: files_per_page is at least 1, not {files_per_page}.")
    storage = Storage.opened(bucket_url, credentials, kwargs, client_kwargs)
    key = _file_of_partition() if partition_is_file else None
    # A partition is loaded as a whole, in place of its rows: what other runs have loaded says nothing of it.
    seen = None if load_once is None or current.is_windowed() else SeenFiles(current.resource_state(), load_once)
    session = Session(storage, seen, needs_listed_version=incremental is not None)
    written_before = datetime.now(UTC) - timedelta(seconds=min_age_seconds)
    page: list[FileItemDict] = []
    if seen is not None:
        if current.write_disposition() == "replace":
            raise DeclarationError(
                f"filesystem: load_once={load_once!r} leaves out files that were loaded before, and "
                "write_disposition='replace' would take their rows away. Leave load_once out, so that every run reads all "
                "files, or append or merge."
            )
        session.is_limited = current.when_cut_short(session.forget_unconfirmed)
        current.load_part()
        yield mark.checkpoint()
    for file in _wanted(storage, file_glob, key):
        is_young = bool(min_age_seconds) and key is None and file.modified > written_before
        if is_young or (seen is not None and file in seen):
            continue
        page.append(_item(file, session, with_content=extract_content))
        if len(page) == files_per_page:
            yield page
            session.pass_by(page)
            yield from session.arrived(page)
            if seen is not None and session.is_settled:
                yield mark.checkpoint()
            page = []
    if page:
        yield page
        session.pass_by(page)
        yield from session.arrived(page)
    session.end()


@source(name="readers", section="filesystem")
def readers(
    bucket_url: str = config.value,
    credentials: dict[str, Any] | str | None = secrets.value,
    file_glob: str = "*",
    kwargs: dict[str, Any] | None = None,
    client_kwargs: dict[str, Any] | None = None,
    incremental: Incremental[Any] | None = None,
    load_once: LoadOnce | None = None,
    min_age_seconds: float = 0,
) -> tuple[Resource, ...]:
    """The files of a place behind each reader: `readers("data", file_glob="*.csv").read_csv()`.

    Args: As of `filesystem`.
    """
    files = filesystem(
        bucket_url,
        credentials,
        file_glob,
        kwargs=kwargs,
        client_kwargs=client_kwargs,
        incremental=incremental,
        load_once=load_once,
        min_age_seconds=min_age_seconds,
    )
    return tuple(files | reader for reader in (read_csv, read_csv_duckdb, read_excel, read_json, read_jsonl, read_parquet))


def _file_of_partition() -> str | None:
    """The path of the file that the partition which runs is; None for a run of no partition.

    Raises:
        DeclarationError: The partition has no key.
    """
    key = current.partition_key()
    if key is None and current.is_windowed():
        raise DeclarationError(
            "filesystem: partition_is_file=True takes the key of the partition for the path of a file, and a window of "
            "time has no key. Give it dynamic partitions, whose keys are the paths of the files."
        )
    current.replace_partition()
    return key


def _wanted(storage: Storage, pattern: str, key: str | None) -> list[StoredFile]:
    files = storage.files(pattern)
    if key is None:
        return files
    found = [file for file in files if file.relative_path == key]
    if not found:
        raise FilesNotListedError(
            url=storage.url, pattern=pattern, problem=f"the partition is {key!r}, and there is no such file that matches"
        )
    return found


def _item(file: StoredFile, session: Session, *, with_content: bool) -> FileItemDict:
    item = FileItemDict(file, session)
    if with_content:
        item["file_content"] = read_whole(item)
        item.was_opened = True
    return item
