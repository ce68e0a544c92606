"""The client protocols that every gateway serves, in the order in which `dispatch.resolve` tries them."""

from parley.gateway.protocols.clients_and_lawyers import CLIENTS_AND_LAWYERS
from parley.gateway.protocols.connections import CONNECTIONS
from parley.gateway.protocols.contracts import CONTRACTS
from parley.gateway.protocols.crm import CRM
from parley.gateway.protocols.groups import GROUPS
from parley.gateway.protocols.protocol import ClientProtocol

PROTOCOLS: tuple[ClientProtocol, ...] = (CLIENTS_AND_LAWYERS, CONNECTIONS, CRM, GROUPS, CONTRACTS)
