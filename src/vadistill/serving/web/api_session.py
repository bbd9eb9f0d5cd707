"""Signing in and out."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

import vadistill
from vadistill.serving.web.auth import KNOWN_SECONDS, LIFE_SECONDS, Access, csrf_token
from vadistill.serving.web.errors import ApiError, reply, responses
from vadistill.serving.web.guard import Caller, client_of, too_many
from vadistill.serving.web.schemas import SessionState, SignIn


def session_routes(access: Access) -> APIRouter:
    """The address /api/session."""
    router = APIRouter(prefix="/api/session", tags=["session"], responses=responses())

    @router.get("", response_model=SessionState)
    def show(request: Request) -> Response:
        """Whether a password is required, and whether this browser has given it."""
        return reply(_state(access, request.state.caller))

    @router.post("", response_model=SessionState)
    def sign_in(request: Request, body: SignIn) -> Response:
        """Give the password; sets a cookie."""
        if not access.required:
            return reply(_state(access, request.state.caller))
        browser = request.cookies.get(access.browser_cookie, "")
        cookie, wait = access.sign_in(body.password, client_of(request.scope), browser)
        if wait > 0:
            raise too_many("passwords", wait)
        if cookie is None:
            raise ApiError(401, "wrong_password", "the password is wrong", "try again")
        answer = reply(_state(access, Caller(True, cookie)))
        # Behind a proxy that ends TLS, only the browser tells how the page came to it.
        https = request.url.scheme == "https" or request.headers.get("origin", "").startswith(
            "https://"
        )
        if access.browsers.name(browser) is None:
            browser = access.browsers.new()
        for name, value, seconds in (
            (access.cookie, cookie, LIFE_SECONDS),
            (access.browser_cookie, browser, KNOWN_SECONDS),
        ):
            answer.set_cookie(
                name,
                value,
                max_age=int(seconds),
                httponly=True,
                samesite="strict",
                secure=https,
            )
        return answer

    @router.delete("", response_model=SessionState)
    def sign_out(request: Request) -> Response:
        """End this browser's session."""
        cookie = request.state.caller.cookie
        if cookie:
            access.sessions.end(cookie)
        answer = reply(_state(access, Caller(not access.required)))
        answer.delete_cookie(access.cookie, httponly=True, samesite="strict")
        return answer

    return router


def _state(access: Access, caller: Caller) -> dict[str, Any]:
    return {
        "required": access.required,
        "signed_in": caller.allowed,
        "csrf": csrf_token(caller.cookie) if caller.cookie else None,
        "version": vadistill.__version__,
    }
