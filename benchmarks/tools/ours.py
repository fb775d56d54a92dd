"""dlt_orchestrate, as it comes."""

import os
import sys
from pathlib import Path


def load(workload: str, records: int, folder: Path) -> int:
    from benchmarks.workloads import WORKLOADS

    os.chdir(folder)
    import dlt_orchestrate as dlt

    pages = WORKLOADS[workload].pages
    pipeline = dlt.pipeline("bench", destination="duckdb", dataset_name="data")
    info = pipeline.run(lambda: pages(records), table_name="records")
    return info.resources["records"].total_rows


if __name__ == "__main__":
    print(load(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
