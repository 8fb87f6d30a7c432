"""The HTTP server of the page: aiohttp in a thread of its own."""

import asyncio
import threading
from concurrent.futures import Future
from contextlib import suppress

from aiohttp import web

from edgecnn.errors import EdgeCnnError
from edgecnn.targets.live.pulse import Pulse
from edgecnn.targets.live.web.access import Access
from edgecnn.targets.live.web.broadcast import Broadcast
from edgecnn.targets.live.web.guard import HEADERS, Handler, file, refusal
from edgecnn.targets.live.web.metrics import Metrics
from edgecnn.targets.live.web.status import Status
from edgecnn.targets.live.web.visitors import ASK_S, Visitors

STATUS_S = 0.25
JPEGS = "multipart/x-mixed-replace; boundary=frame"
NEXT = b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n"
"""Sent behind each picture: Chromium shows one only when the next one's headers have come."""
PACKAGE = "edgecnn.targets.live.web"


class Server:
    """Serves the page until closed; raises `EdgeCnnError` if the address cannot be had."""

    def __init__(self, access: Access, status: Status, metrics: Metrics, pulse: Pulse) -> None:
        self._access, self._status, self._metrics = access, status, metrics
        self._pulse = pulse
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self.pictures, self.explanations, self._events = Broadcast(), Broadcast(), Broadcast()
        self._visitors: Visitors | None = None
        runner = web.AppRunner(
            self._app(), access_log=None, shutdown_timeout=0.1, keepalive_timeout=ASK_S
        )
        # A failure to start, such as an address in use, is raised here and not in the thread.
        started: Future[int] = Future()
        self._thread = threading.Thread(
            target=lambda: self._loop.run_until_complete(self._serve(runner, started)),
            name="web",
            daemon=True,
        )
        self._thread.start()
        try:
            self.port = started.result()
        except OSError as error:
            self._thread.join()
            self._loop.close()
            raise EdgeCnnError(
                f"--web {access.host}:{access.port}: {error.strerror or error}. Choose another "
                "port, or an address of this machine."
            ) from None

    @property
    def url(self) -> str:
        """Where the page is."""
        return self._access.url(self.port)

    def publish_picture(self, jpeg: bytes) -> None:
        """Send a JPEG to every viewer; from any thread."""
        self._publish(self.pictures, jpeg)

    def publish_explanation(self, jpeg: bytes) -> None:
        """Likewise, to all who want to see where the network looked."""
        self._publish(self.explanations, jpeg)

    def _publish(self, viewers: Broadcast, jpeg: bytes) -> None:
        try:
            self._loop.call_soon_threadsafe(viewers.publish, jpeg + NEXT)
        except RuntimeError:
            if not self._loop.is_closed():  # closed meanwhile: nobody is watching any more
                raise

    def close(self) -> None:
        """Hang up on every viewer and stop."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self, runner: web.AppRunner, started: "Future[int]") -> None:
        listening: asyncio.Server | None = None
        try:
            await runner.setup()
            assert runner.server is not None
            self._visitors = Visitors(runner.server)
            listening = await self._loop.create_server(
                self._visitors, self._access.host, self._access.port, reuse_address=True
            )
            started.set_result(listening.sockets[0].getsockname()[1])
            while not self._stopping.is_set():
                if self._events.readers:
                    self._events.publish(b"data: " + self._status.to_json() + b"\n\n")
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), STATUS_S)
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)
        finally:
            if listening is not None:
                listening.close()
            await runner.cleanup()
            late = asyncio.all_tasks() - {asyncio.current_task()}  # who came meanwhile
            for visitor in late:
                visitor.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _app(self) -> web.Application:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            assert self._visitors is not None
            self._visitors.asks(request)
            return refusal(self._access, request) or await handler(request)

        app = web.Application(middlewares=[guard])
        files = {"/": "page.html", "/page.css": "page.css", "/page.js": "page.js"}
        for path, name in files.items():
            app.router.add_get(path, file(name, PACKAGE))
        app.router.add_get("/picture.mjpeg", self._picture)
        app.router.add_get("/explained.mjpeg", self._explained)
        app.router.add_get("/status", self._status_events)
        app.router.add_get("/history", self._history)
        app.router.add_get("/metrics", self._metrics_text)
        app.router.add_get("/healthz", self._health)
        return app

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        return await _stream(request, self.pictures, JPEGS)

    async def _explained(self, request: web.Request) -> web.StreamResponse:
        return await _stream(request, self.explanations, JPEGS)

    async def _status_events(self, request: web.Request) -> web.StreamResponse:
        return await _stream(request, self._events, "text/event-stream")

    async def _history(self, request: web.Request) -> web.Response:  # noqa: ARG002
        return web.Response(
            body=self._status.history_json(), content_type="application/json", headers=HEADERS
        )

    async def _metrics_text(self, request: web.Request) -> web.Response:  # noqa: ARG002
        return web.Response(
            body=self._metrics.exposition(),
            headers={**HEADERS, "Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    async def _health(self, request: web.Request) -> web.Response:  # noqa: ARG002
        stuck = self._pulse.stuck()
        answer = {
            "stuck": stuck,
            "live": self._status.live,
            "silent_s": round(self._status.silent_s, 1),
        }
        return web.json_response(answer, status=503 if stuck else 200, headers=HEADERS)


async def _stream(request: web.Request, source: Broadcast, content_type: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={**HEADERS, "Content-Type": content_type})
    number = 0
    source.readers += 1
    try:
        await response.prepare(request)
        if content_type == JPEGS:
            await response.write(NEXT.lstrip())
        while True:
            number, message = await source.newer_than(number)
            await response.write(message)
    except ConnectionError:
        return response  # the viewer left, as viewers do
    finally:
        source.readers -= 1
