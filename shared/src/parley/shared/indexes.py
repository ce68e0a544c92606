"""Indexes of the collections, by their names."""

from pymongo import ASCENDING, DESCENDING, IndexModel

from parley.shared.documents import (
    ATTACHMENT_USES,
    ATTACHMENTS,
    CHANGES,
    CONVERSATIONS,
    FILE_CHUNKS,
    MEMBERSHIPS,
    MESSAGES,
    REVOCATIONS,
    SEARCH_BLOCKS,
    SEARCH_WORDS,
    UPLOAD_QUOTAS,
    Document,
)

CHANGES_KEPT_SECONDS = 30 * 24 * 60 * 60
"""Far longer than a record can wait to be delivered again."""

DELETED: Document = {"deletedAt": {"$type": "date"}}
"""Selects deleted messages; `$exists` would have each of them fetched, as an index does not decide it."""
TOMBSTONES = [
    ("conversationId", ASCENDING),
    ("seq", ASCENDING),
    ("senderId", ASCENDING),
    ("deletedAt", ASCENDING),
]
"""The keys of the index that answers by itself who had sent the deleted messages of a conversation."""

BLOCKS_BY_TERM = [("terms", ASCENDING), ("conversation", ASCENDING)]
NEWEST_BLOCKS = [("conversation", ASCENDING), ("at", DESCENDING)]
"""The keys of the index that finds the blocks of conversations since a time."""

BY_REVISION = [("conversationId", ASCENDING), ("rev", ASCENDING)]
"""The keys of the index that finds the changes of conversations; with a hint, each branch of a query is
planned at once, not by trying several indexes."""

OF_USER = [(key, ASCENDING) for key in ("userId", "conversationId", "leftAt", "archivedAt")]
"""The keys of the index that answers by itself which conversations a user is in."""

OF_CONVERSATION = [(key, ASCENDING) for key in ("conversationId", "leftAt", "joinedAt", "_id")]
"""The keys of the index that finds the members of a conversation, and answers by itself who they are."""

INDEXES: dict[str, list[IndexModel]] = {
    CONVERSATIONS: [
        IndexModel(
            [("directKey", ASCENDING)],
            unique=True,
            partialFilterExpression={"directKey": {"$exists": True}},
            name="direct",
        ),
        IndexModel(
            [("contractId", ASCENDING)],
            partialFilterExpression={"contractId": {"$exists": True}},
            name="of_contract",
        ),
    ],
    MEMBERSHIPS: [
        IndexModel([("conversationId", ASCENDING), ("userId", ASCENDING)], unique=True, name="member"),
        IndexModel(OF_USER, name="of_user"),
        IndexModel(OF_CONVERSATION, name="by_joining"),
        IndexModel([("leftAt", ASCENDING)], sparse=True, name="left"),
        IndexModel([("joinedAt", ASCENDING)], name="joined"),
        IndexModel([("conversationId", ASCENDING), ("readSeq", DESCENDING)], name="furthest_read"),
        IndexModel([("conversationId", ASCENDING), ("deliveredSeq", DESCENDING)], name="furthest_delivered"),
    ],
    MESSAGES: [
        IndexModel([("conversationId", ASCENDING), ("seq", ASCENDING)], unique=True, name="number"),
        IndexModel(BY_REVISION, unique=True, name="change"),
        IndexModel([("conversationId", ASCENDING), ("senderId", ASCENDING), ("seq", ASCENDING)], name="own"),
        IndexModel(TOMBSTONES, partialFilterExpression=DELETED, name="deleted"),
    ],
    CHANGES: [IndexModel([("at", ASCENDING)], expireAfterSeconds=CHANGES_KEPT_SECONDS, name="kept")],
    ATTACHMENTS: [IndexModel([("loose", ASCENDING)], sparse=True, name="loose")],
    ATTACHMENT_USES: [IndexModel([("attachmentId", ASCENDING)], name="of_attachment")],
    UPLOAD_QUOTAS: [IndexModel([("until", ASCENDING)], expireAfterSeconds=0, name="kept")],
    REVOCATIONS: [IndexModel([("until", ASCENDING)], expireAfterSeconds=0, name="kept")],
    FILE_CHUNKS: [IndexModel([("files_id", ASCENDING), ("n", ASCENDING)], unique=True, name="chunk")],
    SEARCH_BLOCKS: [
        IndexModel(BLOCKS_BY_TERM, name="term"),
        IndexModel(NEWEST_BLOCKS, name="newest"),
    ],
    SEARCH_WORDS: [IndexModel([("endings", ASCENDING)], name="ending")],
}
