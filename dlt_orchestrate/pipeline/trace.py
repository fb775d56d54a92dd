"""What happened in a run, step by step."""

from __future__ import annotations

import secrets
from dataclasses import field
from datetime import datetime

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.pipeline.info import ExtractInfo, LoadInfo, NormalizeInfo

StepInfo = ExtractInfo | NormalizeInfo | LoadInfo


@dataclass(frozen=True, slots=True)
class StepTrace:
    """One step: how long it took, what came of it, how it failed."""

    step: str
    seconds: float
    info: StepInfo | None = None
    failure: str | None = None

    def __str__(self) -> str:
        outcome = "FAILED" if self.failure else "COMPLETED"
        text = f"Step {self.step} {outcome} in {self.seconds:.2f} seconds."
        detail = self.failure or self.info
        return text if detail is None else f"{text}\n{detail}"


@dataclass(frozen=True, slots=True)
class Trace:
    """A run: its steps are `extract`, `normalize`, `load` and the whole, `run`.

    Extract and normalize overlap; their seconds are what each of them used.
    """

    pipeline_name: str
    started_at: datetime
    finished_at: datetime
    steps: tuple[StepTrace, ...]
    transaction_id: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def last_extract_info(self) -> ExtractInfo | None:
        info = self._info("extract")
        return info if isinstance(info, ExtractInfo) else None

    @property
    def last_normalize_info(self) -> NormalizeInfo | None:
        info = self._info("normalize")
        return info if isinstance(info, NormalizeInfo) else None

    @property
    def last_load_info(self) -> LoadInfo | None:
        info = self._info("load")
        return info if isinstance(info, LoadInfo) else None

    def last_pipeline_step_trace(self, step: str) -> StepTrace | None:
        """The trace of one step; None if it was not reached."""
        return next((trace for trace in self.steps if trace.step == step), None)

    def _info(self, step: str) -> StepInfo | None:
        trace = self.last_pipeline_step_trace(step)
        return trace.info if trace else None

    def __str__(self) -> str:
        outcome = "FAILED" if any(step.failure for step in self.steps) else "COMPLETED"
        seconds = (self.finished_at - self.started_at).total_seconds()
        head = (
            f"Run started at {self.started_at:%Y-%m-%d %H:%M:%S%z} and {outcome} in {seconds:.2f} seconds "
            f"with {len(self.steps)} steps."
        )
        return "\n".join([head, *map(str, self.steps)])
