"""Models, the footage they are fitted from, jobs and uploads."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any

import anyio
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import FileResponse, Response
from starlette.requests import ClientDisconnect

from vadistill import limits
from vadistill.errors import StorageError, VideoError
from vadistill.files import private
from vadistill.serving.jobs.probe import probe
from vadistill.serving.live.described import systems
from vadistill.serving.web.api_cameras import JPEG
from vadistill.serving.web.errors import ApiError, missing, reply, responses
from vadistill.serving.web.guard import too_large
from vadistill.serving.web.schemas import Name
from vadistill.serving.web.schemas_models import (
    Footage,
    Job,
    JobEnded,
    Jobs,
    JobScores,
    Models,
    NewModel,
)

if TYPE_CHECKING:
    from vadistill.serving.hub import Hub

JobId = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,32}$", examples=["Xk3v_0aPq-9Z"])]


_PAGE: dict[int | str, dict[str, Any]] = {
    **responses(404),
    200: {"content": {"text/html": {"schema": {"type": "string"}}}},
}

_SEALED = {
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
}
"""A model's folder may come from elsewhere: no script of its page runs, with nobody's cookies."""


def model_routes(hub: Hub) -> APIRouter:
    """The addresses /api/models and /api/footage."""
    router = APIRouter(prefix="/api", tags=["models"], responses=responses())

    @router.get("/models", response_model=Models)
    def models() -> Response:
        """Fitted models, and the systems that new ones may be of."""
        return reply({"models": hub.models(), "systems": systems()})

    @router.post("/models", response_model=Job, status_code=202, responses=responses(404, 409))
    def fit(body: NewModel) -> Response:
        """Fit a model in the background."""
        source = body.footage.model_dump()
        job = hub.fit_model(body.name, body.system, source, use=body.use)
        return reply(job.as_json(), 202)

    @router.get("/models/{name}/selftest.html", responses=_PAGE, response_class=FileResponse)
    def self_test(name: Annotated[Name, Path()]) -> Response:
        """Pictures of what a model found of planted anomalies, and of what it missed."""
        page = hub.self_test_page(name)
        if page is None:
            raise missing("self-test")
        return FileResponse(page, media_type="text/html", headers=_SEALED)

    @router.get("/footage", response_model=Footage)
    def footage() -> Response:
        """What models can be fitted from."""
        return reply(hub.footage())

    return router


def job_routes(hub: Hub) -> APIRouter:
    """The addresses under /api/jobs."""
    router = APIRouter(prefix="/api/jobs", tags=["jobs"], responses=responses(404))

    def known(key: str) -> Any:
        found = hub.jobs.get(key)
        if found is None:
            raise missing("job")
        return found

    @router.get("", response_model=Jobs)
    def jobs() -> Response:
        """All jobs."""
        return reply({"jobs": [job.as_json() for job in hub.jobs.all()]})

    @router.get("/{id}", response_model=Job)
    def one(id: JobId) -> Response:
        """A job."""
        return reply(known(id).as_json())

    @router.delete("/{id}", response_model=JobEnded)
    def end(id: JobId) -> Response:
        """Cancel a job that waits or runs; remove any other."""
        known(id)
        if hub.jobs.cancel(id):
            return reply({"id": id, "action": "cancelled"})
        if not hub.jobs.remove(id):
            raise missing("job")
        return reply({"id": id, "action": "removed"})

    @router.get("/{id}/scores", response_model=JobScores)
    def scores(id: JobId, after: Annotated[int, Query(ge=0, le=2**53)] = 0) -> Response:
        """Scores of an uploaded video, from number ``after`` on."""
        found = hub.jobs.scores(id, after)
        if found is None:
            raise missing("job")
        return reply(found)

    @router.get("/{id}/picture.jpg", responses=JPEG, response_class=Response)
    def picture(id: JobId) -> Response:
        """The latest scored picture of an uploaded video, boxes drawn."""
        known(id)
        found = hub.jobs.picture(id)
        if found is None:
            raise missing("picture")
        return Response(found, media_type="image/jpeg")

    return router


log = logging.getLogger("vadistill.serving")

SNIFFED = 392
"""Bytes that tell a video's container: three packets of a transport stream."""

ANY: dict[str, Any] = {
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
}


def container(head: bytes) -> str | None:
    """The file ending of the container that ``head`` (392 bytes or all) begins; None: no video."""
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        return ".mp4"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return ".mkv"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return ".avi"
    if head.startswith(b"\x00\x00\x01\xba"):
        return ".mpg"
    # Packets of 188 bytes; a camcorder's have four bytes more, in front.
    for first, size in ((0, 188), (4, 192)):
        if len(head) > first + size and set(head[first : first + 2 * size : size]) == {0x47}:
            return ".ts"
    return None


def clean_title(title: str) -> str:
    """A client's name for its file, as a title: one line of at most 120 printable characters."""
    kept = (c if unicodedata.category(c)[0] != "C" else " " for c in title)
    return " ".join("".join(kept).split())[:120].strip() or "upload"


def upload_routes(hub: Hub) -> APIRouter:
    """The address /api/uploads."""
    router = APIRouter(prefix="/api", tags=["jobs"])
    places = threading.BoundedSemaphore(limits.UPLOADS_AT_ONCE)
    limit = hub.settings.server.upload_mb * 1_000_000

    @router.put(
        "/uploads",
        response_model=Job,
        status_code=202,
        responses=responses(404, 413, 415),
        openapi_extra={"requestBody": {"required": True, "content": ANY}},
    )
    async def upload(
        request: Request,
        model: Annotated[Name, Query()],
        title: Annotated[str, Query(max_length=1000)] = "",
    ) -> Response:
        """Score a video (mp4, mov, mkv, webm, avi, mpeg) that is the request's body."""
        models: list[str] = [m.name for m in hub.settings.models]
        if model not in models:
            raise missing("model")
        if not places.acquire(blocking=False):
            line = f"{limits.UPLOADS_AT_ONCE} uploads are under way"
            raise ApiError(429, "busy", line, "try again later")
        shown = clean_title(title)
        try:
            room = await anyio.to_thread.run_sync(hub.upload_room)
            with _temporary(hub.store.folder / "uploads") as path:
                whole = await _receive(request, path, min(limit, _some(room)))
                # Another one may have come at the same time.
                _some(await anyio.to_thread.run_sync(hub.upload_room))
                await anyio.to_thread.run_sync(_prove, whole, shown)
                job = await anyio.to_thread.run_sync(hub.score_upload, whole, shown, model)
            return reply(job.as_json(), 202)
        except ClientDisconnect:
            raise ApiError(400, "interrupted", "the upload broke off", "send it again") from None
        except OSError as error:
            log.warning("an upload cannot be written: %s", error.strerror or error)
            raise StorageError(
                f"the upload cannot be written ({error.strerror or 'failed'})",
                expected="enough free space",
                fix="free some space on the server",
            ) from error
        finally:
            places.release()

    return router


def _some(room: int) -> int:
    """Bytes there are for uploads; raises ApiError where there are none."""
    if room < 0:
        line = "videos that wait to be scored fill half of keep_gb"
        raise ApiError(429, "busy", line, "try again later, or raise keep_gb in [storage]")
    return room


@contextlib.contextmanager
def _temporary(folder: FilePath) -> Iterator[FilePath]:
    """A path without ending in ``folder``; what lies at it, with any ending, goes in the end."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / secrets.token_hex(16)
    try:
        yield path
    finally:
        for left in folder.glob(f"{path.name}*"):
            left.unlink(missing_ok=True)


async def _receive(request: Request, path: FilePath, limit: int) -> FilePath:
    """The body in a file with the ending of what it is; raises ApiError and OSError."""
    chunks = request.stream()
    head, size, ended = b"", 0, False
    while len(head) < SNIFFED and not ended:
        part = await _next(chunks)
        head, ended = head + (part or b""), part is None
    ending = container(head)
    if ending is None:
        raise ApiError(
            415,
            "no_video",
            "this is no video" if head else "nothing was sent",
            "send an mp4, mov, mkv, webm, avi or mpeg file as the body",
            {"Connection": "close"},
        )
    whole = path.with_suffix(ending)
    with open(whole, "wb", opener=private) as file:
        part: bytes | None = head
        while part is not None:
            size += len(part)
            if size > limit:
                raise too_large(limit)
            await anyio.to_thread.run_sync(file.write, part)
            part = None if ended else await _next(chunks)
        file.flush()
        await anyio.to_thread.run_sync(os.fsync, file.fileno())
    return whole


async def _next(chunks: Any) -> bytes | None:
    try:
        with anyio.fail_after(limits.UPLOAD_STALLED_SECONDS):
            return await anext(chunks, None)
    except TimeoutError:
        raise ApiError(408, "too_slow", "the upload stalled", "send it again") from None


def _prove(path: FilePath, title: str) -> None:
    """Raise VideoError, in which the file goes by its title, unless a picture can be decoded."""
    try:
        probe(path)
    except VideoError as error:
        got = error.got.replace(str(path), f"'{title}'")
        raise VideoError(got, expected=error.expected, fix=error.fix) from None
