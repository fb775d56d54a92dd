"""The files of one folder or bucket as several resources, each told by a pattern and a format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.config.values import config, secrets
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.declare.source import source
from dlt_orchestrate.errors import DeclarationError, InvalidArgumentsError
from dlt_orchestrate.sources.filesystem.csv_files import read_csv
from dlt_orchestrate.sources.filesystem.duckdb_csv import read_csv_duckdb
from dlt_orchestrate.sources.filesystem.excel import read_excel
from dlt_orchestrate.sources.filesystem.json_documents import read_json
from dlt_orchestrate.sources.filesystem.json_lines import read_jsonl
from dlt_orchestrate.sources.filesystem.parquet import read_parquet
from dlt_orchestrate.sources.filesystem.resources import filesystem
from dlt_orchestrate.sources.filesystem.seen import LoadOnce

READERS: dict[str, Resource] = {
    "csv": read_csv,
    "csv_duckdb": read_csv_duckdb,
    "excel": read_excel,
    "json": read_json,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
}
_ENDINGS = {
    "csv": "csv",
    "tsv": "csv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "json": "json",
    "parquet": "parquet",
    "xlsx": "excel",
}
_PACKED = ("gz", "bz2", "zst", "zip")
_HINTS = ("table_name", "write_disposition", "primary_key", "merge_key", "columns", "schema_contract", "max_table_nesting")
_KEYS = ("file_glob", "format", "options", "load_once", "description", *_HINTS)


@source(name="files", section="filesystem")
def folder_source(
    bucket_url: str = config.value,
    tables: dict[str, Any] | None = None,
    credentials: dict[str, Any] | str | None = secrets.value,
    load_once: LoadOnce | None = "version",
    min_age_seconds: float = 0,
    files_per_page: int = 100,
    kwargs: dict[str, Any] | None = None,
    client_kwargs: dict[str, Any] | None = None,
    partition_is_file: bool = False,
) -> Iterator[Resource]:
    """The files of a place, each pattern of them a resource of its own.

    Args:
        tables: By the name of the resource, a pattern such as `orders/*.csv`, or a mapping: `file_glob`; `format`, one of
            `csv`, `csv_duckdb`, `jsonl`, `json`, `parquet`, `excel`, by default as the pattern ends; `options`, the
            arguments of its reader; `load_once`; and the hints of the resource, such as `primary_key`. One whose
            rows go when they do not come (`replace`, the strategies `scd2` and `cdc`) reads all its files in every run.
        bucket_url, credentials, load_once, min_age_seconds, files_per_page, kwargs, client_kwargs, partition_is_file: As of
            `filesystem`, for all of them. By default each version of a file is loaded once.

    Raises:
        DeclarationError: A table is told by other keys, or its format cannot be known.
    """
    for name, told in (tables or {"files": "*"}).items():
        table = _keys(name, told)
        listing = filesystem(
            bucket_url,
            credentials,
            file_glob=_glob(name, table),
            files_per_page=files_per_page,
            kwargs=kwargs,
            client_kwargs=client_kwargs,
            load_once=None if _needs_all(table) else table.get("load_once", load_once),
            min_age_seconds=min_age_seconds,
            partition_is_file=partition_is_file,
        )
        # Named after its table: a table may be called as the resource that lists files is.
        read = (listing.with_name(f"files of {name}") | _reader(name, table)).with_name(name)
        read.description = table.get("description") or f"Files {_glob(name, table)}."
        hints: dict[str, Any] = {hint: table[hint] for hint in _HINTS if hint in table}
        yield read.apply_hints(**hints)


def expect_tables(tables: Mapping[str, Any]) -> None:
    """Check what is told of tables, without their files.

    Raises:
        DeclarationError: A table is told by other keys, or its format cannot be known.
    """
    for name, told in tables.items():
        table = _keys(name, told)
        _glob(name, table)
        _reader(name, table)


def _keys(name: str, told: Any) -> dict[str, Any]:
    """What is told of a table; a text is the pattern of its files."""
    if isinstance(told, str):
        return {"file_glob": told}
    if not isinstance(told, Mapping):
        raise DeclarationError(
            f"Files {name!r}: {told!r} names no files. Give a pattern, such as 'orders/*.csv', or keys with 'file_glob'."
        )
    return dict(told)


def _glob(name: str, table: Mapping[str, Any]) -> str:
    for key in table:
        if key not in _KEYS:
            raise DeclarationError(f"Files {name!r}: there is no key {key!r}. {meant(key, _KEYS)}")
    if "file_glob" not in table:
        raise DeclarationError(f"Files {name!r}: key 'file_glob' is missing, such as 'orders/*.csv'.")
    if table.get("load_once") not in (None, *get_args(LoadOnce)):
        raise DeclarationError(f"Files {name!r}: load_once is 'name', 'version' or None, not {table['load_once']!r}.")
    if table.get("load_once") and _needs_all(table):
        raise DeclarationError(
            f"Files {name!r}: load_once={table['load_once']!r} leaves out what was loaded before, and "
            f"write_disposition={table['write_disposition']!r} takes rows that do not come for gone. Leave load_once "
            "out, or append or merge."
        )
    return str(table["file_glob"])


def _needs_all(table: Mapping[str, Any]) -> bool:
    """Whether rows that do not come go: then a run that reads only new files would leave nothing of the others."""
    told = table.get("write_disposition")
    told = told if isinstance(told, Mapping) else {"disposition": told}
    return told.get("disposition") == "replace" or told.get("strategy") in ("scd2", "cdc")


def _format(name: str, table: Mapping[str, Any]) -> str:
    """How the files are written, told by name or by the end of the pattern."""
    given = table.get("format")
    parts = str(table["file_glob"]).lower().rpartition("/")[2].split(".")
    while parts[-1] in _PACKED:
        parts.pop()
    found = given or _ENDINGS.get(parts[-1] if len(parts) > 1 else "")
    if found not in READERS:
        untold = f"the pattern {table['file_glob']!r} does not tell their format"
        problem = f"format {given!r} is not known" if given else untold
        raise DeclarationError(f"Files {name!r}: {problem}. Give format: one of {', '.join(READERS)}.")
    return found


def _reader(name: str, table: Mapping[str, Any]) -> Resource:
    try:
        return READERS[_format(name, table)](**_options(table))
    except InvalidArgumentsError as error:
        raise DeclarationError(f"Files {name!r}: options: {error}") from None


def _options(table: Mapping[str, Any]) -> dict[str, Any]:
    options = dict(table.get("options") or {})
    if str(table["file_glob"]).lower().endswith(".tsv"):
        options.setdefault("sep", "\t")
    return options
