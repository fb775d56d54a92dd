"""One tick of a sensor: what it remembers, when it stands back, and how a change becomes a run once.

The cursor moves only with the run that it stands for, and the run's key is made of both: a tick that is repeated, as after
a crash of the daemon, asks for the same run, and Dagster launches it once.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Self, TypeVar

from dagster import (
    AssetKey,
    DagsterRun,
    DagsterRunStatus,
    DefaultSensorStatus,
    RepositoryDefinition,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from dlt_orchestrate.dagster.selection import Assets, select
from dlt_orchestrate.dataclass import dataclass

CURSOR_VERSION = 1

_LONGEST_OBSERVED = 100
_RUNS_LOOKED_AT = 500
_UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class Cursor:
    """What a sensor remembers, stored as JSON.

    Attributes:
        counter: Changes seen so far. A part of the run key, so that a value that comes back (A, B, A) launches again.
        begun: Tells the run keys of a cursor that began anew from those before it.
    """

    version: int = CURSOR_VERSION
    counter: int = 0
    begun: str = ""

    def __post_init__(self) -> None:
        """Check what was read.

        Raises:
            ValueError: It is not what such a cursor holds.
        """
        is_sound = type(self.counter) is int and type(self.begun) is str
        if self.version != CURSOR_VERSION or not is_sound:
            raise ValueError("not a cursor of this version")

    @classmethod
    def read(cls, text: str | None, *, last_run_key: str | None = None) -> Self:
        """The stored cursor; a new one if there is none, or none of this version.

        What is forgotten costs one superfluous run at worst. A new one does not repeat the run keys of the one before:
        Dagster would take the runs for launched.
        """
        try:
            return cls(**json.loads(text or ""))
        except (ValueError, TypeError):
            before = text or last_run_key
            return cls(begun=_digest(before)[:8] if before else "")

    def to_json(self) -> str:
        """The cursor as Dagster stores it."""
        return json.dumps(asdict(self), separators=(",", ":"))

    def run_key(self, observed: str) -> str:
        """The key of the run that this cursor stands for: what was observed, and how often that happened."""
        short = observed if len(observed) <= _LONGEST_OBSERVED and observed.isprintable() else _digest(observed)
        return "|".join([short, str(self.counter), *([self.begun] if self.begun else [])])


C = TypeVar("C", bound=Cursor)
Decision = SensorResult | SkipReason


def build_sensor(
    name: str,
    assets: Assets,
    decide: Callable[[SensorEvaluationContext, C], Decision],
    *,
    cursor: type[C],
    minimum_interval_seconds: int,
    default_status: DefaultSensorStatus,
    description: str,
) -> SensorDefinition:
    """A sensor that decides on its cursor, unless a run for its assets is under way: what came meanwhile waits for the
    next tick.
    """

    @sensor(
        name=name,
        asset_selection=select(assets),
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description=description,
    )
    def tick(context: SensorEvaluationContext) -> Decision:
        run = active_run(context, assets)
        if run is not None:
            return SkipReason(
                f"Run {run.run_id} for the same assets is not finished. What has changed waits for the end of it."
            )
        return decide(context, cursor.read(context.cursor, last_run_key=context.last_run_key))

    return tick


def active_run(context: SensorEvaluationContext, assets: Assets) -> DagsterRun | None:
    """An unfinished run that materializes some of the assets."""
    repository = context.repository_def
    if repository is None:
        return None
    keys = select(assets).resolve(repository.asset_graph)
    runs: Iterable[DagsterRun] = context.instance.get_runs(RunsFilter(statuses=_UNFINISHED), limit=_RUNS_LOOKED_AT)
    return next((run for run in runs if not keys.isdisjoint(assets_of(run, repository))), None)


def assets_of(run: DagsterRun, repository: RepositoryDefinition) -> frozenset[AssetKey]:
    """The assets that a run materializes, all of its job's if it chose none."""
    if run.asset_selection:
        return frozenset(run.asset_selection)
    if not repository.has_job(run.job_name):
        return frozenset()
    return frozenset(repository.get_job(run.job_name).asset_layer.selected_asset_keys)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
