"""Who gets in, and how what is served is fenced off."""

from collections.abc import Awaitable, Callable
from importlib import resources

from aiohttp import web

from edgecnn.targets.live.web.access import Access

COOKIE = "edgecnn_token"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
ASK_FOR_TOKEN = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>edgecnn</title>
<link rel="stylesheet" href="/page.css"><form action="/" method="get">
<label for="token">Token, as edgecnn printed it when it started</label>
<input id="token" name="token" type="password" autocomplete="current-password" autofocus required>
<button>Open</button></form></html>"""
OPEN_PATHS = ("/healthz", "/page.css")
KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def refusal(access: Access, request: web.Request) -> web.Response | None:
    """The answer to a request that may not pass as it is; None if it may."""
    if not access.is_addressed_by(request.host):
        return web.Response(status=403, text="This page answers to loopback names only.")
    given = request.query.get("token")
    if access.token and given is not None and access.admits(given):
        # Into a cookie, out of the address bar and the browser's history.
        moved = web.Response(status=303, headers={**HEADERS, "Location": request.path})
        moved.set_cookie(COOKIE, given, httponly=True, samesite="Strict")
        return moved
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if request.path in OPEN_PATHS or access.admits(request.cookies.get(COOKIE) or bearer):
        return None
    return web.Response(status=401, text=ASK_FOR_TOKEN, content_type="text/html", headers=HEADERS)


def file(name: str, package: str) -> Handler:
    """Serves a file of a package."""
    body = (resources.files(package) / name).read_bytes()
    kind = KINDS[name.rpartition(".")[2]]

    async def serve(request: web.Request) -> web.StreamResponse:  # noqa: ARG001
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=HEADERS)

    return serve
