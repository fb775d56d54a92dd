"""Which table each record goes to, and what is declared of it: by the resource, by functions of the record, by marks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dlt_orchestrate.declare.hints import Declared
from dlt_orchestrate.declare.mark import EMPTY_TABLE, Mark, Marked
from dlt_orchestrate.declare.models import is_model
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.declare.steps import is_frame
from dlt_orchestrate.errors import DeclarationError, IngestError, ResourceCodeError
from dlt_orchestrate.flow.cut import Cut
from dlt_orchestrate.flow.page import Page
from dlt_orchestrate.schema.table import TableHints


class Tables:
    """The tables of one run of a resource."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._declared = resource.declared
        self._of_table: dict[str, Declared] = {}
        self._answers: dict[str, dict[str, Any]] = {}
        self._given: dict[str | None, Any] = {}
        self._hints: dict[str, TableHints] = {}

    def pages_of(self, item: Any) -> Iterator[Page]:
        """The pages that a list of records or a frame makes: one for each table that its rows go to."""
        if type(item) is Cut:
            yield Page("", cut=item)
            return
        mark = item.mark if type(item) is Marked else None
        inner = item.item if mark is not None else item
        if mark is not None and mark.hints is not None:
            self._take(mark)
        named = mark.table_name if mark is not None else None
        if inner is EMPTY_TABLE:
            yield self._page(named or self._own_table(), is_wanted=True)
        elif is_frame(inner):
            yield self._page(named or self._table_of(inner), (inner,), frame=inner)
        elif inner:
            for table, rows in self._parted(named, inner).items():
                yield self._page(table, rows, rows)

    def _page(self, table: str, asked: Any = (), rows: Any = (), *, frame: Any = None, is_wanted: bool = False) -> Page:
        """A page of a table; functions of records are asked for their hints."""
        if self._declared.dynamic:
            for record in asked:
                self._ask(table, record)
        return Page(table, rows, frame, self._hints_of(table), is_wanted=is_wanted)

    def _parted(self, named: str | None, rows: Any) -> dict[str, Any]:
        table_name = named or self._table_name
        if isinstance(table_name, str):
            return {table_name: rows}
        parts: dict[str, list[Any]] = {}
        for row in rows:
            parts.setdefault(self._table_of(row), []).append(row)
        return parts

    @property
    def _table_name(self) -> str | Callable[[Any], str]:
        return self._declared.table_name or self._resource.name

    def _own_table(self) -> str:
        if isinstance(self._table_name, str):
            return self._table_name
        raise DeclarationError(
            f"Resource {self._resource.name!r}: materialize_table_schema() does not tell which table is meant, since "
            "table_name is a function of a record. Name it: mark.with_table_name(mark.materialize_table_schema(), '...')."
        )

    def _table_of(self, item: Any) -> str:
        if isinstance(self._table_name, str):
            return self._table_name
        name: Any = self._call("table_name", self._table_name, item)
        if not isinstance(name, str) or not name.strip():
            raise DeclarationError(
                f"The function given as table_name returned {name!r} for a record; expected the name of a table. "
                "Return a text for every record, or filter out the records that belong to no table."
            )
        return name

    def _take(self, mark: Mark) -> None:
        """Take the hints of a mark in: they hold for this item and those after it."""
        variant = mark.table_name if mark.makes_variant else None
        if self._given.get(variant) == mark.hints:
            return
        self._given[variant] = mark.hints
        given = dict(mark.hints or {})
        if mark.gives_way:
            given = self._resource.declared.beside(given)
        if variant is not None:
            given.pop("table_name")
            self._change(variant, given)
        else:
            self._expect_judged_alike(given)
            self._declared = self._declared.changed(self._resource.name, **given)
            self._hints.clear()

    def _ask(self, table: str, record: Any) -> None:
        """Ask the functions of the hints for the table of a record; what they answered before need not be taken in."""
        answers = {hint: self._call(hint, ask, record) for hint, ask in self._declared.dynamic.items()}
        if answers != self._answers.get(table):
            self._answers[table] = answers
            self._change(table, answers)

    def _change(self, table: str, given: dict[str, Any]) -> None:
        self._expect_judged_alike(given)
        before = self._of_table.get(table, self._declared)
        self._of_table[table] = before.changed(f"{self._resource.name} (table {table})", **given)
        self._hints.pop(table, None)

    def _expect_judged_alike(self, given: dict[str, Any]) -> None:
        """Refuse hints that would come too late for records: a model has judged them when their tables are told."""
        if is_model(given.get("columns")):
            raise DeclarationError(
                f"Resource {self._resource.name!r}: hints of a record bring the model {given['columns'].__qualname__!r} as "
                "columns. A model holds for all records of a resource: pass it there, columns=..., or give column hints."
            )
        if self._resource.declared.model is not None and "schema_contract" in given:
            raise DeclarationError(
                f"Resource {self._resource.name!r}: hints of a record bring a schema contract, and its columns are the "
                f"model {self._resource.declared.model.__qualname__!r}, which judges all records by one contract. Declare "
                "it on the resource, schema_contract=..."
            )

    def _call(self, hint: str, ask: Callable[[Any], Any], record: Any) -> Any:
        try:
            return ask(record)
        except IngestError:
            raise
        except Exception as error:
            raise ResourceCodeError(
                resource=self._resource.name, place=f"the function given as {hint}", cause=error
            ) from error

    def _hints_of(self, table: str) -> TableHints:
        if table not in self._hints:
            declared = self._of_table.get(table, self._declared)
            if declared is not self._resource.declared:
                name = f"{self._resource.name} (table {table})"
                declared.expect_workable(name, is_incremental=self._resource.incremental is not None)
            self._hints[table] = self._resource.hints_of(declared, is_own=table == self._resource.table_name)
        return self._hints[table]
