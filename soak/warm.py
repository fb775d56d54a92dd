"""Everything that a load imports, so that a forked process need not; nothing that starts a thread or opens a file."""

import gc
import sys
import zoneinfo  # noqa: F401

import duckdb  # noqa: F401
import pyarrow.compute  # noqa: F401

import dlt_orchestrate.destinations.duckdb_file.destination
import dlt_orchestrate.destinations.duckdb_file.transaction
import dlt_orchestrate.load.commit
import dlt_orchestrate.pipeline.dataset
import dlt_orchestrate.pipeline.pipeline
import dlt_orchestrate.pipeline.run
import dlt_orchestrate.sources  # noqa: F401
import soak.loads  # noqa: F401

# Arrow imports pandas where it is installed, which takes longer than all else that a small load does.
sys.modules.setdefault("pandas", None)  # type: ignore[arg-type]
gc.freeze()
