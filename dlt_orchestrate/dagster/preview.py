"""A look at some rows of a load; off unless it is asked for, since rows may hold what is nobody else's business."""

from collections.abc import Collection

from dagster import MetadataValue

from dlt_orchestrate.config.redaction import redact
from dlt_orchestrate.dagster.events import MetadataEntry
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.pipeline.info import ResourceReport
from dlt_orchestrate.pipeline.pipeline import Pipeline
from dlt_orchestrate.schema.system import PREFIX
from dlt_orchestrate.schema.table import LOAD_ID

MASK = "***"
_MOST_ROWS = 10
_MOST_LOADS = 10
"""Of an extraction that was committed in parts, the newest ones are looked into."""
_MOST_CHARACTERS = 80


@dataclass(frozen=True)
class Preview:
    """What of a load is shown.

    Attributes:
        rows: How many rows, ten at most; 0 for none.
        masked: Columns whose values are not shown.
    """

    rows: int = 0
    masked: Collection[str] = ()

    def of(self, report: ResourceReport, pipeline: Pipeline) -> dict[str, MetadataEntry]:
        """The metadata that shows rows of a load; empty if there are none, or none shall be shown."""
        names = [c.name for c in report.columns if c.type is not None and not c.name.startswith(PREFIX)]
        if self.rows < 1 or not report.rows_loaded or not names or report.load_id is None:
            return {}
        with pipeline.destination.reader(pipeline.dataset_name) as reader:
            chosen = ", ".join(map(reader.quoted, names))
            # Of an extraction that was committed in parts, the last one may have brought no row.
            for load_id in reversed(report.load_ids[-_MOST_LOADS:] or (report.load_id,)):
                found = reader.query(
                    f"SELECT {chosen} FROM {reader.qualified(report.table)} "  # noqa: S608 - our own names, quoted
                    f"WHERE {reader.quoted(LOAD_ID)} = $1 LIMIT $2",
                    [load_id, min(self.rows, _MOST_ROWS)],
                ).to_pylist()
                if found:
                    break
        lines = [[MASK if name in self.masked else _cell(row[name]) for name in names] for row in found]
        table = [names, ["---"] * len(names), *lines]
        return {"preview": MetadataValue.md("\n".join(f"| {' | '.join(line)} |" for line in table))}


def _cell(value: object) -> str:
    text = "" if value is None else redact(str(value))
    short = text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
    return short.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
