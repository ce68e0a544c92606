"""The contracts guide: namespace `/messages`, routes below `/api/messages` and `/api/contracts`."""

from parley.gateway.protocols.contracts.events import INBOUND, OUTBOUND
from parley.gateway.protocols.contracts.payloads import REFUSAL
from parley.gateway.protocols.contracts.routes import ROUTES
from parley.gateway.protocols.protocol import ClientProtocol, DirectEvent
from parley.gateway.protocols.serializer import Serializer, ident

CONNECTED = Serializer("Connected", {"userId": ident("person.id"), "socketId": ident("socket_id")})

CONTRACTS = ClientProtocol(
    name="contracts",
    namespace="/messages",
    inbound=INBOUND,
    outbound=OUTBOUND,
    routes=ROUTES,
    refusal=REFUSAL,
    on_connect=(DirectEvent("connected", CONNECTED),),
)
