"""The paths of attachments: a file comes in as a form's part, and goes out in whole or in ranges."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

import orjson
import structlog
from aiohttp import web

from parley.gateway.core.errors import ChatError, Invalid
from parley.gateway.rest.byte_range import Unsatisfiable, wanted
from parley.gateway.rest.file_part import FilePart
from parley.gateway.rest.form_body import Pace, TooSlow
from parley.gateway.services.attachments import AttachmentService, Download, too_large
from parley.gateway.state.rates import Rates
from parley.shared.model import Attachment, Person

log = structlog.get_logger()

PATH = "/attachments"
FORM_BYTES = 128 * 1024
"""What a form may have besides its file."""
PACE = Pace()
SHOWN = ("image/", "audio/", "video/")
"""What a browser may show in place; all else it saves."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RangeNotSatisfiable(ChatError):
    """None of the bytes that are wanted exist."""

    code = "RANGE_NOT_SATISFIABLE"


class AttachmentPaths:
    """Serves attachments over HTTP."""

    def __init__(
        self,
        attachments: AttachmentService,
        *,
        max_upload: int,
        asker: Callable[[web.Request], Awaitable[Person]],
        refuse: Callable[[ChatError], web.Response],
        rates: Rates,
        pace: Pace = PACE,
    ) -> None:
        self._attachments = attachments
        self._max_upload = max_upload
        self._asker = asker
        self._refuse = refuse
        self._rates = rates
        self._pace = pace

    def mount(self, app: web.Application) -> None:
        """Add the paths to an application."""
        app.router.add_route("POST", PATH, self._guarded(self._upload))
        for method in ("GET", "HEAD"):
            app.router.add_route(method, PATH + "/{attachmentId}", self._guarded(self._download))

    def _guarded(self, handler: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except TooSlow as error:
                return self._refuse_slow(error)
            except ChatError as error:
                return self._refuse(error)
            except web.HTTPException:
                raise
            except (ConnectionError, web.RequestPayloadError):
                # Mostly the client is gone, and does not hear this any more.
                return self._refuse(Invalid("The body broke off."))
            except Exception:
                log.exception("a request failed", path=PATH)
                return self._refuse(ChatError("Something went wrong."))

        return handle

    async def _upload(self, request: web.Request) -> web.Response:
        person = await self._asker(request)
        self._rates.count("creates", person.id)
        if (request.content_length or 0) > self._max_upload + FORM_BYTES:
            raise too_large(self._max_upload)
        part = FilePart(request, self._pace)
        name = await part.find()
        attachment = await self._attachments.upload(person, name, part.chunks())
        body = {"success": True, "attachment": described(attachment)}
        headers = {"Cache-Control": "no-store", "Location": url_of(attachment)}
        return web.Response(
            body=orjson.dumps(body), status=201, content_type="application/json", headers=headers
        )

    async def _download(self, request: web.Request) -> web.StreamResponse:
        person = await self._asker(request)
        self._rates.count("reads", person.id)
        download = await self._attachments.open(person, request.match_info["attachmentId"])
        attachment = download.attachment
        headers = _headers(attachment)
        if _is_known(request, headers["ETag"]):
            return web.Response(status=304, headers=headers)
        try:
            part = wanted(request, attachment.size, headers["ETag"])
        except Unsatisfiable:
            return self._refuse_range(attachment)
        start, stop = part or (0, attachment.size)
        if part is not None:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{attachment.size}"
        answer = web.StreamResponse(status=206 if part else 200, headers=headers)
        answer.content_length = stop - start
        if request.method == "HEAD":
            await answer.prepare(request)
            return answer
        return await _send(request, answer, download, start, stop)

    def _refuse_slow(self, error: TooSlow) -> web.Response:
        answer = self._refuse(error)
        answer.set_status(408)
        # The rest would come as slowly.
        answer.force_close()
        return answer

    def _refuse_range(self, attachment: Attachment) -> web.Response:
        answer = self._refuse(RangeNotSatisfiable("The file has no such bytes."))
        answer.set_status(416)
        answer.headers["Content-Range"] = f"bytes */{attachment.size}"
        return answer


def url_of(attachment: Attachment) -> str:
    """The path at which an attachment is read."""
    return f"{PATH}/{attachment.id}"


def described(attachment: Attachment) -> dict[str, Any]:
    """An attachment as clients see it."""
    return {
        "id": attachment.id,
        "name": attachment.name,
        "size": attachment.size,
        "type": attachment.type,
        "url": url_of(attachment),
    }


async def _send(
    request: web.Request, answer: web.StreamResponse, download: Download, start: int, stop: int
) -> web.StreamResponse:
    async with aclosing(download.read(start, stop)) as chunks:
        # What fails before the first byte can still be told.
        first = await anext(chunks)
        await answer.prepare(request)
        try:
            await answer.write(first)
            async for chunk in chunks:
                await answer.write(chunk)
        except ChatError as error:
            log.warning("a download broke off", attachment=download.attachment.id, error=str(error))
            _cut(request)
            return answer
    await answer.write_eof()
    return answer


def _cut(request: web.Request) -> None:
    """End the connection, so that the client does not take what it has for the whole."""
    if request.transport is not None:
        request.transport.abort()


def _headers(attachment: Attachment) -> dict[str, str]:
    """What goes with every answer that is about a file: nothing in it may ever run as a page of ours."""
    shown = "inline" if attachment.type.startswith(SHOWN) else "attachment"
    charset = "; charset=utf-8" if attachment.type.startswith("text/") else ""
    return {
        "Content-Type": attachment.type + charset,
        "Content-Disposition": disposition(shown, attachment.name),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Referrer-Policy": "no-referrer",
        # Kept by browsers, but asked about: who was removed must not go on reading.
        "Cache-Control": "private, no-cache",
        "ETag": f'"{attachment.id}"',
        "Accept-Ranges": "bytes",
    }


def disposition(kind: str, name: str) -> str:
    """`Content-Disposition` (RFC 6266): the name in full, and in ASCII for what cannot read that."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"


def _is_known(request: web.Request, etag: str) -> bool:
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")]
    return etag in known or known == ["*"]
