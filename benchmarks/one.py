"""The process that is measured; prints the number of rows.

`python -m benchmarks.one WORKLOAD FUNCTION TOOL RECORDS FOLDER [URL]`
"""

import importlib
import sys
from pathlib import Path

from benchmarks.workload import Task

if __name__ == "__main__":
    workload, function, tool, records, folder, *url = sys.argv[1:]
    module = importlib.import_module(f"benchmarks.workloads.{workload}")
    print(getattr(module, function)(Task(tool, int(records), Path(folder), *url)))
