"""Tables and views of databases as resources: `sql_database` for many of them, `sql_table` for one."""

from dlt_orchestrate.sources.sql_database.source import sql_database, sql_table

__all__ = ["sql_database", "sql_table"]
