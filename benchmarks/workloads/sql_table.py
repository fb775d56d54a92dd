"""A table of a PostgreSQL server, read into DuckDB; what the server takes does not count.

The limit is ADBC's client, without its module of PEP 249, which imports pandas, and one statement of DuckDB that takes its
batches. It makes the table that we make, in the same types, with the id of the load and an id for each row. Decimals are
cast from texts, which is how the client gives them.

dlt runs as it comes: for Arrow tables its configuration for records takes longer. Its rows get no ids.
"""

from itertools import chain

from benchmarks.workload import Bars, Task, Workload

WORKLOAD = Workload(
    "{records} rows of twelve columns from PostgreSQL",
    records=1_000_000,
    small=2_000,
    tools=("ours", "dlt_connectorx", "dlt_pyarrow", "limit"),
    bars=Bars(others={"dlt_connectorx": 1.4, "dlt_pyarrow": 3}, limit=1.15, peak_mb=1024),
    server="postgres",
)

ROWS = """
SELECT
    i AS id,
    (i * 7919 % 100003)::integer AS customer_id,
    (i % 12 + 1)::smallint AS quantity,
    ((i * 7919 % 1000003) / 100.0)::numeric(12, 2) AS price,
    (i * 7919 % 1000003) / 997.0::double precision AS weight,
    i % 3 = 0 AS is_gift,
    date '2020-01-01' + (i % 2000)::integer AS ordered_on,
    timestamptz '2024-01-01 00:00:00+00' + i * interval '1.013 seconds' AS created_at,
    timestamp '2024-01-01 00:00:00' + i * interval '1.017 seconds' AS shipped_at,
    (ARRAY['new', 'paid', 'packed', 'sent', 'returned'])[(i % 5 + 1)::integer]::varchar(16) AS status,
    CASE WHEN i % 10 < 7 THEN 'Leave parcel ' || i || ' with the neighbour on floor ' || i % 9 END AS note,
    jsonb_build_object('colour', (ARRAY['red', 'green', 'blue'])[(i % 3 + 1)::integer], 'size', i % 50) AS details
FROM generate_series(1::bigint, {records}) AS i
"""


def prepare(task: Task) -> None:
    """The table, made once for all tools."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(task.url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SET client_min_messages = warning")
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {table_of(task)} AS {ROWS.format(records=task.records)}")
        cursor.execute(f"VACUUM ANALYZE {table_of(task)}")


prepare_ours = prepare_with_dlt = prepare_limit = prepare


def table_of(task: Task) -> str:
    return f"orders_{task.records}"


def ours(task: Task) -> int:
    from benchmarks import our_side
    from dlt_orchestrate.sources.sql_database import sql_table

    into = our_side.pipeline(task)
    info = into.run(sql_table(task.url, table_of(task)).with_name("records"))
    return int(info.resources["records"].total_rows)


def with_dlt(task: Task) -> int:
    from benchmarks import dlt_side

    dlt_side.import_dlt(task)
    from dlt.sources.sql_database import sql_table

    into = dlt_side.pipeline(task)
    backend = task.tool.removeprefix("dlt_")
    arguments = {"return_type": "arrow_stream"} if backend == "connectorx" else {}
    url = task.url.replace("postgresql:", "postgresql+psycopg2:")
    table = sql_table(url, table_of(task), backend=backend, backend_kwargs=arguments)
    into.run(table.with_name("records"))
    return dlt_side.count(into)


def limit(task: Task) -> int:
    import adbc_driver_manager
    import adbc_driver_postgresql
    import duckdb
    import pyarrow as pa

    def with_decimals(batch: pa.RecordBatch) -> pa.RecordBatch:
        at = batch.schema.names.index("price")
        return batch.set_column(at, "price", batch["price"].storage.cast(pa.decimal128(12, 2)))

    with (
        adbc_driver_postgresql.connect(task.url) as server,
        adbc_driver_manager.AdbcConnection(server) as source,
        adbc_driver_manager.AdbcStatement(source) as query,
        duckdb.connect(str(task.database)) as connection,
    ):
        query.set_sql_query(f"SELECT * FROM {table_of(task)}")
        batches = map(with_decimals, pa.RecordBatchReader.from_stream(query.execute_query()[0]))
        first = next(batches)
        arriving = pa.RecordBatchReader.from_batches(first.schema, chain([first], batches))  # noqa: F841
        connection.execute("SET threads = 1")
        connection.execute(
            "CREATE TABLE records AS SELECT * REPLACE (customer_id::BIGINT AS customer_id, quantity::BIGINT AS quantity, "
            "details::JSON AS details), '1795973922.33165788453991' AS _dlt_load_id, "
            "'abcdefgh' || lpad((row_number() OVER ())::VARCHAR, 6, '0') AS _dlt_id FROM arriving"
        )
        return int(connection.execute("SELECT count(*) FROM records").fetchall()[0][0])
