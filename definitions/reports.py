"""Downstream: a table made of a loaded table, in SQL. It is made anew when a load has brought something."""

from typing import Any

from dagster import AssetExecutionContext, AssetIn, AssetKey, TableColumnDep, TableColumnLineage, asset

from dlt_orchestrate.dagster import Dataset, when_data_changes

ISSUES = AssetKey("dlt_github_issues")

CONTRIBUTORS = """
SELECT
    user__login AS login,
    count(*) AS issues,
    count(*) FILTER (WHERE state = 'open') AS open_issues,
    CAST(sum(comments) AS BIGINT) AS comments,
    max(updated_at) AS last_updated_at
FROM issues
GROUP BY user__login
ORDER BY user__login
"""

LINEAGE = TableColumnLineage(
    {
        "login": [TableColumnDep(ISSUES, "user__login")],
        "issues": [TableColumnDep(ISSUES, "id")],
        "open_issues": [TableColumnDep(ISSUES, "state")],
        "comments": [TableColumnDep(ISSUES, "comments")],
        "last_updated_at": [TableColumnDep(ISSUES, "updated_at")],
    }
)


@asset(
    ins={"github": AssetIn(ISSUES, input_manager_key="github_tables")},
    io_manager_key="github_tables",
    group_name="github",
    kinds={"sql", "duckdb"},
    automation_condition=when_data_changes(),
)
def contributors(context: AssetExecutionContext, github: Dataset) -> Any:
    """Who has opened issues: how many, how many are still open, and how much they are talked about."""
    context.add_output_metadata({"dagster/column_lineage": LINEAGE})
    return github.query(CONTRIBUTORS).arrow()
