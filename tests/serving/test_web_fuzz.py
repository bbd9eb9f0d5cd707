"""Requests that schemathesis makes of the OpenAPI document, good and malformed, over a socket."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from test_web import ASKED, make_site, running

from vadistill.serving.hub import Hub
from vadistill.serving.web.errors import ErrorAnswer

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

ENDLESS = ("/api/stream", "/api/cameras/{name}/live.mjpeg")
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, str]]:
    site = make_site(tmp_path_factory.mktemp("site"))
    with running(site, site.base / "live.toml") as (hub, server):
        hub.store.open_event("walk", 1.0, peak=2.0, level=1.0)
        yield hub, server.url


def operations(url: str) -> list[Any]:
    """What the document describes, but for answers without an end."""
    schema = schemathesis.openapi.from_url(f"{url}openapi.json")
    results: Any = schema.get_all_operations()
    found = [result.ok() for result in results]
    kept = [operation for operation in found if operation.path not in ENDLESS]
    assert len(kept) >= 28
    return kept


def check(case: Case, answer: Any, documented: dict[str, Any]) -> None:
    """Never a failure of the server, always the documented shape."""
    status = answer.status_code
    assert status < 500, (case.method, case.path, answer.text)
    if status >= 400:
        assert answer.headers["content-type"] == ["application/json"]
        assert list(answer.json()) == ["error"]
        ErrorAnswer.model_validate(answer.json(), strict=True)
    # What a server does not know as a method or an address cannot be in the document.
    assert str(status) in documented, (case.method, case.path, status)
    for name in ("content-security-policy", "x-content-type-options", "cache-control"):
        assert name in answer.headers


def send(cases: Any, examples: int, url: str, documented: dict[str, Any]) -> Counter[int]:
    """Statuses of the answers to ``examples`` cases of a strategy, each checked."""
    statuses: Counter[int] = Counter()

    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    )
    @given(case=cases)
    def requests(case: Case) -> None:
        answer = case.call(base_url=url, headers=ASKED, timeout=20)
        statuses[answer.status_code] += 1
        check(case, answer, documented)

    # An address without parameters and body has nothing that could be malformed.
    with suppress(Unsatisfiable):
        requests()
    return statuses


def send_many(served: tuple[Hub, str], examples: int) -> Counter[int]:
    """Statuses of ``examples`` requests of each kind to every address."""
    hub, url = served
    statuses: Counter[int] = Counter()
    document = httpx.get(f"{url}openapi.json").json()["paths"]
    for operation in operations(url):
        documented = document[operation.path][operation.method]["responses"]
        parameters: list[dict[str, Any] | None] = [None]
        if "{" in operation.path and operation.method != "delete":
            parameters += [{"name": "walk"} if "{name}" in operation.path else {"id": 1}]
        for mode, known in product(MODES, parameters):
            cases = operation.as_strategy(generation_mode=mode, path_parameters=known)
            statuses += send(cases, examples, url, documented)
    assert httpx.get(f"{url}healthz").json()["ok"] is True
    assert hub.camera("walk") is not None
    return statuses


def test_no_request_breaks_the_server(served: tuple[Hub, str]) -> None:
    statuses = send_many(served, 2)
    assert statuses.total() >= 100 and statuses[200] and statuses[422], statuses


@pytest.mark.slow
def test_no_thousand_requests_break_the_server(served: tuple[Hub, str]) -> None:
    statuses = send_many(served, 24)
    assert statuses.total() >= 1000, statuses
