"""Kill loads at random and count what is wrong then: `python -m soak [--mode NAME ...] [--kills N] [--seed N]`."""

from __future__ import annotations

import argparse
import secrets
import sys
from typing import Any

from soak.kills import Killer
from soak.modes import MODES
from soak.places import PLACES

TOLD_EVERY = 100
"""Kills after which the counts so far are told."""
USUAL = ("append", "delete-insert", "upsert", "replace", "scd2")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m soak", description="Kill loads at random; compare with a model.")
    parser.add_argument("--mode", action="append", choices=[*MODES, "all"], help=f"{', '.join(USUAL)} by default")
    parser.add_argument("--destination", default="duckdb", choices=list(PLACES))
    parser.add_argument("--kills", type=int, default=100, help="in each mode")
    parser.add_argument("--dagster", action="store_true", help="kill the steps of assets, which Dagster tries again")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="repeats the same choices")
    chosen = parser.parse_args()
    modes = list(MODES) if chosen.mode and "all" in chosen.mode else chosen.mode or list(USUAL)
    wrong = 0
    for mode in modes:
        kind = _dagster_killer() if chosen.dagster else Killer
        killer = kind(destination=chosen.destination, mode=mode, seed=chosen.seed)
        for so_many in range(TOLD_EVERY, chosen.kills, TOLD_EVERY):
            print(f"{mode}: {killer.kill(so_many).line()}", file=sys.stderr, flush=True)
        tally = killer.kill(chosen.kills)
        print(
            f"{'Dagster, ' if chosen.dagster else ''}{chosen.destination}, {mode}, seed {chosen.seed}: {tally.line()}",
            flush=True,
        )
        for story in tally.stories:
            print(f"\n{story}", file=sys.stderr, flush=True)
        wrong += sum(tally.wrong.values())
    return 1 if wrong else 0


def _dagster_killer() -> Any:
    from soak.dagster_kills import DagsterKiller

    return DagsterKiller


if __name__ == "__main__":
    sys.exit(main())
