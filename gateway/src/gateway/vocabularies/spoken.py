"""The vocabularies that a gateway speaks, one line each."""

from gateway.vocabularies.clients_and_lawyers import CLIENTS_AND_LAWYERS
from gateway.vocabularies.connections import CONNECTIONS
from gateway.vocabularies.contracts import CONTRACTS
from gateway.vocabularies.crm import CRM
from gateway.vocabularies.groups import GROUPS
from gateway.vocabularies.vocabulary import Vocabulary

VOCABULARIES: tuple[Vocabulary, ...] = (CLIENTS_AND_LAWYERS, CONNECTIONS, CRM, GROUPS, CONTRACTS)
