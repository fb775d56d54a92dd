"""When Dagster materializes an asset by itself, and when it calls it stale."""

from collections.abc import Mapping
from typing import Any

from dagster import AutomationCondition, FreshnessPolicy

from dlt_orchestrate.declare.asset_hints import AssetHints
from dlt_orchestrate.errors import DeclarationError

Condition = AutomationCondition[Any]


def when_data_changes() -> Condition:
    """A condition for assets downstream: they are materialized when a load brought something, and stand still else.

    `AutomationCondition.eager()` answers every materialization, also one that found nothing new. This one looks at the data
    version, which a load without rows leaves as it is. Like `eager()` it waits while something upstream is missing or being
    made, and makes the latest window of partitions only. Of an upstream with partitions, any one that matters is enough:
    history that was never loaded holds nobody up, and each partition that comes or changes is answered.
    """
    changed = AutomationCondition.any_deps_match(
        AutomationCondition.data_version_changed() & ~AutomationCondition.executed_with_root_target()
    ).with_label("any_deps_data_version_changed")
    settled = AutomationCondition.newly_requested() | AutomationCondition.initial_evaluation()
    # "Not settled since it changed" and not "changed since it was settled": a change that is seen at the very tick after a
    # request may have come after the run began to read, and must not be lost.
    unanswered = (~settled.since(changed)).with_label("change_not_answered")
    return (
        AutomationCondition.in_latest_time_window()
        & (AutomationCondition.newly_missing().since_last_handled() | unanswered)
        & AutomationCondition.all_deps_match(~AutomationCondition.missing()).with_label("something_of_each_dep_is_there")
        & ~AutomationCondition.any_deps_in_progress()
        & ~AutomationCondition.in_progress()
    ).with_label("when_data_changes")


def automation_condition(hints: AssetHints, *, resource: str) -> Condition | None:
    """The condition that hints ask for; None if they ask for none.

    Raises:
        DeclarationError: The schedule, its time zone or the condition's name cannot be read.
    """
    if hints.schedule is not None:
        try:
            return AutomationCondition.on_cron(hints.schedule, hints.timezone or "UTC")
        except Exception as error:
            raise DeclarationError(
                f"Resource {resource!r}: schedule={hints.schedule!r} cannot be read: {error}. "
                "Give five cron fields, such as '0 * * * *'."
            ) from error
    if hints.automation is None or isinstance(hints.automation, AutomationCondition):
        return hints.automation
    named = _named().get(hints.automation) if isinstance(hints.automation, str) else None
    if named is None:
        raise DeclarationError(
            f"Resource {resource!r}: automation={hints.automation!r} is no condition. Give an AutomationCondition, or one "
            f"of {', '.join(map(repr, _named()))}."
        )
    return named


def freshness_policy(hints: AssetHints) -> FreshnessPolicy | None:
    """The policy that hints ask for; None if they ask for none."""
    if hints.freshness is None:
        return None
    return FreshnessPolicy.time_window(fail_window=hints.freshness.fail, warn_window=hints.freshness.warn)


def _named() -> Mapping[str, Condition]:
    return {
        "eager": AutomationCondition.eager(),
        "on_missing": AutomationCondition.on_missing(),
        "when_data_changes": when_data_changes(),
    }
