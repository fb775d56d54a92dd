"""What a response hook may raise."""

from __future__ import annotations

from dlt_orchestrate.errors import IgnoreResponseException as IgnoreResponseException
