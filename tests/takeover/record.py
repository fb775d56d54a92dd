"""Records what dlt makes of every shape: `python record.py FOLDER`, with dlt 1.31 and DuckDB installed beside it.

For each shape one file `<shape>.sql` with the dataset after the first load, and `<shape>.json` with the rows that are
expected after the second.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import duckdb
from look import rows_of
from shapes import DATASET, PIPELINE, SHAPES, Shape


def main(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, shape in SHAPES.items():
        with tempfile.TemporaryDirectory() as scratch:
            os.environ["DLT_DATA_DIR"] = scratch
            os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
            os.environ.update(shape.environment)
            file = Path(scratch) / "made.duckdb"
            dataset = load(shape, file, 1, DATASET)
            (folder / f"{name}.sql").write_text(dump(file), encoding="utf-8")
            load(shape, file, 2, dataset)
            with duckdb.connect(str(file)) as connection:
                expected = {"dataset": dataset, "rows": rows_of(connection, dataset)}
            (folder / f"{name}.json").write_text(
                json.dumps(expected, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
            )
            for variable in shape.environment:
                del os.environ[variable]


def load(shape: Shape, file: Path, run: int, dataset: str) -> str:
    """Load a run of a shape; returns the dataset."""
    import dlt  # only where it is recorded: the tests do without

    pipeline = dlt.pipeline(
        PIPELINE,
        destination=dlt.destinations.duckdb(str(file)),
        dataset_name=dataset,
        **(shape.pipeline if run == 1 else {}),
    )
    pipeline.run(shape.source(dlt, run), **shape.arguments)
    return pipeline.dataset_name


def dump(file: Path) -> str:
    """Statements that make all tables of a file again."""
    lines = []
    with duckdb.connect(str(file)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for (schema,) in connection.execute(
            "SELECT DISTINCT schema_name FROM duckdb_tables() WHERE schema_name <> 'main' ORDER BY ALL"
        ).fetchall():
            lines.append(f'CREATE SCHEMA "{schema}"')
        for schema, table, sql in connection.execute(
            "SELECT schema_name, table_name, sql FROM duckdb_tables() ORDER BY ALL"
        ).fetchall():
            lines.append(sql.rstrip(";"))
            relation = connection.execute(f'SELECT COLUMNS(*)::VARCHAR FROM "{schema}"."{table}"')
            for row in relation.fetchall():
                row = [_without_prose(value) if table == "_dlt_version" else value for value in row]
                values = ", ".join("NULL" if value is None else "'" + value.replace("'", "''") + "'" for value in row)
                lines.append(f'INSERT INTO "{schema}"."{table}" VALUES ({values})')
    return ";\n".join(lines) + ";\n"


def _without_prose(value: str) -> str:
    """A stored schema without what it says to people about the system's tables."""
    if not value.startswith("{"):
        return value
    schema = json.loads(value)
    for name, table in schema["tables"].items():
        if name.startswith("_dlt_"):
            table.pop("description", None)
            for column in table["columns"].values():
                column.pop("description", None)
    return json.dumps(schema, separators=(",", ":"), ensure_ascii=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
