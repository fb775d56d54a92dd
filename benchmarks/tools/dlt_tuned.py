"""dlt in its best known configuration: Parquet loader files, large buffers, two workers, nothing compressed on the way."""

import os
import sys
from pathlib import Path

from benchmarks.tools.dlt_default import load

SETTINGS = {
    "NORMALIZE__WORKERS": "2",
    "NORMALIZE__START_METHOD": "fork",
    "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
    "DATA_WRITER__BUFFER_MAX_ITEMS": "100000",
    "DATA_WRITER__FILE_MAX_ITEMS": "50000",
    "DATA_WRITER__DISABLE_COMPRESSION": "true",
    "LOAD__WORKERS": "2",
}

if __name__ == "__main__":
    os.environ |= SETTINGS
    print(load(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), loader_file_format="parquet"))
