"""Finding what a pipeline has loaded, from its name: the destination first, then the dataset in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any

import click

from dlt_orchestrate import destinations
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import DatasetNotFoundError
from dlt_orchestrate.flow.snapshot import Scope
from dlt_orchestrate.pipeline.pipeline import DESTINATIONS, Pipeline
from dlt_orchestrate.protocols.destination import Destination


@dataclass(frozen=True, slots=True)
class Located:
    """A pipeline with the place that it loads into."""

    pipeline_name: str
    destination: Destination
    dataset_name: str

    @property
    def scope(self) -> Scope:
        """All that the destination knows of it."""
        return Scope(self.pipeline_name, self.dataset_name)


def located(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command of a pipeline the options that say where to look, and where that is as its first argument."""

    def run(asked: dict[str, Any], *, destination: str | None, dataset: str | None, **told: Any) -> None:
        place = find_destination(asked["name"], destination)
        command(Located(asked["name"], place, find_dataset(place, asked["name"], dataset)), **told)

    return place_options(click.pass_obj(update_wrapper(run, command)))


def place_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say where to look."""
    destination = click.option(
        "--destination", help="Its name, a DuckDB file, or postgresql://…; as configured, or ./NAME.duckdb, by default."
    )
    dataset = click.option("--dataset", help="The dataset; needed only if the pipeline has loaded into several.")
    return destination(dataset(command))


def find_destination(pipeline_name: str, given: str | None = None) -> Destination:
    """The destination that was given, else the configured one, else the pipeline's DuckDB file.

    Args:
        given: The name of a destination, the path of a DuckDB file, or the address of a PostgreSQL database.

    Raises:
        InvalidPipelineNameError, UnknownDestinationError, ConfigError: Name or configuration cannot be used.
    """
    if given is not None and given.startswith(("postgres://", "postgresql://")):
        return destinations.postgres(given)
    if given is not None and given not in DESTINATIONS:
        return destinations.duckdb(given)
    pipeline = Pipeline(pipeline_name)
    configured = pipeline.resolver().lookup("destination_type", (), str)
    return Pipeline(pipeline_name, destination=given or (configured.value if configured else "duckdb")).destination


def find_dataset(destination: Destination, pipeline_name: str, given: str | None = None) -> str:
    """The dataset that the pipeline has loaded into.

    Raises:
        DatasetNotFoundError: It has loaded into none, not into the given one, or into several and none is given.
        DestinationUnavailableError: There is no such destination.
    """
    datasets = list(destination.datasets())
    loaded = [name for name in datasets if _is_of(destination, pipeline_name, name)]
    if given is not None:
        loaded = [name for name in loaded if name == given]
    if len(loaded) == 1:
        return loaded[0]
    problem, advice = _unclear(given, datasets, loaded)
    raise DatasetNotFoundError(
        pipeline_name=pipeline_name,
        location=destination.location,
        datasets=loaded or datasets,
        problem=problem,
        advice=advice,
    )


def _is_of(destination: Destination, pipeline_name: str, dataset_name: str) -> bool:
    stored = destination.read_state(Scope(pipeline_name, dataset_name))
    return bool(stored.state or stored.latest)


def _unclear(given: str | None, datasets: Sequence[str], loaded: Sequence[str]) -> tuple[str, str]:
    """What is wrong, and what to do."""
    if loaded:
        return f"it has loaded into several datasets, {_listed(loaded)}", "Name the one that is meant with --dataset."
    problem = "it has loaded nothing" + (f" into dataset {given!r}" if given is not None else "")
    if not datasets:
        return problem, "Nothing else has been loaded there, either: check the destination, or run the pipeline first."
    return problem, f"Datasets that were loaded into are {_listed(datasets)}: check the names of pipeline and dataset."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
