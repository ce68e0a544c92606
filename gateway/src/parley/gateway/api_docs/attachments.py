"""OpenAPI of the attachment routes, which are in no protocol's table."""

from parley.gateway.api_docs.error_responses import ErrorResponses
from parley.gateway.api_docs.schemas import Json
from parley.gateway.protocols.serializer import Serializer, constant, one
from parley.gateway.protocols.standard_events import ATTACHMENT
from parley.gateway.rest.attachments import PATH
from parley.gateway.rest.file_part import FIELD

TAG = {
    "name": "attachments",
    "description": "Files, to which messages of every protocol refer by their ids.",
}
UPLOADED = Serializer("Uploaded", {"success": constant(True), "attachment": one(ATTACHMENT, "")})
ID = {
    "name": "attachmentId",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "minLength": 1},
}
ONE = PATH + "/{attachmentId}"


def paths(errors: ErrorResponses, max_upload: int) -> Json:
    """Describe the routes, for files of at most `max_upload` bytes."""
    return {
        PATH: {"post": _upload(errors, max_upload)},
        ONE: {"get": _download(errors), "head": _head(errors)},
    }


def _upload(errors: ErrorResponses, max_upload: int) -> Json:
    file = {
        "description": f"At most {max_upload} bytes; its type is detected from its content.",
        "contentMediaType": "application/octet-stream",
    }
    form = {"type": "object", "properties": {FIELD: file}, "required": [FIELD]}
    url = {"description": "The path of the file.", "required": True, "schema": {"type": "string"}}
    uploaded = {
        "description": "The file is stored. It is deleted after a day unless a message refers to it.",
        "headers": {"Location": url},
        "content": {"application/json": {"schema": errors.schemas.of_output(UPLOADED)}},
    }
    return {
        "operationId": "uploadAttachment",
        "tags": [TAG["name"]],
        "summary": "Upload a file",
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}},
        "responses": {"201": uploaded, **errors.of([400, 401, 408, 413, 415, 429, 503])},
    }


def _download(errors: ErrorResponses) -> Json:
    headers = [
        _header("Range", "One range, like `bytes=0-1023`; several ranges are answered with the whole file."),
        _header("If-Range", "The `ETag` of the part the client has; if it differs, the whole file is sent."),
        _header("If-None-Match", "The `ETag` of the file the client has."),
    ]
    part = _file("The requested range.") | {
        "headers": {**_HEADERS, "Content-Range": _response_header("The range sent.")}
    }
    return {
        "operationId": "downloadAttachment",
        "tags": [TAG["name"]],
        "summary": "Download a file of one of the user's conversations, or one the user uploaded",
        "parameters": [ID, *headers],
        "responses": {
            "200": _file("The file."),
            "206": part,
            "304": {"description": "The client's file is current.", "headers": _HEADERS},
            **errors.of([401, 404, 416, 429, 503]),
        },
    }


def _head(errors: ErrorResponses) -> Json:
    refused = {
        status: {"description": "As for GET, without a body."} for status in errors.of([401, 404, 429, 503])
    }
    return {
        "operationId": "lookAtAttachment",
        "tags": [TAG["name"]],
        "summary": "The headers of a download",
        "parameters": [ID, _header("If-None-Match", "The `ETag` of the file the client has.")],
        "responses": {
            "200": {"description": "The file exists.", "headers": _HEADERS},
            "304": {"description": "The client's file is current.", "headers": _HEADERS},
            **refused,
        },
    }


def _file(description: str) -> Json:
    return {"description": description, "headers": _HEADERS, "content": {"*/*": {"schema": {}}}}


def _header(name: str, description: str) -> Json:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _response_header(description: str) -> Json:
    return {"description": description, "required": True, "schema": {"type": "string"}}


_HEADERS = {
    "Content-Disposition": _response_header(
        "`inline` for images, audio and video, else `attachment`; and the file's name."
    ),
    "X-Content-Type-Options": _response_header("`nosniff`."),
    "Accept-Ranges": _response_header("`bytes`."),
    "ETag": _response_header("Constant: a file never changes."),
}
