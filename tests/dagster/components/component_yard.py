"""A project of Dagster's in a folder of its own, for tests of components."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from textwrap import dedent

import dagster as dg
import pytest
from dagster.components.testing.utils import DefsFolderSandbox

SHOP = """
import dlt_orchestrate as dlt

calls = []


@dlt.source
def shop(currency="EUR", token=None):
    calls.append(token)

    @dlt.resource(primary_key="id", write_disposition="merge")
    def orders(updated_at=dlt.sources.incremental("updated_at", initial_value="2026-01-01")):
        '''Orders that changed.'''
        rows = [
            {"id": 1, "updated_at": "2026-01-01", "currency": currency, "lines": [{"sku": "tea"}, {"sku": "cup"}]},
            {"id": 2, "updated_at": "2026-01-02", "currency": currency, "lines": [{"sku": "tea"}]},
        ]
        end = updated_at.end_value or "2027"
        yield [row for row in rows if updated_at.last_value <= row["updated_at"] < end]

    @dlt.resource(primary_key="id", write_disposition="merge")
    def customers(updated_at=dlt.sources.incremental("updated_at", initial_value="2026-01-01")):
        yield [{"id": 1, "updated_at": "2026-01-01", "token_length": len(token or "")}]

    return [orders, customers]
"""


class Yard:
    """A project of Dagster's with a folder of definitions, loaded in this process as `dg` loads it."""

    def __init__(self, sandbox: DefsFolderSandbox, stack: ExitStack) -> None:
        self.sandbox = sandbox
        self._stack = stack

    @property
    def root(self) -> Path:
        return self.sandbox.project_root

    def write(self, folder: str, yaml: str, **modules: str) -> Path:
        """Write `defs.yaml` into a folder of the definitions, and modules beside it."""
        path = self.sandbox.defs_folder_path / folder
        path.mkdir(parents=True, exist_ok=True)
        (path / "defs.yaml").write_text(dedent(yaml), encoding="utf-8")
        for name, text in modules.items():
            (path / f"{name}.py").write_text(dedent(text), encoding="utf-8")
        return path

    def ingest(self, attributes: str, component: str = "IngestComponent", **modules: str) -> Path:
        """Write the attributes of a component, with the source `.source:shop` beside it unless modules are given."""
        text = f"type: dlt_orchestrate.dagster.{component}\nattributes:\n"
        text += "".join(f"  {line}\n" for line in dedent(attributes).strip().splitlines())
        return self.write("shop", text, **(modules or {"source": SHOP}))

    def load(self) -> dg.Definitions:
        return self._stack.enter_context(self.sandbox.build_all_defs())

    def assets(self) -> list[dg.AssetsDefinition]:
        return [asset for asset in self.load().assets or () if isinstance(asset, dg.AssetsDefinition)]

    def specs(self) -> dict[str, dg.AssetSpec]:
        return {spec.key.to_user_string(): spec for asset in self.assets() for spec in asset.specs}

    def complaint(self) -> str:
        """What loading the definitions complains of, as Dagster prints it: the cause of the error that the tree raises."""
        with pytest.raises(Exception) as caught:
            self.load()
        error: BaseException = caught.value
        while error.__cause__ is not None:
            error = error.__cause__
        return str(error)
