"""A loopback API whose answers a test writes as a function, and a maker of documents."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "http"))

from loopback import api as api

from dlt_orchestrate.sources.openapi import Document, read_document


@pytest.fixture
def document(tmp_path: Path) -> Callable[..., Document]:
    """Makes a document: of paths, and whatever else."""

    def make(paths: dict[str, Any], **others: Any) -> Document:
        path = tmp_path / "openapi.json"
        root = {"openapi": "3.0.3", "info": {"title": "Shop", "version": "1"}, **others, "paths": paths}
        path.write_text(json.dumps(root))
        return read_document(str(path))

    return make
