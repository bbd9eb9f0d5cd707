"""Visitors of reverse proxies that the settings trust: each is told and limited by itself."""

from __future__ import annotations

from collections import Counter

from starlette.types import ASGIApp, Receive, Scope, Send

from vadistill import limits
from vadistill.serving.log_limit import LogLimit
from vadistill.serving.networks import Proxies, network_of
from vadistill.serving.web.connections import busy


class Visitors:
    """ASGI middleware: a proxy's visitor has as many requests under way as others connections.

    A proxy keeps connections for later and sends different visitors' requests over them, so these
    are counted where connections of others are.
    """

    def __init__(self, app: ASGIApp, proxies: Proxies) -> None:
        self.app, self._proxies = app, proxies
        self._asking: Counter[str] = Counter()
        self._log = LogLimit(5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = scope["client"][0] if scope.get("client") else ""
        if address in self._proxies:  # it asks on its own behalf, or names nobody
            await self.app(scope, receive, send)
            return
        network = network_of(address)
        if self._asking[network] >= limits.CONNECTIONS_BY_ADDRESS:
            self._log.warning("too many requests under way: one of %r is refused", network)
            await busy(scope, receive, send)
            return
        self._asking[network] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._asking[network] -= 1
            if not self._asking[network]:
                del self._asking[network]
