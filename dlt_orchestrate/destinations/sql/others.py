"""What to say where others have made something of a table, or under its name, that loads cannot write to."""

from __future__ import annotations


def no_table(database: str, told: str, dataset: str) -> str:
    """What has the name of a table is none: a view, for instance."""
    return (
        f"{database} says: {told.rstrip('.!')}. What has this name in dataset {dataset!r} is no table that loads could "
        "write to, but a view, a materialized view, a foreign table or a sequence, which somebody made. Rename or drop "
        "that, or give the resource another table_name, or the pipeline another dataset_name."
    )


def made_otherwise(database: str, told: str) -> str:
    """A table was made or constrained by others, so that it does not take the rows."""
    return (
        f"{database} says: {told.rstrip('.!')}. Somebody has made or changed this table, so that it does not take rows "
        "that it would take if loads had made it. Lift that (a constraint, a length, a generated column), or keep to it in "
        "the source, or give the resource another table_name and build this table from that one."
    )
