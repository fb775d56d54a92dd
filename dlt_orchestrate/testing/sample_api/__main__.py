"""Run the sample API until interrupted: `python -m dlt_orchestrate.testing.sample_api --port 8123`."""

from __future__ import annotations

import signal
import threading

import click

from dlt_orchestrate.testing.sample_api.server import TOKEN, SampleApi


@click.command()
@click.option("--port", default=8123, show_default=True, help="0 takes a free one.")
@click.option("--token", default=TOKEN, show_default=True, help="What traffic/clones asks for.")
@click.option("--latency-ms", default=0.0, show_default=True, help="How long every answer waits.")
@click.option("--rate-limit", default=None, type=int, help="Requests a minute before 403.")
def main(port: int, token: str, latency_ms: float, rate_limit: int | None) -> None:
    """Serve invented records on loopback in the shape of GitHub's REST API."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with SampleApi(port, token, latency_ms=latency_ms, rate_limit=rate_limit) as api:
        click.echo(f"Sample API on {api.url}, repositories {', '.join(api.repositories)}")
        stopped.wait()


if __name__ == "__main__":
    main()
