"""The paths of attachments, as OpenAPI says it; no vocabulary's table has them."""

from parley.gateway.api_docs.refusals import Refusals
from parley.gateway.api_docs.schemas import Json
from parley.gateway.protocols.serializer import Serializer, always, one
from parley.gateway.protocols.standard_events import ATTACHMENT
from parley.gateway.rest.attachments import PATH
from parley.gateway.rest.file_part import FIELD

TAG = {
    "name": "attachments",
    "description": "Files, which messages of every vocabulary refer to by their ids.",
}
UPLOADED = Serializer("Uploaded", {"success": always(True), "attachment": one(ATTACHMENT, "")})
ID = {
    "name": "attachmentId",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "minLength": 1},
}
ONE = PATH + "/{attachmentId}"


def paths(refusals: Refusals, max_upload: int) -> Json:
    """The paths; a file has at most `max_upload` bytes."""
    return {
        PATH: {"post": _upload(refusals, max_upload)},
        ONE: {"get": _download(refusals), "head": _look(refusals)},
    }


def _upload(refusals: Refusals, max_upload: int) -> Json:
    file = {
        "description": f"At most {max_upload} bytes; its type is found in its bytes.",
        "contentMediaType": "application/octet-stream",
    }
    form = {"type": "object", "properties": {FIELD: file}, "required": [FIELD]}
    url = {"description": "Where it is read.", "required": True, "schema": {"type": "string"}}
    uploaded = {
        "description": "It is stored; for a day it waits for a message that refers to it.",
        "headers": {"Location": url},
        "content": {"application/json": {"schema": refusals.schemas.of_form(UPLOADED)}},
    }
    return {
        "operationId": "uploadAttachment",
        "tags": [TAG["name"]],
        "summary": "Upload a file",
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}},
        "responses": {"201": uploaded, **refusals.of([400, 401, 408, 413, 415, 429, 503])},
    }


def _download(refusals: Refusals) -> Json:
    headers = [
        _header("Range", "The part that is wanted, like `bytes=0-1023`; several at once give all."),
        _header("If-Range", "The `ETag` of what one has a part of; if it is another, all is given."),
        _header("If-None-Match", "The `ETag` of what one has."),
    ]
    part = _file("The part that was wanted.") | {
        "headers": {**_HEADERS, "Content-Range": _told("Which part it is.")}
    }
    return {
        "operationId": "downloadAttachment",
        "tags": [TAG["name"]],
        "summary": "Download a file of a conversation that one is in, or one's own",
        "parameters": [ID, *headers],
        "responses": {
            "200": _file("The file."),
            "206": part,
            "304": {"description": "What one has is right.", "headers": _HEADERS},
            **refusals.of([401, 404, 416, 429, 503]),
        },
    }


def _look(refusals: Refusals) -> Json:
    refused = {
        status: {"description": "As for GET, without a body."} for status in refusals.of([401, 404, 429, 503])
    }
    return {
        "operationId": "lookAtAttachment",
        "tags": [TAG["name"]],
        "summary": "The headers of a download",
        "parameters": [ID, _header("If-None-Match", "The `ETag` of what one has.")],
        "responses": {
            "200": {"description": "The file is there.", "headers": _HEADERS},
            "304": {"description": "What one has is right.", "headers": _HEADERS},
            **refused,
        },
    }


def _file(description: str) -> Json:
    return {"description": description, "headers": _HEADERS, "content": {"*/*": {"schema": {}}}}


def _header(name: str, description: str) -> Json:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _told(description: str) -> Json:
    return {"description": description, "required": True, "schema": {"type": "string"}}


_HEADERS = {
    "Content-Disposition": _told("`inline` for pictures, sound and film, else `attachment`; and its name."),
    "X-Content-Type-Options": _told("`nosniff`."),
    "Accept-Ranges": _told("`bytes`."),
    "ETag": _told("It stays the same: a file never changes."),
}
