"""The attachment paths by themselves, in an application over real storages."""

import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from parley.gateway.adapters.content_sniffer import ByteSniffer
from parley.gateway.adapters.mongo.attachments import MongoAttachments
from parley.gateway.adapters.mongo.memberships import MongoMemberships
from parley.gateway.adapters.mongo.messages import MongoMessages
from parley.gateway.adapters.mongo.shared_reads import SharedReads
from parley.gateway.adapters.mongo.upload_quotas import MongoUploadQuotas, UnknownSpace
from parley.gateway.background import Background
from parley.gateway.core.errors import Unauthorized
from parley.gateway.core.ports import Files
from parley.gateway.protocols.error_payloads import REFUSAL
from parley.gateway.rest.attachments import MIN_DATA_RATE, AttachmentRoutes
from parley.gateway.rest.content_encoding import reject_encoded_bodies
from parley.gateway.rest.form_body import MinDataRate
from parley.gateway.rest.mount import error_response
from parley.gateway.services.access import Access
from parley.gateway.services.attachments import AttachmentService
from parley.gateway.services.upload_quota import UploadQuota
from parley.gateway.state.membership_cache import MembershipCache
from parley.gateway.state.rates import Rate, Rates
from parley.shared.model import Membership, Person, new_id, now


@dataclass
class Site:
    """A server of attachments; the Authorization header is the user's id."""

    service: AttachmentService
    attachments: MongoAttachments
    memberships: MongoMemberships
    server: TestServer
    http: aiohttp.ClientSession

    async def conversation(self, *user_ids: str) -> str:
        """Create a conversation of these users; return its id."""
        conversation_id = new_id()
        await self.memberships.add(
            [Membership(conversation_id=conversation_id, user_id=u, joined_at=now()) for u in user_ids]
        )
        return conversation_id

    async def upload(self, user: str, data: Any, name: str = "notes.txt") -> tuple[int, Any]:
        """Upload a file; return status and body."""
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("file", io.BytesIO(data) if isinstance(data, bytes) else data, filename=name)
        return await self.post(user, form)

    async def post(self, user: str, body: Any, **headers: str) -> tuple[int, Any]:
        """Post any body to the upload path; return status and body."""
        headers["Authorization"] = user
        async with self.http.post(self.server.make_url("/attachments"), data=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def read(
        self, user: str, attachment_id: str, method: str = "GET", **headers: str
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        """Request a file; return the answer and its body."""
        headers["Authorization"] = user
        url = self.server.make_url(f"/attachments/{attachment_id}")
        async with self.http.request(method, url, headers=headers) as answer:
            return answer, await answer.read()


@asynccontextmanager
async def site(
    database: Any,
    files: Files,
    max_upload: int,
    min_data_rate: MinDataRate = MIN_DATA_RATE,
    rates: Mapping[str, Rate] = MappingProxyType({}),
    max_upload_of_day: int = 1 << 40,
) -> AsyncIterator[Site]:
    """Serve attachments over real storages."""
    reads = SharedReads(database, Background().spawn)
    memberships, attachments = MongoMemberships(database, reads), MongoAttachments(database)
    service = AttachmentService(
        Access(MembershipCache(), memberships, MongoMessages(database, reads)),
        attachments,
        files,
        messages=MongoMessages(database, reads),
        orphaned=attachments,
        sniffer=ByteSniffer,
        quota=UploadQuota(MongoUploadQuotas(database), UnknownSpace(), max_upload_of_day, 0),
        max_upload=max_upload,
    )
    app = web.Application(middlewares=[reject_encoded_bodies])
    AttachmentRoutes(
        service,
        max_upload=max_upload,
        authenticate=_authenticate,
        refuse=partial(error_response, REFUSAL),
        rates=Rates(rates),
        min_data_rate=min_data_rate,
    ).mount(app)
    server = TestServer(app)
    await server.start_server(auto_decompress=False)
    async with server, aiohttp.ClientSession() as http:
        with closing(reads):
            yield Site(service, attachments, memberships, server, http)


async def _authenticate(request: web.Request) -> Person:
    user_id = request.headers.get("Authorization")
    if user_id is None:
        raise Unauthorized("A token is required.")
    return Person(id=user_id)
