"""What is loaded, handed to assets downstream; and what they make of it, loaded."""

from collections.abc import Iterator
from typing import Any

from dagster import InputContext, IOManager, OutputContext

from dlt_orchestrate.dagster.attempts import first_run_id
from dlt_orchestrate.dagster.events import load_metadata
from dlt_orchestrate.dagster.inputs import input_value
from dlt_orchestrate.declare import current
from dlt_orchestrate.declare.resource import Resource, resource
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.pipeline.dataset import Relation
from dlt_orchestrate.pipeline.pipeline import Pipeline, pipeline


class DatasetIOManager(IOManager):
    """Hands tables of a dataset to assets as what their annotations ask for, and loads what they return.

    An input is `pyarrow.Table` (also where nothing is annotated), `polars.DataFrame`, `polars.LazyFrame`,
    `pandas.DataFrame`, `duckdb.DuckDBPyRelation`, a `Relation` of ours, which is read when it is asked for rows, or the
    whole `Dataset`, nested tables included. The metadata of the `AssetIn` may say more:

    - `table`: another table than the asset's own, such as a nested one;
    - `columns`: only these are read;
    - `window`: only rows of the run's partition are read, told by this column; `True` for that of the asset's cursor.

    What an asset returns takes the place of what it returned before, in one transaction, in a table with the last part of
    the asset's key as its name; a partition takes the place of that partition only. `write_disposition` in the asset's
    metadata says otherwise.
    """

    def __init__(self, of: Pipeline, *, writes_by: Pipeline | None = None) -> None:
        """Read what `of` loads.

        Args:
            writes_by: What loads the assets' values; by default a pipeline of the same destination and dataset, named as
                `of` is, with `_downstream`.
        """
        self._pipeline = of
        self._writes_by = writes_by

    def load_input(self, context: InputContext) -> Any:
        """The value of an input.

        Raises:
            TableNotLoadedError: The table is not there yet.
            DeclarationError: The input asks for a type, a column or a window that there is not.
        """
        return input_value(context, self._pipeline)

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Load what an asset returns; nothing for None.

        Raises:
            DeclarationError: It returns several partitions at once.
        """
        if obj is None:
            return
        writer = self._writes_by or pipeline(
            f"{self._pipeline.pipeline_name}_downstream",
            destination=self._pipeline.destination,
            dataset_name=self._pipeline.dataset_name,
        )
        disposition = context.definition_metadata.get("write_disposition", "replace")
        partition = _partition_of(context)
        info = writer.run(
            _returned(obj, name=context.asset_key.path[-1], disposition=disposition, partition=partition),
            partition=partition,
            # What replaces is loaded again by another attempt, which may return something else.
            idempotency_key=None if disposition == "replace" else _attempt_key(context),
        )
        for report in info.resources.values():
            context.add_output_metadata(load_metadata(report, writer))


def _partition_of(context: OutputContext) -> str | None:
    """The partition that an asset returns; None if it has none."""
    if not context.has_asset_partitions:
        return None
    keys = context.asset_partition_keys
    if len(keys) != 1:
        raise DeclarationError(
            f"Asset {context.asset_key.to_user_string()!r} returns {len(keys)} partitions at once, and which row belongs "
            "to which cannot be told. Give it backfill_policy=BackfillPolicy.multi_run()."
        )
    return keys[0]


def _attempt_key(context: OutputContext) -> str:
    """Names the output the same in every attempt of the step."""
    step = context.step_context
    return f"{first_run_id(step.dagster_run, step.instance, step.step.key)} {step.step.key} {context.name}"


def _returned(value: Any, *, name: str, disposition: Any, partition: str | None) -> Resource:
    """What an asset returned, as a resource."""

    @resource(name=name, write_disposition=disposition)
    def returned() -> Iterator[Any]:
        if partition is not None:
            assert current.partition_key() == partition
        yield _rows_of(value)

    return returned


def _rows_of(value: Any) -> Any:
    """What a pipeline takes for a value that an asset returned."""
    if isinstance(value, Relation):
        return value.arrow()
    if type(value).__name__ == "DuckDBPyRelation":
        return value.to_arrow_table()
    if type(value).__name__ == "LazyFrame":
        return value.collect()
    return value
