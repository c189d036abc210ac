"""Releases and their files. The only routes from which participant data can leave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse

from gateway.api.auth import CurrentActor, CurrentEnv
from gateway.api.bodies import ReleaseBody, ReturnBody
from gateway.api.problems import problem
from gateway.delivery.ranges import Unsatisfiable, parse_range
from gateway.env import Actor, Env
from gateway.errors import NotFound, Unavailable
from gateway.handover import CHARGE, CHUNK, OpenedFile, charge, list_files, may_carry, may_go_on, open_file, settle
from gateway.release import request_release
from gateway.returns import request_return

router = APIRouter(tags=["releases"])
SHOWN = (
    *("id", "action", "state", "outcome", "decision", "dataset_id", "view_id", "item_id", "successor_id", "trouble"),
    "requested_at",
)


@router.post("/releases", status_code=202)
def request(
    body: ReleaseBody, env: CurrentEnv, actor: CurrentActor, http: Request, response: Response
) -> dict[str, Any]:
    """Ask for a release; it goes on by itself."""
    row = request_release(
        env, actor, item_id=body.item_id, view_id=body.view_id, release_id=body.id, on_medium=body.on_medium
    )
    http.app.state.worker.wake()
    response.headers["Location"] = f"/releases/{row['id']}"
    return _public(row)


@router.post("/returns", status_code=202)
def request_own(
    body: ReturnBody, env: CurrentEnv, actor: CurrentActor, http: Request, response: Response
) -> dict[str, Any]:
    """Ask for the originals of one's own institution's dataset; a release like any other from there on."""
    row = request_return(env, actor, dataset_id=body.dataset_id, key_id=body.key_id, release_id=body.id)
    http.app.state.worker.wake()
    response.headers["Location"] = f"/releases/{row['id']}"
    return _public(row)


@router.get("/releases")
def releases(env: CurrentEnv, actor: CurrentActor) -> list[dict[str, Any]]:
    """My releases."""
    return [_public(row) for row in env.uow.read(lambda tx: tx.find("release", requester_id=actor.person_id))]


@router.get("/releases/{release_id}")
def release(release_id: str, env: CurrentEnv, actor: CurrentActor) -> dict[str, Any]:
    """One release and where it stands."""
    return _public(_own(env, actor, release_id))


@router.get("/releases/{release_id}/files")
def files(release_id: str, env: CurrentEnv, actor: CurrentActor) -> list[dict[str, Any]]:
    """The files of an available release."""
    return list_files(env, actor, release_id)


@router.get("/releases/{release_id}/files/{name}")
def fetch(
    release_id: str,
    name: str,
    env: CurrentEnv,
    actor: CurrentActor,
    http: Request,
    range_: str | None = Header(default=None, alias="Range"),
    if_range: str | None = Header(default=None),
) -> Response:
    """The sealed bytes, whole or a range (RFC 9110 section 14)."""
    guard = http.app.state.guard
    if not guard.fresh():
        raise Unavailable("the gateway cannot see revocations right now; no byte leaves, try again")
    seen = guard.value
    opened = open_file(env, actor, release_id, name)
    etag = f'"{opened.etag}"'
    try:
        part = parse_range(range_ if if_range in (None, etag) else None, opened.size)
    except Unsatisfiable:
        settle(env, opened, sent=(0, 0))
        return problem(416, "range_not_satisfiable", f"the file has {opened.size} bytes")
    start, end = part or (0, opened.size)
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Content-Length": str(end - start),
        "Cache-Control": "private, no-store",
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
    }
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{opened.size}"
    session = _Session(env, actor, opened, guard, seen)
    return StreamingResponse(
        session.stream(start, end),
        status_code=206 if part else 200,
        headers=headers,
        media_type="application/octet-stream",
    )


class _Session:
    """One stream: charges ahead, looks at the epoch before each chunk, settles at its end whatever the end was."""

    def __init__(self, env: Env, actor: Actor, opened: OpenedFile, guard: Any, seen: int) -> None:
        self._env, self._actor, self._opened, self._guard, self._seen = env, actor, opened, guard, seen

    async def stream(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Chunks of sealed bytes; a stop in the middle breaks the connection, so no client takes it for an end."""
        sent, charged = start, start
        stored = await anyio.to_thread.run_sync(self._open)
        try:
            stored.seek(start)
            while sent < end:
                await self._still_allowed()
                if sent >= charged:
                    charged = min(end, sent + CHARGE)
                    await anyio.to_thread.run_sync(self._charge, sent, charged)
                chunk = stored.read(min(CHUNK, end - sent, charged - sent))
                yield chunk
                sent += len(chunk)
        finally:
            stored.close()
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._settle, start, sent)

    def _open(self) -> Any:
        return self._env.copies.open(self._opened.stored)

    def _charge(self, start: int, end: int) -> None:
        charge(self._env, self._opened, start=start, end=end)

    def _settle(self, start: int, sent: int) -> None:
        settle(self._env, self._opened, sent=(start, sent))

    async def _still_allowed(self) -> None:
        if not self._guard.fresh():
            raise Unavailable("the gateway cannot see revocations right now")
        if self._guard.value != self._seen:
            seen = self._guard.value
            if not await anyio.to_thread.run_sync(may_go_on, self._env, self._actor, self._opened):
                raise Unavailable("this copy was killed while it was being sent")
            self._seen = seen


def _own(env: Env, actor: Actor, release_id: str) -> dict[str, Any]:
    row = env.uow.read(lambda tx: tx.get("release", release_id))
    if row is None or not (row["requester_id"] == actor.person_id or may_carry(actor, row)):
        raise NotFound("release")
    return dict(row)


def _public(row: Any) -> dict[str, Any]:
    return {key: row[key] for key in SHOWN}
