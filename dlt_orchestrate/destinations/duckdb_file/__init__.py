"""DuckDB: loads into one file, one transaction for each load package."""
