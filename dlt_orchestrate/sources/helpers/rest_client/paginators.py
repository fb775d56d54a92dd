"""Ways to page through an API."""

from __future__ import annotations

from dlt_orchestrate.http.paginators import BaseNextUrlPaginator as BaseNextUrlPaginator
from dlt_orchestrate.http.paginators import BasePaginator as BasePaginator
from dlt_orchestrate.http.paginators import BaseReferencePaginator as BaseReferencePaginator
from dlt_orchestrate.http.paginators import HeaderCursorPaginator as HeaderCursorPaginator
from dlt_orchestrate.http.paginators import HeaderLinkPaginator as HeaderLinkPaginator
from dlt_orchestrate.http.paginators import JSONLinkPaginator as JSONLinkPaginator
from dlt_orchestrate.http.paginators import JSONLinkPaginator as JSONResponsePaginator  # noqa: F401 - its older name
from dlt_orchestrate.http.paginators import JSONResponseCursorPaginator as JSONResponseCursorPaginator
from dlt_orchestrate.http.paginators import OffsetPaginator as OffsetPaginator
from dlt_orchestrate.http.paginators import PageNumberPaginator as PageNumberPaginator
from dlt_orchestrate.http.paginators import RangePaginator as RangePaginator
from dlt_orchestrate.http.paginators import SinglePagePaginator as SinglePagePaginator
