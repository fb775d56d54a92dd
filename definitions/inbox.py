"""The files of one folder: orders as CSV, and what became of them as JSON Lines; each file is loaded once."""

from pathlib import Path

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import build_file_sensor, ingest_assets
from dlt_orchestrate.sources.filesystem import folder_source

INBOX = Path(__file__).parent / "inbox"
"""The folder; the address of a bucket, such as `s3://inbox`, would do as well."""

inbox = dlt.pipeline("inbox", destination="duckdb", dataset_name="inbox_data")

inbox_source = folder_source.with_args(name="inbox")(
    str(INBOX),
    tables={
        "orders": {"file_glob": "orders/*.csv", "primary_key": "id", "write_disposition": "merge"},
        "order_events": "events/**/*.jsonl",
    },
)

inbox_assets = ingest_assets(inbox_source, inbox, group_name="inbox")

inbox_files = build_file_sensor(INBOX, inbox_assets, name="inbox_files", file_glob="**/*.*")
