"""Files of a folder or a bucket as a source: listed by a pattern, read by format, each loaded once."""

from dlt_orchestrate.sources.filesystem.csv_files import read_csv
from dlt_orchestrate.sources.filesystem.duckdb_csv import read_csv_duckdb
from dlt_orchestrate.sources.filesystem.excel import read_excel
from dlt_orchestrate.sources.filesystem.folder import folder_source
from dlt_orchestrate.sources.filesystem.items import FileItem, FileItemDict
from dlt_orchestrate.sources.filesystem.json_documents import read_json
from dlt_orchestrate.sources.filesystem.json_lines import read_jsonl
from dlt_orchestrate.sources.filesystem.parquet import read_parquet
from dlt_orchestrate.sources.filesystem.resources import filesystem, readers

__all__ = [
    "FileItem",
    "FileItemDict",
    "filesystem",
    "folder_source",
    "read_csv",
    "read_csv_duckdb",
    "read_excel",
    "read_json",
    "read_jsonl",
    "read_parquet",
    "readers",
]
