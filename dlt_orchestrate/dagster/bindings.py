"""What ops ingest: known when definitions load, evaluated in the step."""

from collections.abc import Callable
from weakref import WeakKeyDictionary

from dagster import OpDefinition

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.source import Source
from dlt_orchestrate.pipeline.pipeline import Pipeline

SourceLike = Source | Callable[[], Source]
"""A source, which is a recipe, or a function that gives one."""


@dataclass(frozen=True)
class Binding:
    """What an op ingests.

    Attributes:
        resources: Names of all resources that are assets, of this op or of others.
    """

    source: SourceLike
    pipeline: Pipeline
    resources: tuple[str, ...] = ()

    @property
    def recipe(self) -> Source:
        """The source as a recipe; it is evaluated, with configuration, when it runs."""
        return self.source if isinstance(self.source, Source) else self.source()


_bindings: WeakKeyDictionary[OpDefinition, Binding] = WeakKeyDictionary()
"""Kept beside the ops, since specs hold plain values only."""


def bind(op: OpDefinition, binding: Binding) -> None:
    """Remember what an op ingests."""
    _bindings[op] = binding


def binding_of(op: OpDefinition) -> Binding | None:
    """What an op ingests; None if this package did not make it."""
    return _bindings.get(op)
