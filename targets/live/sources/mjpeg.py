"""MJPEG over HTTP, the way most network cameras and robots serve their picture.

Read here and not by FFmpeg: half a picture is then noticed instead of filled up with grey, and
the first frame does not wait for FFmpeg to study the stream.
"""

import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

from edgecnn import __version__
from edgecnn.errors import SourceError, SourceTimeout
from edgecnn.preprocessing import Frame
from edgecnn.targets.live.sources.jpegs import JpegStream, decode
from edgecnn.targets.live.sources.timed_http import Http, Https, TimedResponse
from edgecnn.targets.live.urls import user_and_password, without_login, without_password

MULTIPART = ("multipart/x-mixed-replace", "multipart/mixed")


class MjpegDevice:
    """A live `Device` over an HTTP answer that never ends."""

    fps: float | None = None
    endless = True
    age_s = 0.0

    def __init__(self, url: str, response: TimedResponse, timeout_s: float) -> None:
        self._url = url
        self._response = response
        self._timeout_s = timeout_s
        self._stream = JpegStream(url, response.read1)
        self._picture: bytes = b""

    def wait(self) -> bool:
        """Block until the next picture has come; False if the server closed."""
        self._response.renew()
        try:
            picture = self._stream.next()
        except TimeoutError:
            raise SourceTimeout(
                f"{self._url} sent no frame for {self._timeout_s:g} s: check the camera or the "
                "server, or wait longer with --timeout."
            ) from None
        except (OSError, HTTPException) as error:
            raise SourceError(f"{self._url} broke off: {error}.") from None
        if picture is None:
            return False
        self._picture = picture
        return True

    def take(self, into: Frame | None) -> Frame | None:  # noqa: ARG002
        """Decode it; None if it was cut off or is damaged."""
        return decode(self._picture)

    def close(self) -> None:
        """Hang up."""
        self._response.close()


def open_mjpeg(url: str, timeout_s: float) -> MjpegDevice | None:
    """Connect; None if the server answers with something else than MJPEG.

    Raises `SourceError` if the server refuses, `SourceTimeout` if nobody answers. A user and
    password in the URL are given where the server asks for them (HTTP's digest or basic way).
    """
    name = without_password(url)
    try:
        response = _opener(url).open(_request(url), timeout=timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            raise SourceError(
                f"{name} answers {error.code} {error.reason}: check path and password."
            ) from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise SourceTimeout(
                f"{name} did not answer in {timeout_s:g} s: check address and network, or wait "
                "longer with --timeout."
            ) from None
        raise SourceError(
            f"{name} cannot be opened ({reason}): check that the server runs and the address."
        ) from None
    if response.headers.get_content_type() in MULTIPART:
        return MjpegDevice(name, response, timeout_s)
    response.close()
    return None


class _ClosesRefusal(urllib.request.BaseHandler):
    """The library leaves the connection that was refused open."""

    def http_error_401(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        answer = None
        try:
            answer = super().http_error_401(req, fp, code, msg, headers)  # type: ignore[misc]
        except OSError:  # the second try was refused too
            fp.close()
            raise
        if answer is not None:
            fp.close()
        return answer


class _Digest(_ClosesRefusal, urllib.request.HTTPDigestAuthHandler):
    pass


class _Basic(_ClosesRefusal, urllib.request.HTTPBasicAuthHandler):
    pass


def _opener(url: str) -> urllib.request.OpenerDirector:
    # A camera stands in the local network: a proxy for the web does not lead there.
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.ProxyHandler({}),
        Http(),
        Https(),
    ]
    if login := user_and_password(url):
        logins = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        logins.add_password(None, without_login(url), *login)
        handlers += [_Digest(logins), _Basic(logins)]
    return urllib.request.build_opener(*handlers)


def _request(url: str) -> urllib.request.Request:
    headers = {"User-Agent": f"edgecnn/{__version__}"}
    return urllib.request.Request(without_login(url), headers=headers)
