"""Tables and views of databases as resources: `sql_database` for many of them, `sql_table` for one."""

from dlt_orchestrate.sources.sql_database.discovery import discover_tables, discovered_tables
from dlt_orchestrate.sources.sql_database.ranges import find_key_ranges, key_ranges
from dlt_orchestrate.sources.sql_database.source import sql_database, sql_table

__all__ = ["discover_tables", "discovered_tables", "find_key_ranges", "key_ranges", "sql_database", "sql_table"]
