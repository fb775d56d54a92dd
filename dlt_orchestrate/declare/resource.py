"""Resources: recipes for records of one kind, with what is declared of their table."""

from __future__ import annotations

import copy
import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import replace
from typing import Any, TypeVar, overload

from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.declare import current
from dlt_orchestrate.declare.asset_hints import AssetHints
from dlt_orchestrate.declare.checkpoints import Checkpoints, to_checkpoints
from dlt_orchestrate.declare.hints import ColumnsDeclaration, Declared, Keys, NestedHintsDeclaration, TableName
from dlt_orchestrate.declare.incremental import Incremental
from dlt_orchestrate.declare.mark import Aside, Marked
from dlt_orchestrate.declare.recipe import DataRecipe, FunctionRecipe
from dlt_orchestrate.declare.records import is_page
from dlt_orchestrate.declare.steps import Limit, LimitedStream, Reader, Step, is_frame, through
from dlt_orchestrate.declare.validation import validation_of
from dlt_orchestrate.declare.workers import Workers
from dlt_orchestrate.errors import DeclarationError, ResourceNameMissingError
from dlt_orchestrate.protocols.clock import SystemClock
from dlt_orchestrate.schema.contracts import contract_over
from dlt_orchestrate.schema.table import TableHints, WriteDisposition

Change = Callable[["Resource"], None]
R = TypeVar("R", bound="Resource")

_NOTHING: Any = object()
_ANONYMOUS = frozenset({"<lambda>", "<genexpr>"})


class Resource:
    """Records of one kind: a function with bound arguments, or data at hand, then the steps of its pipe.

    Opening a resource runs its function afresh; only one made from a running generator can be read just once.

    Attributes:
        name: Its name, which state and configuration know it by.
        section: Where its configuration stands: the module of its function, unless a source gives its own.
        upstream: The resource whose yields a transformer takes.
        steps: The steps of its pipe up to the cursor, in order.
        late_steps: The steps that were put behind the cursor, in order.
        limit: Where it stops early, if anywhere.
        asset_hints: What is declared of the asset that it becomes in Dagster.
        checkpoints: How often a long extraction is committed; None for what the configuration says.
    """

    def __init__(
        self,
        recipe: DataRecipe | FunctionRecipe,
        *,
        name: str,
        section: str,
        declared: Declared,
        selected: bool = True,
        parallelized: bool = False,
        incremental: Incremental[Any] | None = None,
        description: str | None = None,
        upstream: Resource | None = None,
        asset_hints: AssetHints | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self.name = name
        self.section = section
        self.upstream = upstream
        self.steps: tuple[Step, ...] = ()
        self.late_steps: tuple[Step, ...] = ()
        self.limit: Limit | None = None
        self.description = description
        self.asset_hints = asset_hints or AssetHints()
        self.checkpoints = checkpoints
        self._recipe = recipe
        self._declared = declared
        self._selected = selected
        self._parallelized = parallelized
        self._incremental = incremental
        self._edits: list[Change] = []

    # --- what is declared --------------------------------------------------------------------------------------

    @property
    def table_name(self) -> TableName:
        """The root table, or a function that tells it from a record; the resource's name by default."""
        return self._declared.table_name or self.name

    @table_name.setter
    def table_name(self, table_name: TableName) -> None:
        self.apply_hints(table_name=table_name)

    @property
    def write_disposition(self) -> WriteDisposition:
        """How new rows meet those that are there."""
        return self._declared.write_disposition

    @write_disposition.setter
    def write_disposition(self, disposition: Any) -> None:
        self.apply_hints(write_disposition=disposition)

    @property
    def max_table_nesting(self) -> int | None:
        """Levels of nested tables; None for no limit."""
        return self._declared.max_table_nesting

    @max_table_nesting.setter
    def max_table_nesting(self, levels: int) -> None:
        self.apply_hints(max_table_nesting=levels)

    @property
    def selected(self) -> bool:
        """Whether a run of its source loads it."""
        return self._selected

    @selected.setter
    def selected(self, selected: bool) -> None:
        self._edit(lambda resource: setattr(resource, "_selected", selected))

    @property
    def is_async(self) -> bool:
        """Whether all that it runs is read in an event loop, so that it can wait beside its siblings."""
        return self._recipe.is_async and (self.upstream is None or self.upstream.is_async)

    @property
    def parallelized(self) -> bool:
        """Whether it may run beside its siblings."""
        return self._parallelized

    @property
    def declared(self) -> Declared:
        """Everything that is declared of the table."""
        return self._declared

    @property
    def primary_key(self) -> tuple[str, ...]:
        return self._declared.key("primary_key")

    @property
    def merge_key(self) -> tuple[str, ...]:
        return self._declared.key("merge_key")

    @property
    def columns(self) -> dict[str, dict[str, Any]]:
        """The column hints by name, as declared."""
        return {name: dict(hint) for name, hint in self._declared.columns.items()}

    @property
    def nested_hints(self) -> dict[tuple[str, ...], dict[str, Any]]:
        """The hints of nested tables by the keys that lead to them, as declared."""
        return {path: dict(hints) for path, hints in self._declared.nested_hints.items()}

    @property
    def schema_contract(self) -> Any:
        return self._declared.contract

    @property
    def incremental(self) -> Incremental[Any] | None:
        """The cursor: the one given as a hint, else the one that an argument or a default declares."""
        of_function = self._recipe.incremental if isinstance(self._recipe, FunctionRecipe) else None
        return self._incremental.over(of_function) if self._incremental else of_function

    @property
    def is_transformer(self) -> bool:
        """Whether it takes the yields of another resource."""
        return isinstance(self._recipe, FunctionRecipe) and self._recipe.takes_item

    @property
    def takes_whole_stream(self) -> bool:
        """Whether it is a transformer that may read ahead of what it yields."""
        return isinstance(self._recipe, FunctionRecipe) and self._recipe.takes_whole_stream

    @property
    def asks_for_key(self) -> bool:
        """Whether its arguments have its function ask for the key of a partition."""
        return isinstance(self._recipe, FunctionRecipe) and self._recipe.asks_for_key

    @property
    def function(self) -> Callable[..., Any] | None:
        """The function that yields the records; None for data at hand."""
        return self._recipe.function if isinstance(self._recipe, FunctionRecipe) else None

    @property
    def rows(self) -> list[Any] | tuple[Any, ...] | None:
        """The records, if they are all at hand and no step stands between them and their table."""
        if self.steps or self.late_steps or self.limit or not isinstance(self._recipe, DataRecipe):
            return None
        return self._recipe.rows

    @property
    def sections(self) -> tuple[str, ...]:
        """Where its configuration stands, from the outermost section to the innermost."""
        return ("sources", self.section, self.name)

    @property
    def state(self) -> MutableMapping[str, Any]:
        """Its state, while it runs."""
        return current.resource_state(self.name)

    def table_hints(self) -> TableHints:
        """What is declared of the root table, in the form that the later steps read."""
        return self.hints_of(self._declared)

    def hints_of(self, declared: Declared, *, is_own: bool = True) -> TableHints:
        """What is declared of one of its tables: of its own, or of one that a mark or a function of records names."""
        hints = declared.table_hints(self.description)
        differs = declared.schema_contract != self._declared.schema_contract
        return replace(
            hints,
            is_chosen_by_rows=hints.is_chosen_by_rows or not is_own,
            contract=declared.schema_contract if differs else None,
        )

    def compute_table_schema(self, item: Any = None) -> dict[str, Any]:
        """What is declared of the root table, as a dictionary; nothing is read for it.

        Args:
            item: A record, if a function of the record tells the table.
        """
        from dlt_orchestrate.declare.discovery import declared_table

        return declared_table(self, item).to_dict()

    # --- variants and edits ------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Resource:
        """A clone with arguments; those that are missing come from the configuration.

        Raises:
            InvalidArgumentsError: The function has no such parameters.
        """
        return self.clone().bind(*args, **kwargs)

    def __or__(self, downstream: Resource | Callable[[Any], Any]) -> Resource:
        """A clone of a transformer that takes the yields of this resource; a plain function becomes a map step."""
        if isinstance(downstream, Resource):
            return downstream._fed_by(self)
        return self.clone().add_map(downstream)

    def __ror__(self, data: Any) -> Resource:
        """A clone of this transformer that takes the items of some data."""
        return self._fed_by(resource(data, name=f"{self.name}_input"))

    def clone(self) -> Resource:
        """A copy that can be edited for itself."""
        copied = copy.copy(self)
        copied._edits = []
        return copied

    def with_name(self, name: str) -> Resource:
        """A clone under another name: with a state, a cursor and by default a table of its own."""
        renamed = self.clone()
        renamed.name = name
        return renamed

    def bind(self, *args: Any, **kwargs: Any) -> Resource:
        """Set the arguments of the function."""
        if not isinstance(self._recipe, FunctionRecipe):
            raise DeclarationError(f"Resource {self.name!r} is made from data, not from a function: it takes no arguments.")
        recipe = self._recipe.bound(f"Resource {self.name!r}", args, kwargs)
        return self._edit(lambda resource: setattr(resource, "_recipe", recipe))

    def apply_hints(
        self,
        table_name: TableName | None = None,
        write_disposition: Any = None,
        columns: ColumnsDeclaration = None,
        primary_key: Keys = None,
        merge_key: Keys = None,
        incremental: Incremental[Any] | None = None,
        schema_contract: Any = None,
        max_table_nesting: int | None = None,
        table_format: str | None = None,
        file_format: str | None = None,
        references: Any = None,
        nested_hints: NestedHintsDeclaration = None,
    ) -> Resource:
        """Change what is declared; None leaves a hint as it is, columns are merged by name."""
        given = {key: value for key, value in locals().items() if key not in ("self", "incremental")}
        self._declared.changed(self.name, **given)

        def change(resource: Resource) -> None:
            resource._declared = resource._declared.changed(resource.name, **given)
            resource._incremental = incremental or resource._incremental

        return self._edit(change)

    def add_map(self, function: Callable[[Any], Any], insert_at: int | None = None) -> Resource:
        """Replace each record by what a function makes of it; an asynchronous one is awaited.

        Args:
            insert_at: Its position: 1 for the first step. The cursor stands behind all steps; a position past its own
                puts the step behind it.
        """
        return self._add(Step("map", function), insert_at)

    def add_filter(self, function: Callable[[Any], Any], insert_at: int | None = None) -> Resource:
        """Keep only records that a function says yes to."""
        return self._add(Step("filter", function), insert_at)

    def add_yield_map(self, function: Callable[[Any], Iterator[Any]], insert_at: int | None = None) -> Resource:
        """Replace each record by all that a generator function yields for it."""
        return self._add(Step("yield_map", function), insert_at)

    def add_step(self, function: Callable[[Any], Any], insert_at: int | None = None) -> Resource:
        """Replace each yield as a whole, such as a page, by what a function returns or yields."""
        return self._add(Step("step", function), insert_at)

    def add_limit(self, max_items: int | None = None, max_time: float | None = None, count_rows: bool = False) -> Resource:
        """Stop early: after some yields (rows if `count_rows`, whole pages in any case) or some seconds.

        The cursor of a run that was cut short moves only if the records come from old to new (`row_order`).
        """
        no_items = max_items is None or max_items < 0
        limit = None if no_items and max_time is None else Limit(None if no_items else max_items, max_time, count_rows)
        return self._edit(lambda resource: setattr(resource, "limit", limit))

    def parallelize(self) -> Resource:
        """Let it run beside its siblings."""
        return self._edit(lambda resource: setattr(resource, "_parallelized", True))

    def record_edits_in(self, log: list[Change]) -> None:
        """Keep every later edit in `log`, so that it can be made again on a fresh resource of the same name."""
        self._edits = log

    def edit_unrecorded(self, change: Change) -> None:
        """Make an edit that somebody else keeps."""
        log, self._edits = self._edits, []
        change(self)
        self._edits = log

    def within(self, *, section: str, max_table_nesting: int | None, schema_contract: Any, parallelized: bool) -> Resource:
        """A clone that lives in a source, whose settings stand where it has none of its own."""
        inside = self.clone()
        inside.section = section
        inside._parallelized = self._parallelized or parallelized
        inside._declared = self._declared.changed(
            self.name,
            max_table_nesting=max_table_nesting if self.max_table_nesting is None else None,
            schema_contract=contract_over(schema_contract, self._declared.schema_contract),
        )
        return inside

    # --- reading -----------------------------------------------------------------------------------------------

    def open(
        self,
        resolver: Resolver,
        *,
        workers: Workers,
        sections: tuple[str, ...] | None = None,
        live: Incremental[Any] | None = None,
        upstream: Iterator[Any] | None = None,
        refusals: Counter[str] | None = None,
        keep: Callable[[Any], None] | None = None,
    ) -> Iterator[Any]:
        """Run the recipe: its yields, before the steps of the pipe.

        Args:
            workers: What runs beside, such as deferred calls.
            live: The cursor as the function sees it.
            upstream: What a transformer takes.
            refusals, keep: As of `Reader`.

        Raises:
            SourceExhaustedError: It was made from a running generator, which was read before.
        """
        reader = Reader(self.name, workers, refusals=refusals, keep=keep)
        if isinstance(self._recipe, DataRecipe):
            return self._recipe.open(reader)
        if self.is_transformer and upstream is None:
            raise DeclarationError(
                f"Transformer {self.name!r} has nothing to transform: pass data_from=..., or write parent | {self.name}."
            )
        return self._recipe.open(reader, resolver, sections or self.sections, live, upstream)

    def before_cursor(self, yields: Iterator[Any], workers: Workers) -> Iterator[Any]:
        """The yields behind the steps up to the cursor."""
        return through(self.steps, yields, Reader(self.name, workers))

    def after_cursor(self, yields: Iterator[Any], workers: Workers) -> Iterator[Any]:
        """What the cursor has passed, behind the steps that follow it."""
        return through(self.late_steps, yields, Reader(self.name, workers), first=len(self.steps) + 2)

    def __iter__(self) -> Iterator[Any]:
        """Its records, for trying it out: with configuration and steps, without state, cursor or destination."""
        surroundings = current.Surroundings(source=self.section, resource=self.name)
        for item in current.within(surroundings, self._try_out()):
            inner = item.item if isinstance(item, Marked) else item
            if is_page(inner) and not is_frame(inner):
                yield from inner
            elif not isinstance(inner, Aside):
                yield inner

    def __repr__(self) -> str:
        return f"Resource({self.name!r}, table {self.table_name!r}, {self.write_disposition})"

    def _try_out(self) -> Iterator[Any]:
        resolver = Resolver.from_environment()
        with Workers.configured(resolver) as workers:
            yield from self._stream(resolver, workers)

    def _stream(self, resolver: Resolver, workers: Workers) -> Iterator[Any]:
        upstream = self.upstream._stream(resolver, workers) if self.upstream else None
        opened = self.open(resolver, workers=workers, live=self.incremental, upstream=upstream)
        yields = self.before_cursor(opened, workers)
        yields = self.after_cursor(yields, workers)
        if validation := validation_of(self.name, self._declared):
            yields = validation.over(yields)
        return iter(LimitedStream(yields, self.limit, SystemClock())) if self.limit else yields

    def _fed_by(self, parent: Resource) -> Resource:
        if not self.is_transformer:
            raise DeclarationError(f"Resource {self.name!r} takes no items: declare it with @transformer to pipe into it.")
        fed = self.clone()
        fed.upstream = parent
        return fed

    def _add(self, step: Step, insert_at: int | None) -> Resource:
        if not callable(step.function):
            raise DeclarationError(
                f"Resource {self.name!r}: a step must be a function, not {type(step.function).__name__}."
            )

        if insert_at is not None and insert_at < 1:
            raise DeclarationError(
                f"Resource {self.name!r}: a step cannot be inserted at position {insert_at}. Position 0 is the resource "
                "itself, its steps begin at 1, and a position past the cursor is one behind it."
            )

        def change(resource: Resource) -> None:
            before, after = resource.steps, resource.late_steps
            at = len(before) if insert_at is None else insert_at - 1
            if at <= len(before) or (resource.incremental is None and not after):
                resource.steps = (*before[:at], step, *before[at:])
            else:
                behind = at - len(before) - 1
                resource.late_steps = (*after[:behind], step, *after[behind:])

        return self._edit(change)

    def _edit(self, change: Change) -> Resource:
        change(self)
        self._edits.append(change)
        return self


@overload
def resource(
    *,
    name: str | None = None,
    table_name: TableName | None = None,
    write_disposition: Any = "append",
    columns: ColumnsDeclaration = None,
    primary_key: Keys = None,
    merge_key: Keys = None,
    max_table_nesting: int | None = None,
    schema_contract: Any = None,
    selected: bool = True,
    parallelized: bool = False,
    incremental: Incremental[Any] | None = None,
    section: str | None = None,
    nested_hints: NestedHintsDeclaration = None,
    references: Any = None,
    table_format: str | None = None,
    file_format: str | None = None,
    spec: Any = None,
    data_from: Any = None,
    asset: AssetHints | Mapping[str, Any] | None = None,
    checkpoint: Any = None,
) -> Callable[[Callable[..., Any]], Resource]: ...


@overload
def resource(
    data: Any,
    /,
    *,
    name: str | None = None,
    table_name: TableName | None = None,
    write_disposition: Any = "append",
    columns: ColumnsDeclaration = None,
    primary_key: Keys = None,
    merge_key: Keys = None,
    max_table_nesting: int | None = None,
    schema_contract: Any = None,
    selected: bool = True,
    parallelized: bool = False,
    incremental: Incremental[Any] | None = None,
    section: str | None = None,
    nested_hints: NestedHintsDeclaration = None,
    references: Any = None,
    table_format: str | None = None,
    file_format: str | None = None,
    spec: Any = None,
    data_from: Any = None,
    asset: AssetHints | Mapping[str, Any] | None = None,
    checkpoint: Any = None,
) -> Resource: ...


def resource(
    data: Any = _NOTHING,
    /,
    *,
    name: str | None = None,
    table_name: TableName | None = None,
    write_disposition: Any = "append",
    columns: ColumnsDeclaration = None,
    primary_key: Keys = None,
    merge_key: Keys = None,
    max_table_nesting: int | None = None,
    schema_contract: Any = None,
    selected: bool = True,
    parallelized: bool = False,
    incremental: Incremental[Any] | None = None,
    section: str | None = None,
    nested_hints: NestedHintsDeclaration = None,
    references: Any = None,
    table_format: str | None = None,
    file_format: str | None = None,
    spec: Any = None,  # noqa: ARG001 - accepted as in dlt; signatures say the same here
    data_from: Any = None,
    asset: AssetHints | Mapping[str, Any] | None = None,
    checkpoint: Any = None,
) -> Any:
    """Declare a resource: as a decorator of a function, with or without arguments, or called with data.

    Args:
        data: A function, a generator, any iterable, or a frame.
        incremental: The cursor, for functions that do not declare it as a default argument.
        nested_hints: Hints of nested tables, by the key or the tuple of keys that leads to them.
        data_from: Makes a transformer that takes the yields of this resource.
        asset: Hints of its asset in Dagster, such as `{"owners": ["team:data"], "schedule": "0 * * * *"}`.
        checkpoint: How often a long extraction is committed, so that one that fails goes on from there: after so many
            pages, `{"pages": 100, "minutes": 5}`, or True for every 10 minutes.

    Raises:
        ResourceNameMissingError: The data has no name of its own.
        InvalidResourceDataError: The data holds no records.

    >>> list(resource([{"id": 1}, {"id": 2}], name="numbers"))
    [{'id': 1}, {'id': 2}]
    """

    def declare(content: Any) -> Resource:
        own_name = name or name_of(content)
        recipe = (
            FunctionRecipe(content, takes_item=data_from is not None)
            if callable(content)
            else DataRecipe.of(own_name, content)
        )
        declared = Declared().changed(
            own_name,
            table_name=table_name,
            write_disposition=write_disposition,
            columns=columns,
            primary_key=primary_key,
            merge_key=merge_key,
            max_table_nesting=max_table_nesting,
            schema_contract=schema_contract,
            nested_hints=nested_hints,
            references=references,
            table_format=table_format,
            file_format=file_format,
        )
        return Resource(
            recipe,
            name=own_name,
            section=section or section_of(content),
            declared=declared,
            selected=selected,
            parallelized=parallelized,
            incremental=incremental,
            description=inspect.getdoc(content) if inspect.isroutine(content) else None,
            upstream=_parent(data_from),
            asset_hints=AssetHints.of(asset, resource=own_name),
            checkpoints=to_checkpoints(checkpoint, f"Resource {own_name!r}"),
        )

    return declare if data is _NOTHING else declare(data)


NO_PARENT: Any = object()
"""Stands for the parent of a transformer that will be given by `parent | transformer`."""


def name_of(content: Any) -> str:
    """The name that data brings along.

    Raises:
        ResourceNameMissingError: It brings none.
    """
    function = getattr(content, "func", content)  # functools.partial
    found = getattr(function, "__name__", None)
    if not isinstance(found, str) or found in _ANONYMOUS or is_frame(content):
        raise ResourceNameMissingError(data_type=type(content).__name__)
    return found


def section_of(content: Any) -> str:
    """The module that a function comes from, as configuration sections name it; for a script its file name."""
    function = getattr(content, "func", content)
    module = getattr(function, "__module__", None) or ""
    if module == "__main__":
        code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
        return _stem(code.co_filename) if code else module
    return module.rpartition(".")[2]


def _stem(path: str) -> str:
    from pathlib import PurePath

    return PurePath(path).stem


def _parent(data_from: Any) -> Resource | None:
    if data_from is None or data_from is NO_PARENT:
        return None
    return data_from if isinstance(data_from, Resource) else resource(data_from)
