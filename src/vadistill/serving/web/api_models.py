"""Models, the footage they are fitted from, jobs, and sinks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from vadistill.serving.live.models import systems
from vadistill.serving.web.api_cameras import JPEG
from vadistill.serving.web.bodies import NewModel
from vadistill.serving.web.errors import missing, reply, responses
from vadistill.serving.web.schemas import Footage, Job, JobEnded, Jobs, JobScores, Models, Sinks

if TYPE_CHECKING:
    from vadistill.serving.hub import Hub

JobId = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,32}$", examples=["Xk3v_0aPq-9Z"])]


def model_routes(hub: Hub) -> APIRouter:
    """The addresses /api/models, /api/footage and /api/sinks."""
    router = APIRouter(prefix="/api", tags=["models"], responses=responses())

    @router.get("/models", response_model=Models)
    def models() -> Response:
        """Fitted models, and the systems that new ones may be of."""
        return reply({"models": hub.models(), "systems": systems()})

    @router.post("/models", response_model=Job, status_code=202, responses=responses(404, 409))
    def fit(body: NewModel) -> Response:
        """Fit a model in the background."""
        return reply(
            hub.fit_model(body.name, body.system, body.footage.model_dump()).as_json(), 202
        )

    @router.get("/footage", response_model=Footage)
    def footage() -> Response:
        """What models can be fitted from."""
        return reply(hub.footage())

    @router.get("/sinks", response_model=Sinks, tags=["sinks"])
    def sinks() -> Response:
        """Where events are sent, and how that goes."""
        return reply({"sinks": hub.sinks()})

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
