"""What a load of a window may replace of the rows that are there.

A window bounds a cursor: the rows of the window are the root rows whose cursor column lies in it. A resource that has no
cursor of its own but asks which window it is to load is trusted: its rows are known by the load that brought them. So are
those of a partition by key, which no cursor tells apart. A merge leaves rows that come no more, unless the source says that
it gives all of the partition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import WindowConflictError
from dlt_orchestrate.flow.operation import ValueRange
from dlt_orchestrate.flow.package import ResourceLoad
from dlt_orchestrate.load.bounds import bound_of
from dlt_orchestrate.load.columns import TablePlan
from dlt_orchestrate.load.dispositions import WindowRows
from dlt_orchestrate.load.rows import CastRows
from dlt_orchestrate.schema.jsonpath import parse_path
from dlt_orchestrate.schema.table import LOAD_ID, Column, TableHints
from dlt_orchestrate.state.commits import Window
from dlt_orchestrate.state.moments import NotOnScale


@dataclass(frozen=True)
class WindowLoad:
    """The rows of one root table in a load of a window, and what is known of those that are there.

    Attributes:
        rows: None if the load has none.
        others: Other resources that fill the table.
        earlier_load_id: The latest load of this resource and window; None before the first.
        stored_text: Asks for some stored text of a column.
    """

    load: ResourceLoad
    hints: TableHints
    plan: TablePlan
    rows: CastRows | None
    others: tuple[str, ...]
    earlier_load_id: str | None
    stored_text: Callable[[str], str | None]

    @property
    def window(self) -> Window:
        """The window that the load is of."""
        assert self.load.unit.window is not None
        return self.load.unit.window

    def stored_rows(self) -> WindowRows:
        """Which stored rows belong to the window.

        Raises:
            WindowConflictError: They cannot be told.
        """
        if not self.hints.matches_rows and self.others:
            raise self._conflict(
                f"{', '.join(map(repr, self.others))} fills the table, too, and its rows cannot be told from those of the "
                "window. Merge with a primary key, or give the resource a table of its own."
            )
        if self.load.cursor_path is None or not self.window.has_bounds:
            return self._of_earlier_load()
        column = self._cursor_column()
        if column is None:
            return WindowRows(warnings=tuple(self._warnings()))
        values = self._values(column)
        bounds = self._bounds(column, values)
        if bounds is None:
            return WindowRows(warnings=tuple(self._warnings()))
        start, end = bounds
        if not start < end:
            raise self._conflict("it ends before it starts. Swap its bounds.")
        for value in values:
            if not start <= value < end:
                raise self._conflict(
                    f"a row holds {value!r} in column {column.name!r}, which lies outside. Rows and window must compare "
                    f"alike in the source and as {column.type}: write the cursor in one shape in all records."
                )
        return WindowRows(
            # The cursor does not tell the rows of one key from those of another.
            inside=self._earlier_rows() if self.window.keys else ValueRange(column.name, start, end),
            later=ValueRange(column.name, end),
            gone=self._earlier_rows() if self.window.keys and self._replaces else None,
            warnings=tuple(self._warnings()),
        )

    def _of_earlier_load(self) -> WindowRows:
        """Without a cursor that tells them: what the latest load of this window has left."""
        warnings = list(self._warnings())
        earlier = self._earlier_rows()
        if self.hints.matches_rows and self.window.has_bounds:
            warnings.append(
                f"Table {self._table!r}: resource {self.load.unit.resource!r} has no cursor of its own, so a row of a "
                f"later window may have been replaced by one of {self.load.unit.window}."
            )
        return WindowRows(earlier, gone=earlier if self._replaces else None, warnings=tuple(warnings))

    @property
    def _replaces(self) -> bool:
        """Whether rows of a merge go that the partition had and has no more."""
        return self._says_all and not self.others

    @property
    def _says_all(self) -> bool:
        """Whether the source gives all of the partition to a merge that puts rows in the place of others."""
        is_replacing = self.hints.matches_rows and self.hints.strategy in ("delete-insert", "upsert", "cdc")
        return self.load.replaces_partition and is_replacing

    def _earlier_rows(self) -> ValueRange | None:
        loaded = self.earlier_load_id
        return ValueRange(LOAD_ID, loaded, loaded, includes_end=True) if loaded is not None else None

    def _cursor_column(self) -> Column | None:
        """The column that the cursor fills; None if neither the table nor the load has one.

        Raises:
            WindowConflictError: The load has rows, and not every one of them has a value there.
        """
        steps = parse_path(self.load.cursor_path or "$")
        path = tuple(step for step in steps if isinstance(step, str))
        column = self.plan.column_at(path) if path and len(path) == len(steps) else None
        if self.rows is None:
            return column
        if column is None or column.type is None:
            raise self._conflict(
                "no column of the table holds its values as they are. Let the cursor read a field of the record itself, "
                "and not one of a list or of a value that is stored as JSON."
            )
        observed = self.rows.spool.observed
        filled = sum(
            observed[self.rows.spool.fields[route.position]].count
            for route in self.rows.routes
            if route.column == column.name and route.rest_column is None
        )
        if filled < self.rows.row_count:
            raise self._conflict(
                f"up to {self.rows.row_count - filled} of {self.rows.row_count} rows have no {column.type} in column "
                f"{column.name!r}, so that no window holds them. Pass on_cursor_value_missing='exclude' to drop such "
                "records, or mend them with add_map(...)."
            )
        return column

    def _values(self, column: Column) -> tuple[Any, ...]:
        """Least and greatest cursor value of the load; () if it has no rows."""
        return self.rows.extremes(column.name) if self.rows is not None else ()

    def _bounds(self, column: Column, values: tuple[Any, ...]) -> tuple[Any, Any] | None:
        """Start and end as values of the column; None if it holds no values, so that nothing can be compared."""
        window, column_type = self.window, column.type
        assert column_type is not None
        example = None
        if column_type.kind == "text":
            example = values[0] if values else self.stored_text(column.name)
            if example is None:
                return None
        try:
            return bound_of(window.start, column_type, example), bound_of(window.end, column_type, example)
        except NotOnScale as error:
            raise self._conflict(
                f"{str(error)!r} is no value that its column {column.name!r}, which is {column_type}, tells from others. "
                "Give the window bounds that are."
            ) from None

    def _warnings(self) -> Iterable[str]:
        if self._says_all and self.others:
            yield (
                f"Table {self._table!r}: {', '.join(map(repr, self.others))} fills the table, too, so rows that "
                f"{self.load.unit.window} had and has no more stay. Give the resource a table of its own, and they go."
            )
        if not self.load.is_complete and (self._replaces or not self.hints.matches_rows):
            yield (
                f"Table {self._table!r}: a limit cut the extraction short; the window {self.load.unit.window} now holds "
                "only the rows of this load."
            )

    @property
    def _table(self) -> str:
        return self.plan.table.name

    def _conflict(self, problem: str) -> WindowConflictError:
        return WindowConflictError(
            resource=self.load.unit.resource,
            table=self._table,
            cursor_path=self.load.cursor_path,
            window=str(self.load.unit.window),
            problem=problem,
        )
