"""A draft, as it is written, loads the rows of a server that does what the document says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from loopback import Api, Asked, Reply
from openapi_parts import TEASHOP

import dlt_orchestrate as dlt
from dlt_orchestrate.cli.app import app

rest_api = pytest.importorskip("dlt_orchestrate.sources.rest_api")

TEAS = [{"id": n, "name": f"tea {n}", "updated_at": f"2026-01-0{n}T00:00:00Z", "blend_of": []} for n in range(1, 6)]
ORDERS = [{"order_id": f"o{n}", "lines": []} for n in range(5)]
TOKEN = "marked-token-of-the-shop"


def shop(asked: Asked) -> Any:
    """The tea shop, as its document describes it."""
    if asked.path == "/v1/status":
        return {"up": True, "load": [0.5]}
    if asked.headers.get("Authorization") != f"Bearer {TOKEN}":
        return Reply(status=401)
    match asked.path.split("/")[2:]:
        case ["teas"]:
            return {"data": page(asked, TEAS), "meta": {"total_pages": pages(asked, TEAS)}}
        case ["teas", "search"]:
            body = json.loads(asked.body)
            return {"results": TEAS[body["offset"] :][: min(body["limit"], 50)], "total": len(TEAS)}
        case ["teas", tea, "reviews"]:
            reviews = [{"id": int(tea) * 10 + n, "stars": n} for n in range(int(tea))]
            return {"data": page(asked, reviews), "total_pages": pages(asked, reviews)}
        case ["teas", tea, "reviews", review, "votes"] if review.startswith(tea):
            return [{"voter": f"v{review}", "points": 1}]
        case ["orders"] if asked.params["status"] == "all":
            at = int(asked.params.get("cursor", 0))
            return {"orders": ORDERS[at : at + 2], "paging": {"next_cursor": str(at + 2) if at + 2 < len(ORDERS) else None}}
        case ["shops", "berlin", "stock"]:
            return [{"sku": "a", "pieces": 1}, {"sku": "b", "pieces": 2}]
    return Reply(status=404)


def pages(asked: Asked, rows: list[Any]) -> int:
    size = int(asked.params["per_page"])
    return max(1, -(-len(rows) // size))


def page(asked: Asked, rows: list[Any]) -> list[Any]:
    number, size = int(asked.params["page"]), int(asked.params["per_page"])
    assert size == 3, "the document allows three"
    return rows[(number - 1) * size : number * size]


def test_a_draft_loads_all_rows_of_the_api_that_it_was_drafted_from(
    api: Api, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.answer = shop
    monkeypatch.setenv("TEA_SHOP_TOKEN", TOKEN)
    draft = project / "tea.yaml"
    arguments = ["--base-url", f"{api.url}/v1", "--search", "--value", "shop=berlin", "-o", str(draft)]
    assert CliRunner().invoke(app, ["openapi", str(TEASHOP), *arguments]).exit_code == 0

    pipeline = dlt.pipeline("tea", destination="duckdb", dataset_name="tea")
    pipeline.run(rest_api.rest_api_source(draft))
    pipeline.run(rest_api.rest_api_source(draft))  # keys were found: nothing is there twice

    counts = {
        table: pipeline.dataset()(f"SELECT count(*) FROM {table}").fetchall()[0][0]
        for table in ("teas", "reviews", "votes", "orders", "status", "stock", "teas_search")
    }
    assert counts == {
        "teas": 5,
        "reviews": 15,
        "votes": 15,
        "orders": 5,
        "status": 1,
        "stock": 2,
        "teas_search": 5,
    }
    of_reviews = pipeline.dataset()("SELECT _teas_id, count(*) FROM reviews GROUP BY 1 ORDER BY 1").fetchall()
    assert of_reviews == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]
    assert TOKEN not in draft.read_text()
