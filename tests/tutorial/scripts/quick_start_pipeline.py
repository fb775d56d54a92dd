"""Load a list of dictionaries into DuckDB."""

import dlt_orchestrate as dlt

data = [{"id": 1, "name": "Alice"}, {"id": 2, "name": "Bob"}]

pipeline = dlt.pipeline(pipeline_name="quick_start", destination="duckdb", dataset_name="mydata")
load_info = pipeline.run(data, table_name="users")

print(load_info)
