"""The step of an asset is killed, and tried again as Dagster does it: by a retry policy, or a re-execution from failure."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import dagster as dg
from dagster import DagsterInstance, ReexecutionOptions

import dlt_orchestrate as dlt
from dlt_orchestrate import faults
from dlt_orchestrate.dagster import ingest_assets
from dlt_orchestrate.load.spool import Spool
from soak import loads
from soak.kills import VERSIONS, Tally
from soak.loads import Load
from soak.modes import MODES
from soak.oracle import WrongError, expect_books_agree, expect_one_of, picture
from soak.places import DATASET, PLACES, Tables
from soak.processes import Processes
from soak.world import World

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Plan:
    """What steps load, and what befalls the first of them: files, since steps are processes of Dagster's.

    Attributes:
        folder: Where Dagster's records are, too.
    """

    folder: Path

    def write(self, load: Load, destination: str, place: Path, fault: str) -> None:
        (self.folder / "fault").write_text(fault)
        told = (destination, str(place), str(load.folder), load.seed, load.mode, load.version)
        (self.folder / "plan").write_text(json.dumps(told))

    def read(self) -> Load:
        destination, place, folder, seed, mode, version = json.loads((self.folder / "plan").read_text())
        return Load(PLACES[destination](Path(place)), Path(folder), seed, mode, version, commit="resource")

    def befall(self) -> None:
        """Let the fault befall this process, unless it has befallen another one."""
        try:
            fault = (self.folder / "fault").read_text()
            (self.folder / "fault").unlink()
        except FileNotFoundError:
            return
        if fault.startswith("after:"):
            signal.setitimer(signal.ITIMER_REAL, float(fault.partition(":")[2]))
        else:
            os.environ[faults.FAULT_VARIABLE] = fault

    def source(self) -> Any:
        """The shop of the plan."""
        load = self.read()
        return MODES[load.mode].source(World(load.seed), load.version, self.befall)

    @contextmanager
    def instance(self) -> Iterator[DagsterInstance]:
        """Dagster's records, on disk."""
        folder = self.folder / "dagster_home"
        folder.mkdir(exist_ok=True)
        with DagsterInstance.local_temp(str(folder), overrides={"telemetry": {"enabled": False}}) as found:
            yield found


class PlannedPipeline(dlt.Pipeline):
    """A pipeline into the place of the plan, as it is when it runs."""

    plan: Plan

    def stream(self, data: Any, **arguments: Any) -> Iterator[Any]:
        load = self.plan.read()
        load.folder.mkdir(parents=True, exist_ok=True)
        os.environ["HOME"] = str(load.folder)
        Spool.__init__.__defaults__ = (load.spool_bytes,)
        yield from super().stream(data, destination=load.place.destination(), **arguments)


def job(folder: str, executor: str) -> dg.JobDefinition:
    """A job of all assets: each step a process, tried again by Dagster when it dies; or all in the process of the run."""
    plan = Plan(Path(folder))
    pipeline = PlannedPipeline(loads.PIPELINE, destination="duckdb", dataset_name=DATASET)
    pipeline.plan = plan
    assets = ingest_assets(plan.source, pipeline, resources=loads.RESOURCES, retry_policy=dg.RetryPolicy(max_retries=2))
    executors = {
        "forks": dg.multiprocess_executor.configured({"start_method": {"forkserver": {}}, "max_concurrent": 1}),
        "stays": dg.in_process_executor,
    }
    definitions = dg.Definitions(assets=assets, jobs=[dg.define_asset_job("all")], executor=executors[executor])
    return definitions.resolve_job_def("all")


def _reconstructable(plan: Plan, executor: str) -> Any:
    return dg.build_reconstructable_job("soak.dagster_kills", "job", (str(plan.folder), executor))


def run_worker(plan: Plan, run_again: str | None) -> str:
    """Run all steps in this process; or those that are left of a run whose process has died."""
    with plan.instance() as records:
        again = None
        if run_again is not None:
            dead = records.get_run_by_id(run_again)
            assert dead is not None
            if not dead.is_finished:
                records.report_run_failed(dead, "Its process has died.")
            again = ReexecutionOptions.from_failure(run_again, records)
        work = _reconstructable(plan, "stays")
        with dg.execute_job(work, records, run_config=QUIET, reexecution_options=again) as result:
            if not result.success:
                raise WrongError("stuck", "the run failed")
            return str(result.run_id)


class DagsterKiller:
    """Kills steps of one mode until enough have died."""

    def __init__(self, *, destination: str, mode: str, seed: int) -> None:
        self._destination = destination
        self._mode = mode
        self._seed = seed
        self._draw = Random(f"dagster {destination} {mode} {seed}")
        self._episodes = 0
        self.tally = Tally()

    def kill(self, kills: int) -> Tally:
        """Kill until that many steps have died in all; returns what came of it."""
        started = time.monotonic()
        with _folder() as folder:
            processes = Processes("soak.dagster_kills")
            passed = processes.run(_rehearse, self._load(folder / "rehearsal", 0), self._destination).value
            while self.tally.killed < kills:
                self._episodes += 1
                episode = self._episodes
                deaths = ((self._choose(passed), self._draw.random() < 0.5) for _ in range(VERSIONS))
                self._episode(folder / f"episode-{episode}", episode, kills, deaths, processes)
        self.tally.seconds += time.monotonic() - started
        return self.tally

    def kill_once(self, fault: str, *, by_policy: bool) -> Tally:
        """Kill the first step of a first load, in one of the two ways that Dagster tries it again."""
        with _folder() as folder:
            self._episode(folder / "episode-1", 1, 1, [(fault, by_policy)], Processes("soak.dagster_kills"))
        return self.tally

    def _load(self, folder: Path, episode: int) -> Load:
        place = PLACES[self._destination](folder)
        return Load(place, folder / "disk", self._seed * 1000 + episode, self._mode, 1, commit="resource")

    def _episode(
        self, folder: Path, episode: int, kills: int, deaths: Iterable[tuple[str, bool]], processes: Processes
    ) -> None:
        folder.mkdir()
        plan = Plan(folder.parent)
        load = self._load(folder, episode)
        known: dict[str, set[str]] = defaultdict(set)
        try:
            for version, (fault, by_policy) in enumerate(deaths, start=1):
                if self.tally.killed >= kills:
                    return
                plan.write(load.of(version), self._destination, folder, fault)
                try:
                    self._trial(load.of(version), plan, by_policy, processes, known)
                except WrongError as error:
                    self.tally.wrong[error.kind] += 1
                    self.tally.stories.append(f"seed {self._seed}: {self._mode}, version {version}, {fault}: {error}")
                    return
        finally:
            load.place.remove()

    def _choose(self, passed: dict[str, int]) -> str:
        draw = self._draw
        if draw.random() < 0.3:
            return f"after:{0.001 + draw.random() * 0.2:.4f}"
        name = draw.choice(sorted(passed))
        late = draw.choice([0, draw.expovariate(1 / 4)])
        return f"{name}:kill:{draw.randint(1, passed[name])}:{late:.3f}"

    def _trial(self, load: Load, plan: Plan, by_policy: bool, processes: Processes, known: dict[str, set[str]]) -> None:
        died = self._retry_by_policy(plan) if by_policy else self._re_execute(load, plan, processes)
        self.tally.killed += died
        self.tally.survived += not died
        ended = processes.run(_read, load)
        if ended.error:
            kind, _, story = ended.error.partition("\n")
            raise WrongError(kind, story)
        self.tally.glanced += died
        self.tally.committed += self._expect_reported(ended.value, plan, known)

    def _retry_by_policy(self, plan: Plan) -> bool:
        with (
            plan.instance() as records,
            dg.execute_job(_reconstructable(plan, "forks"), records, run_config=QUIET) as result,
        ):
            if not result.success:
                raise WrongError("stuck", "the run failed")
            return any(event.is_step_up_for_retry for event in result.all_events)

    def _re_execute(self, load: Load, plan: Plan, processes: Processes) -> bool:
        ended = processes.run(run_worker, plan, None)
        if not ended.was_killed:
            if ended.error:
                raise WrongError("stuck", ended.error)
            return False
        if self._draw.random() < 0.5:
            loads.wipe(load.folder)
        with plan.instance() as records:
            [dead] = records.get_runs(limit=1)
        again = processes.run(run_worker, plan, dead.run_id)
        if again.error or again.status:
            raise WrongError("stuck", str(again.error))
        return True

    def _expect_reported(self, committed: dict[str, set[str]], plan: Plan, known: dict[str, set[str]]) -> bool:
        """Each resource has committed once more, and an event of its asset names that load.

        Returns:
            Whether one of the events reports what an attempt had committed that died before it could tell.
        """
        is_repeated = False
        with plan.instance() as records:
            for resource, load_ids in committed.items():
                key = dg.AssetKey(f"dlt_shop_{resource}")
                events = records.fetch_materializations(key, limit=50).records
                told = {
                    str(materialization.metadata["load_id"].value): bool(materialization.metadata["repeated"].value)
                    for record in reversed(events)
                    if (materialization := record.asset_materialization) and "load_id" in materialization.metadata
                }
                new = load_ids - known[resource]
                if len(new) != 1:
                    raise WrongError("doubled" if new else "lost", f"{resource}: {len(new)} commits of one version")
                if not new <= told.keys():
                    raise WrongError("records", f"{resource}: commit {new} is told by no event, only {told}")
                is_repeated |= any(told[load_id] for load_id in new)
                known[resource] = set(load_ids)
        return is_repeated


def _read(load: Load) -> dict[str, set[str]]:
    """Compare with the model; the load ids that were committed, by resource."""
    with load.place.looking() as look:
        tables: Tables = look()
    expect_one_of(picture(tables), load.allowed()[1:2])
    expect_books_agree(tables)
    found: dict[str, set[str]] = defaultdict(set)
    for row in tables["_dlt_commits"]:
        found[row["resource_name"]].add(row["load_id"])
    return dict(found)


def _rehearse(load: Load, destination: str) -> dict[str, int]:
    """Load version 1 elsewhere; how often each fault point is passed by the load of one resource, about."""
    with tempfile.TemporaryDirectory() as folder:
        place = PLACES[destination](Path(folder))
        try:
            passed = loads.run(replace(load, place=place, folder=Path(folder) / "disk"))
        finally:
            os.chdir("/")
            place.remove()
    return {name: max(1, times // 2) for name, times in passed.items()}


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
