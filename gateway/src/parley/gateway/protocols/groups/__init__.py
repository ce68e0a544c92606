"""The groups guide, Parley's home protocol: namespace `/chat`, routes below `/chats`."""

from parley.gateway.protocols.error_payloads import REFUSAL
from parley.gateway.protocols.groups.events import INBOUND, OUTBOUND
from parley.gateway.protocols.groups.payloads import USERS
from parley.gateway.protocols.groups.routes import ROUTES
from parley.gateway.protocols.protocol import ClientProtocol, DirectEvent
from parley.gateway.protocols.serializer import one

GROUPS = ClientProtocol(
    name="groups",
    namespace="/chat",
    inbound=INBOUND,
    outbound=OUTBOUND,
    routes=ROUTES,
    refusal=REFUSAL,
    on_connect=(DirectEvent("onlineUsers", one(USERS, "online")),),
)
