"""Finding what a pipeline has loaded, from its name: the destination first, then the dataset in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import update_wrapper
from pathlib import Path
from typing import Any

import click

from dlt_orchestrate import destinations
from dlt_orchestrate.config.spelling import likely
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import DatasetNotFoundError, DeclarationError, DestinationUnavailableError
from dlt_orchestrate.flow.snapshot import Scope
from dlt_orchestrate.pipeline.history import pipelines_in
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
        DestinationUnavailableError: None was given, and the file to look at is not there.
    """
    if given is not None and given.startswith(("postgres://", "postgresql://")):
        return destinations.postgres(given)
    if given is not None and given not in DESTINATIONS:
        _expect_no_misspelt_name(given)
        return destinations.duckdb(given)
    pipeline = Pipeline(pipeline_name)
    configured = pipeline.resolver().lookup("destination_type", (), str)
    found = Pipeline(pipeline_name, destination=given or (configured.value if configured else "duckdb")).destination
    path = getattr(found, "path", None)
    if given is None and isinstance(path, Path) and not path.exists():
        near = likely([pipeline_name], _pipelines_beside(str(path)))
        advice = "Run the pipeline first, or name with --destination where it loads to; of a component, its YAML says that."
        raise DestinationUnavailableError(location=str(path), problem="the file does not exist", advice=near or advice)
    return found


def find_dataset(destination: Destination, pipeline_name: str, given: str | None = None) -> str:
    """The dataset that the pipeline has loaded into.

    Raises:
        DatasetNotFoundError: It has loaded into none, not into the given one, or into several and none is given.
        DestinationUnavailableError: There is no such destination.
    """
    try:
        datasets = list(destination.datasets())
    except DestinationUnavailableError as error:
        if near := likely([pipeline_name], _pipelines_beside(destination.location)):
            raise DestinationUnavailableError(location=error.location, problem=error.problem, advice=near) from None
        raise
    loaded = [name for name in datasets if _is_of(destination, pipeline_name, name)]
    fitting = [name for name in loaded if given in (None, name)]
    if len(fitting) == 1:
        return fitting[0]
    near = likely([given], loaded) if given is not None else ""
    if not loaded:
        near = likely([pipeline_name], {known for name in datasets for known in _pipelines_in(destination, name)})
    problem, advice = _unclear(given, datasets, fitting)
    raise DatasetNotFoundError(
        pipeline_name=pipeline_name,
        location=destination.location,
        datasets=fitting or datasets,
        problem=problem,
        advice=f"{near} {advice}".lstrip(),
    )


def _expect_no_misspelt_name(given: str) -> None:
    """Raise if what would be the path of a DuckDB file is rather the name of a destination."""
    near = likely([given], DESTINATIONS)
    if near and Path(given).name == given and not Path(given).exists():
        raise DeclarationError(f"There is no destination {given!r}, and no file of that name. {near}")


def _pipelines_beside(location: str) -> set[str]:
    """The pipelines that the other DuckDB files in the folder of a missing one are named after."""
    path = Path(location.removeprefix("duckdb:///"))
    return {file.stem for file in path.parent.glob("*.duckdb")} if path.suffix == ".duckdb" and not path.exists() else set()


def _pipelines_in(destination: Destination, dataset_name: str) -> list[str]:
    with destination.reader(dataset_name) as reader:
        return pipelines_in(reader)


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
