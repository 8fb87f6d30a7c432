"""The labelling page over HTTP."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from edgecnn import strict_json
from edgecnn.errors import DataError, EdgeCnnError
from edgecnn.inbox import FRAMES
from edgecnn.labelling.labels import person
from edgecnn.labelling.session import Session, view_of
from edgecnn.opencv import opencv
from edgecnn.pictures import read_picture
from edgecnn.targets.live.web.access import Access
from edgecnn.targets.live.web.guard import HEADERS, Handler, file, refusal

PACKAGE = "edgecnn.labelling"
LARGEST_SIDE = 512
"""Of a picture in a group; the whole one is shown when asked for."""
UNCHANGING = {**HEADERS, "Cache-Control": "private, max-age=31536000, immutable"}
"""A picture's name is its hash."""


def serve(session: Session, access: Access, ready: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C or SIGTERM; `ready` is told its address.

    Raises `EdgeCnnError` where the address cannot be had.
    """
    asyncio.run(_serve(session, access, ready))


async def _serve(session: Session, access: Access, ready: Callable[[str], None]) -> None:
    ended = asyncio.Event()
    runner = web.AppRunner(app(session, access), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, access.host, access.port, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            raise EdgeCnnError(
                f"--web {access.host}:{access.port}: {error.strerror or error}. Choose another "
                "port, or an address of this machine."
            ) from None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError, RuntimeError):  # Windows, or not the main thread
                loop.add_signal_handler(number, ended.set)
        port = runner.addresses[0][1]
        ready(access.url(port))
        await ended.wait()
    finally:
        await runner.cleanup()


def app(session: Session, access: Access) -> web.Application:
    """The page's addresses: what is read, and the two that change something."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = refusal(access, request) or _from_elsewhere(request)
        if refused is not None:
            return refused
        try:
            return await handler(request)
        except DataError as error:
            return web.json_response({"error": str(error)}, status=400, headers=HEADERS)

    async def state(request: web.Request) -> web.StreamResponse:  # noqa: ARG001
        return await _json(session.state)

    async def group(request: web.Request) -> web.StreamResponse:
        asked = request.query
        after = asked.get("after", "-1")
        if not after.lstrip("-").isdecimal() or len(after) > 9:
            raise DataError("`after` is the number of a group.")
        view, by = view_of(asked.get("view", "alike")), person(asked.get("by", ""))
        return await _json(lambda: session.group(view, int(after), by))

    async def label(request: web.Request) -> web.StreamResponse:
        said = await _body(request, files=list, label=str, by=str, view=str)
        if not said["files"] or not all(isinstance(one, str) for one in said["files"]):
            raise DataError("`files` are the names of frames.")

        def give() -> dict[str, Any]:
            session.give(said["files"], said["label"], said["by"], view_of(said["view"]))
            return session.state()

        return await _json(give)

    async def undo(request: web.Request) -> web.StreamResponse:
        said = await _body(request, by=str, view=str)

        def take_back() -> dict[str, Any]:
            undone = session.undo(person(said["by"]), view_of(said["view"]))
            return {**session.state(), **undone}

        return await _json(take_back)

    async def picture(request: web.Request) -> web.StreamResponse:
        name = f"{FRAMES}/{request.match_info['name']}"
        if not session.has(name):
            raise web.HTTPNotFound
        whole = "whole" in request.query
        data = await asyncio.to_thread(_whole if whole else _small, session.folder / name)
        kind = "image/png" if name.endswith(".png") and whole else "image/jpeg"
        return web.Response(body=data, content_type=kind, headers=UNCHANGING)

    made = web.Application(middlewares=[guard], client_max_size=4 << 20)
    for path, name in {"/": "page.html", "/page.css": "page.css", "/page.js": "page.js"}.items():
        made.router.add_get(path, file(name, PACKAGE))
    made.router.add_get("/state", state)
    made.router.add_get("/group", group)
    made.router.add_get(f"/{FRAMES}/{{name}}", picture)
    made.router.add_post("/label", label)
    made.router.add_post("/undo", undo)
    return made


def _from_elsewhere(request: web.Request) -> web.Response | None:
    """Another site's page that lets the browser of who labels post to us; None for our own."""
    if request.method != "POST":
        return None
    origin = request.headers.get("Origin")
    ours = origin is None or origin.partition("//")[2] == request.host
    if ours and request.content_type == "application/json":
        return None
    return web.Response(status=403, text="Labels come as JSON, from this page alone.")


async def _body(request: web.Request, **types: type) -> dict[str, Any]:
    try:
        found = strict_json.parse(await request.read())
        strict_json.typed(found, **types)
        return {name: found[name] for name in types}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"This is no label: {error}.") from None


async def _json(work: Callable[[], Any]) -> web.Response:
    return web.json_response(await asyncio.to_thread(work), headers=HEADERS)


def _whole(path: Path) -> bytes:
    return path.read_bytes()


def _small(path: Path) -> bytes:
    cv2, image = opencv(), read_picture(path)
    scale = LARGEST_SIDE / max(image.shape[:2])
    if scale >= 1 and path.suffix == ".jpg":
        return path.read_bytes()
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    data: bytes = cv2.imencode(".jpg", image)[1].tobytes()
    return data
