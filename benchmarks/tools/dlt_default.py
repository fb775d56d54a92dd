"""dlt, as it comes (telemetry off)."""

import os
import sys
from pathlib import Path


def load(workload: str, records: int, folder: Path, **run_arguments: str) -> int:
    from benchmarks.workloads import WORKLOADS

    os.chdir(folder)
    os.environ |= {"DLT_DATA_DIR": str(folder / "dlt"), "RUNTIME__DLTHUB_TELEMETRY": "false"}
    import dlt

    pages = WORKLOADS[workload].pages
    pipeline = dlt.pipeline("bench", destination="duckdb", dataset_name="data")
    pipeline.run(dlt.resource(lambda: pages(records), name="records"), **run_arguments)
    with pipeline.sql_client() as client:
        return int(client.execute_sql("SELECT count(*) FROM records")[0][0])


if __name__ == "__main__":
    print(load(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
