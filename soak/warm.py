"""Everything that a load imports, so that a forked process need not; nothing that starts a thread or opens a file."""

import gc
import zoneinfo  # noqa: F401

import adbc_driver_postgresql.dbapi  # noqa: F401
import duckdb  # noqa: F401
import pandas  # noqa: F401 - Arrow imports it
import pyarrow.compute  # noqa: F401

import dlt_orchestrate.destinations.duckdb_file.destination
import dlt_orchestrate.destinations.duckdb_file.transaction
import dlt_orchestrate.destinations.postgresql.destination
import dlt_orchestrate.destinations.postgresql.transaction
import dlt_orchestrate.http.client
import dlt_orchestrate.load.commit
import dlt_orchestrate.load.outcome
import dlt_orchestrate.pipeline.dataset
import dlt_orchestrate.pipeline.pipeline
import dlt_orchestrate.pipeline.run
import dlt_orchestrate.sources  # noqa: F401
import soak.loads  # noqa: F401

gc.freeze()
