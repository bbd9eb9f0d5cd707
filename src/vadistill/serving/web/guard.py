"""What stands before every request: host, origin, secret, size; and headers on every answer."""

from __future__ import annotations

import hmac
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vadistill import limits
from vadistill.serving.networks import is_loopback
from vadistill.serving.web.auth import Access, csrf_token
from vadistill.serving.web.connections import UPLOADS
from vadistill.serving.web.errors import ApiError, from_status

log = logging.getLogger("vadistill.serving")

SAFE = {"GET", "HEAD", "OPTIONS"}
PUBLIC = {"/", "/favicon.ico", "/healthz", "/api/session"}
"""What needs no secret, beside the files of /static/."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self'; object-src 'none'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

ANSWERED = "X-Vadistill-Answered"
"""When a change was answered, in monotonic seconds."""


@dataclass(frozen=True)
class Caller:
    """Who makes a request: ``cookie`` of a signed-in browser, or none."""

    allowed: bool
    cookie: str | None = None


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, access: Access, host: str) -> None:
        self.app, self.access = app, access
        self.upload_bytes = access.server.upload_mb * 1_000_000
        self.local = is_loopback(host)
        self.names = {name.rstrip(".").lower() for name in access.server.names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        answer = _Answer(send, changes=scope["method"] not in SAFE)
        try:
            self._check(scope)
            body = await _bounded(scope, receive, self._limit(scope))
            if body is not None:
                await self.app(scope, body, answer.send)
        except ApiError as error:
            await error.answer()(scope, receive, answer.send)
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            if answer.started:
                raise
            await from_status(500).answer()(scope, receive, answer.send)

    def _check(self, scope: Scope) -> None:
        """Raise ApiError for a request that must not be answered; remember its caller."""
        headers, path = Headers(scope=scope), scope["path"]
        self._check_host(headers)
        caller = self._caller(scope, headers)
        scope.setdefault("state", {})["caller"] = caller
        if scope["method"] in SAFE and _is_public(path) and path != "/api/session":
            return
        _check_origin(headers)
        if not (caller.allowed or _is_public(path)):
            raise ApiError(
                401,
                "sign_in",
                "this needs a password or a token",
                "sign in at /, or send 'Authorization: Bearer TOKEN'",
                {"WWW-Authenticate": "Bearer"},
            )
        if scope["method"] not in SAFE:
            self._check_intent(headers, caller)

    def _check_host(self, headers: Headers) -> None:
        """A page of another site, whose name was pointed at this machine, says its own name."""
        host = _host(headers.get("host", ""))
        known = is_loopback(host) or host in self.names
        if not self.local and not known:
            # Beyond loopback a secret is needed anyway, and cookies belong to one name.
            known = bool(host) and (not self.names or _is_address(host))
        if not known:
            raise ApiError(
                421,
                "unknown_host",
                "the console does not go by this host name",
                "use the address it printed, or add the name to 'names' in [server]",
            )

    def _caller(self, scope: Scope, headers: Headers) -> Caller:
        if not self.access.required:
            return Caller(True)
        cookie = Request(scope).cookies.get(self.access.cookie)
        signed_in = bool(cookie) and self.access.sessions.valid(cookie)
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and token.strip():
            right, wait = self.access.bearer(token.strip(), client_of(scope))
            if right:
                return Caller(True)
            if wait > 0 and not signed_in:
                raise too_many("tokens", wait)
        return Caller(True, cookie) if signed_in else Caller(False)

    def _check_intent(self, headers: Headers, caller: Caller) -> None:
        """A browser sends these headers only when a page of the console asks it to."""
        if caller.cookie:
            given = headers.get("x-csrf-token", "")
            if not hmac.compare_digest(given.encode(), csrf_token(caller.cookie).encode()):
                raise ApiError(
                    403,
                    "csrf",
                    "the header X-CSRF-Token is missing or not this session's",
                    "send 'csrf' of GET /api/session in it",
                )
        elif not self.access.required and headers.get("x-requested-with") != "vadistill":
            raise ApiError(
                403,
                "csrf",
                "the header X-Requested-With is missing",
                "send 'X-Requested-With: vadistill'",
            )

    def _limit(self, scope: Scope) -> int | None:
        """Bytes a body may have; None: it is checked while it is read."""
        limit = self.upload_bytes if scope["path"] == UPLOADS else limits.BODY_BYTES
        given = Headers(scope=scope).get("content-length", "0")
        if not (given.isascii() and given.isdigit() and len(given) < 16 and int(given) <= limit):
            raise too_large(limit)
        return None if scope["path"] == UPLOADS else limit


def too_large(limit: int) -> ApiError:
    """413 that says how many bytes there may be."""
    size = f"{limit / 1_000_000:g} MB" if limit > limits.BODY_BYTES else f"{limit // 1024} KiB"
    return ApiError(
        413, "too_large", f"more than {size}", f"send at most {size}", {"Connection": "close"}
    )


def too_many(what: str, wait: float) -> ApiError:
    """429 for who has guessed wrong too often."""
    seconds = str(int(wait) + 1)
    return ApiError(
        429,
        "too_many_attempts",
        f"too many wrong {what}",
        f"try again in {seconds} s",
        {"Retry-After": seconds},
    )


def client_of(scope: Scope) -> str:
    """The address that a request comes from; of a proxy in the settings, its client's."""
    return scope["client"][0] if scope.get("client") else ""


def still_allowed(access: Access, caller: Caller) -> Callable[[], bool]:
    """Whether a caller would still be let in, for answers that take long."""
    then = access.changes

    def allowed() -> bool:
        if access.changes != then:
            return False
        return caller.cookie is None or access.sessions.valid(caller.cookie, touch=False)

    return allowed


async def _bounded(scope: Scope, receive: Receive, limit: int | None) -> Receive | None:
    """``receive`` with the whole body read, within ``limit`` bytes; None if the client is gone."""
    if limit is None or scope["method"] in SAFE:
        return receive
    body, more = bytearray(), True
    known = scope["state"]["caller"].allowed
    seconds = limits.BODY_SECONDS if known else limits.REQUEST_SECONDS
    with anyio.move_on_after(seconds) as timer:
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > limit:
                raise too_large(limit)
    if timer.cancelled_caught:
        raise ApiError(408, "too_slow", "the body did not arrive in time", "send it again")
    waiting = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


class _Answer:
    """Adds the headers, and gives errors that are not JSON the one shape.

    What has changed something says when it was answered: pages leave out news from before.
    """

    def __init__(self, send: Send, *, changes: bool) -> None:
        self._send, self._changes = send, changes
        self.started = self._replaced = False

    async def send(self, message: Message) -> None:
        """As ASGI's ``send``."""
        if self._replaced:
            return
        if message["type"] != "http.response.start":
            await self._send(message)
            return
        self.started = True
        headers = MutableHeaders(scope=message)
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        headers.setdefault("Cache-Control", "no-store")
        body, status = b"", message["status"]
        if self._changes and status < 400:
            headers[ANSWERED] = repr(time.monotonic())
        if status >= 400 and not headers.get("content-type", "").startswith("application/json"):
            self._replaced = True
            body = json.dumps(from_status(status).body()).encode()
            headers["Content-Type"], headers["Content-Length"] = "application/json", str(len(body))
        await self._send(message)
        if self._replaced:
            await self._send({"type": "http.response.body", "body": body})


def _is_public(path: str) -> bool:
    return path in PUBLIC or path.startswith("/static/")


def _host(header: str) -> str:
    """The name or address in a Host header, without its port."""
    header = header.strip().lower()
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].rstrip(".")


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _check_origin(headers: Headers) -> None:
    """Refuse what a page of another site asks for."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    try:
        foreign = origin is not None and urlsplit(origin).netloc.lower() != (
            headers.get("host", "").strip().lower()
        )
    except ValueError:
        foreign = True
    if foreign or site not in (None, "same-origin", "none"):
        raise ApiError(
            403, "other_site", "another site's page asked for this", "open the console itself"
        )
