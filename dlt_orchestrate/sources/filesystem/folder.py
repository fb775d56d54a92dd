"""The files of one folder or bucket as several resources, each told by a pattern and a format."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, get_args

from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.config.values import config, secrets
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.declare.source import source
from dlt_orchestrate.errors import DeclarationError
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
HINTS = ("table_name", "write_disposition", "primary_key", "merge_key", "columns", "schema_contract", "max_table_nesting")
_KEYS = ("file_glob", "format", "options", "load_once", "partition_is_file", "description", *HINTS)


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
            arguments of its reader; `load_once` and `partition_is_file`, in place of those of all; and the hints of the
            resource, such as `primary_key`. One whose rows go when they do not come (`replace`, the strategies `scd2` and
            `cdc`) reads all its files in every run.
        bucket_url, credentials, load_once, min_age_seconds, files_per_page, kwargs, client_kwargs, partition_is_file: As of
            `filesystem`, for all of them. By default each version of a file is loaded once.

    Raises:
        DeclarationError: A table is told by other keys, or its format cannot be known.
    """
    for name, told in (tables or {"files": "*"}).items():
        with _of_table(name):
            table = _keys(told)
            reader = _reader(table)
        listing = filesystem(
            bucket_url,
            credentials,
            file_glob=table["file_glob"],
            files_per_page=files_per_page,
            kwargs=kwargs,
            client_kwargs=client_kwargs,
            load_once=None if _needs_all(table.get("write_disposition")) else table.get("load_once", load_once),
            min_age_seconds=min_age_seconds,
            partition_is_file=table.get("partition_is_file", partition_is_file),
        )
        # Named after its table: a table may be called as the resource that lists files is.
        read = (listing.with_name(f"files of {name}") | reader).with_name(name)
        read.description = table.get("description") or f"Files {table['file_glob']}."
        hints: dict[str, Any] = {hint: table[hint] for hint in HINTS if hint in table}
        yield read.apply_hints(**hints)


def expect_tables(tables: Mapping[str, Any]) -> None:
    """Check what is told of tables, without their files.

    Raises:
        DeclarationError: A table is told by other keys, or its format cannot be known.
    """
    for name, told in tables.items():
        with _of_table(name):
            _reader(_keys(told))


def format_of(file_glob: str, given: str | None = None) -> str:
    """How files are written, told by name or by the end of their pattern.

    Raises:
        DeclarationError: Neither tells it.

    >>> format_of("2026/*.csv.gz")
    'csv'
    """
    parts = file_glob.lower().rpartition("/")[2].split(".")
    while parts[-1] in _PACKED:
        parts.pop()
    found = given or _ENDINGS.get(parts[-1] if len(parts) > 1 else "")
    if found not in READERS:
        untold = f"the pattern {file_glob!r} does not tell their format"
        problem = f"format {given!r} is not known" if given else untold
        raise DeclarationError(f"{problem}. Give format: one of {', '.join(READERS)}.")
    return found


def wrong_options(file_format: str, options: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with the options that the reader of a format does not have, by option."""
    reader = READERS[file_format]
    assert reader.function is not None
    _, *parameters = inspect.signature(reader.function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return {}
    known = [parameter.name for parameter in parameters]
    wrong = [option for option in options if option not in known]
    return {option: f"{reader.name} has no option {option!r}. {meant(option, known)}" for option in wrong}


def expect_once(load_once: Any, write_disposition: Any) -> None:
    """Check whether a table may take each of its files once.

    Raises:
        DeclarationError: Rows of the files that were loaded before would go.
    """
    if load_once not in (None, *get_args(LoadOnce)):
        raise DeclarationError(f"load_once is 'name', 'version' or None, not {load_once!r}.")
    if load_once and _needs_all(write_disposition):
        raise DeclarationError(
            f"load_once={load_once!r} leaves out what was loaded before, and write_disposition={write_disposition!r} takes "
            "rows that do not come for gone. Leave load_once out, or append or merge."
        )


@contextmanager
def _of_table(name: str) -> Iterator[None]:
    """Name the table in what is raised."""
    try:
        yield
    except DeclarationError as error:
        raise DeclarationError(f"Files {name!r}: {error}") from None


def _keys(told: Any) -> dict[str, Any]:
    """What is told of a table, with its pattern; a text is the pattern."""
    table = {"file_glob": told} if isinstance(told, str) else told
    if not isinstance(table, Mapping):
        raise DeclarationError(names_no_files(told))
    for key in table:
        if key not in _KEYS:
            raise DeclarationError(f"there is no key {key!r}. {meant(key, _KEYS)}")
    if "file_glob" not in table:
        raise DeclarationError("key 'file_glob' is missing, such as 'orders/*.csv'.")
    expect_once(table.get("load_once"), table.get("write_disposition"))
    return {**table, "file_glob": str(table["file_glob"])}


def names_no_files(told: Any) -> str:
    """What is answered to something that is neither a pattern nor keys."""
    return f"{told!r} names no files. Give a pattern, such as 'orders/*.csv', or keys with 'file_glob'."


def _needs_all(write_disposition: Any) -> bool:
    """Whether rows that do not come go: then a run that reads only new files would leave nothing of the others."""
    told = write_disposition if isinstance(write_disposition, Mapping) else {"disposition": write_disposition}
    return told.get("disposition") == "replace" or told.get("strategy") in ("scd2", "cdc")


def _reader(table: Mapping[str, Any]) -> Resource:
    file_format, options = format_of(table["file_glob"], table.get("format")), _options(table)
    if wrong := wrong_options(file_format, options):
        raise DeclarationError(f"options: {' '.join(wrong.values())}")
    return READERS[file_format](**options)


def _options(table: Mapping[str, Any]) -> dict[str, Any]:
    options = dict(table.get("options") or {})
    if table["file_glob"].lower().endswith(".tsv"):
        options.setdefault("sep", "\t")
    return options
