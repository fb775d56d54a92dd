"""The contestants: each loads a workload into `<folder>/bench.duckdb` and prints how many rows its root table has."""
