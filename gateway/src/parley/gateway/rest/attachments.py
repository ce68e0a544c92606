"""Upload attachments as multipart forms, download them whole or by range."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

import orjson
import structlog
from aiohttp import web

from parley.gateway.core.errors import ChatError, Invalid
from parley.gateway.rest.byte_range import Unsatisfiable, requested_range
from parley.gateway.rest.file_part import FilePart
from parley.gateway.rest.form_body import BodyTooSlow, MinDataRate
from parley.gateway.services.attachments import AttachmentService, Download, too_large
from parley.gateway.state.answer_budget import AnswerBudget
from parley.gateway.state.rates import Rates
from parley.shared.http_server import add_route
from parley.shared.model import Attachment, Person

log = structlog.get_logger()

PATH = "/attachments"
FORM_BYTES = 128 * 1024
"""The most that a form may add to its file, in bytes; a longer request is refused unread."""
MIN_DATA_RATE = MinDataRate()
HELD_BYTES = 512 * 1024
"""Bytes of a large file that a download may have in memory: a piece that was read, and one to be sent."""
INLINE = ("image/", "audio/", "video/")
"""Types that a browser may display; it saves all others."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RangeNotSatisfiable(ChatError):
    """The file has none of the requested bytes."""

    code = "RANGE_NOT_SATISFIABLE"


class AttachmentRoutes:
    """Serves uploads and downloads below `/attachments`.

    Args:
        attachments: Stores and finds files.
        max_upload: The largest file, in bytes.
        authenticate: Counts a request and returns its user; raises a `ChatError` for one that is refused.
        refuse: Makes the response for an error.
        rates: Limits each user's uploads and downloads.
        min_data_rate: The slowest acceptable upload.
    """

    def __init__(
        self,
        attachments: AttachmentService,
        *,
        max_upload: int,
        authenticate: Callable[[web.Request], Awaitable[Person]],
        refuse: Callable[[ChatError], web.Response],
        rates: Rates,
        min_data_rate: MinDataRate = MIN_DATA_RATE,
    ) -> None:
        self._attachments = attachments
        self._max_upload = max_upload
        self._authenticate = authenticate
        self._refuse = refuse
        self._rates = rates
        self._min_data_rate = min_data_rate
        # Not the budget of other answers: a file may take minutes on a slow line.
        self._downloads = AnswerBudget()

    def mount(self, app: web.Application) -> None:
        """Add the routes to an application."""
        add_route(app, "POST", PATH, self._with_errors(self._upload))
        for method in ("GET", "HEAD"):
            add_route(app, method, PATH + "/{attachmentId}", self._with_errors(self._download))

    def _with_errors(self, handler: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except BodyTooSlow as error:
                return self._refuse_slow_body(error)
            except ChatError as error:
                return self._refuse(error)
            except web.HTTPException:
                raise
            except (ConnectionError, web.RequestPayloadError):
                # The client has usually disconnected; the response is for one that has not.
                return self._refuse(Invalid("The request body is incomplete."))
            except Exception:
                log.exception("gateway.rest.request_failed", path=PATH)
                return self._refuse(ChatError("Something went wrong."))

        return handle

    async def _upload(self, request: web.Request) -> web.Response:
        person = await self._authenticate(request)
        self._rates.count("creates", person.id)
        if (request.content_length or 0) > self._max_upload + FORM_BYTES:
            raise too_large(self._max_upload)
        part = FilePart(request, self._min_data_rate)
        name = await part.find()
        attachment = await self._attachments.upload(person, name, part.chunks(), request.content_length)
        body = {"success": True, "attachment": attachment_payload(attachment)}
        headers = {"Cache-Control": "no-store", "Location": url_of(attachment)}
        return web.Response(
            body=orjson.dumps(body), status=201, content_type="application/json", headers=headers
        )

    async def _download(self, request: web.Request) -> web.StreamResponse:
        person = await self._authenticate(request)
        self._rates.count("reads", person.id)
        download = await self._attachments.open(person, request.match_info["attachmentId"].lower())
        attachment = download.attachment
        headers = _headers(attachment)
        if _is_known(request, headers["ETag"]):
            return web.Response(status=304, headers=headers)
        try:
            byte_range = requested_range(request, attachment.size, headers["ETag"])
        except Unsatisfiable:
            return self._refuse_range(attachment)
        start, stop = byte_range or (0, attachment.size)
        if byte_range is not None:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{attachment.size}"
        response = web.StreamResponse(status=206 if byte_range else 200, headers=headers)
        response.content_length = stop - start
        if request.method == "HEAD":
            await response.prepare(request)
            return response
        # A client that does not read holds a piece in memory and, of S3, one of few connections.
        async with self._downloads.hold(person.id, min(stop - start, HELD_BYTES)):
            return await _send(request, response, download, start, stop)

    def _refuse_slow_body(self, error: BodyTooSlow) -> web.Response:
        response = self._refuse(error)
        response.set_status(408)
        # To reuse the connection aiohttp would read the rest of the body, at the same slow rate.
        response.force_close()
        return response

    def _refuse_range(self, attachment: Attachment) -> web.Response:
        response = self._refuse(RangeNotSatisfiable("The file has none of the requested bytes."))
        response.set_status(416)
        response.headers["Content-Range"] = f"bytes */{attachment.size}"
        return response


def url_of(attachment: Attachment) -> str:
    """Return the path of an attachment's download."""
    return f"{PATH}/{attachment.id}"


def attachment_payload(attachment: Attachment) -> dict[str, Any]:
    """Make the payload that describes an attachment."""
    return {
        "id": attachment.id,
        "name": attachment.name,
        "size": attachment.size,
        "type": attachment.type,
        "url": url_of(attachment),
    }


async def _send(
    request: web.Request, response: web.StreamResponse, download: Download, start: int, stop: int
) -> web.StreamResponse:
    async with aclosing(download.read(start, stop)) as chunks:
        # An error before the first chunk can still be sent: the response has not started.
        first = await anext(chunks)
        await response.prepare(request)
        try:
            await response.write(first)
            async for chunk in chunks:
                await response.write(chunk)
        except ChatError as error:
            log.warning(
                "gateway.attachments.download_failed", attachment=download.attachment.id, error=str(error)
            )
            _abort(request)
            return response
    await response.write_eof()
    return response


def _abort(request: web.Request) -> None:
    """Abort the connection, so that the client does not take a part of the file for the whole."""
    if request.transport is not None:
        request.transport.abort()


def _headers(attachment: Attachment) -> dict[str, str]:
    """Make the headers of a file's responses; no browser may run the file as a page of this origin."""
    kind = "inline" if attachment.type.startswith(INLINE) else "attachment"
    # A text in another charset than UTF-8 has it in its type.
    charset = "; charset=utf-8" if attachment.type == "text/plain" else ""
    return {
        "Content-Type": attachment.type + charset,
        "Content-Disposition": disposition(kind, attachment.name),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Referrer-Policy": "no-referrer",
        # Browsers may store the file but must revalidate it: a removed member must not read it from a cache.
        "Cache-Control": "private, no-cache",
        "ETag": f'"{attachment.id}"',
        "Accept-Ranges": "bytes",
    }


def disposition(kind: str, name: str) -> str:
    """Make a `Content-Disposition` (RFC 6266) with the full name, and an ASCII one for older clients."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"


def _is_known(request: web.Request, etag: str) -> bool:
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")]
    return etag in known or known == ["*"]
