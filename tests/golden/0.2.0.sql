BEGIN TRANSACTION;
CREATE TABLE _neosqlite_ttl_indexes (index_name TEXT PRIMARY KEY, collection_name TEXT NOT NULL, field TEXT NOT NULL, expire_after_seconds INTEGER NOT NULL);
INSERT INTO "_neosqlite_ttl_indexes" VALUES('idx_revocations_until','revocations','until',0);
CREATE TABLE attachment_uses (
                    id INTEGER PRIMARY KEY AUTOINCREMENT,
                    _id TEXT,
                    data TEXT NOT NULL
                    
                );
INSERT INTO "attachment_uses" VALUES(1,'2793847f-a5d5-41ec-9271-7d1f9ba6a5eb:90d73b86-3db8-40fa-8d69-7bad8ec4b4f7','{"_id": "2793847f-a5d5-41ec-9271-7d1f9ba6a5eb:90d73b86-3db8-40fa-8d69-7bad8ec4b4f7", "attachmentId": "2793847f-a5d5-41ec-9271-7d1f9ba6a5eb"}');
CREATE TABLE attachments (
                    id INTEGER PRIMARY KEY AUTOINCREMENT,
                    _id TEXT,
                    data TEXT NOT NULL
                    
                );
INSERT INTO "attachments" VALUES(1,'2793847f-a5d5-41ec-9271-7d1f9ba6a5eb','{"_id":"2793847f-a5d5-41ec-9271-7d1f9ba6a5eb","ownerId":"alice-a11cbf57","name":"a.txt","size":220,"type":"text/plain","conversationId":"de1f08fe-1c38-4618-821f-a3968d9bcf64","binding":"b2cae52c-d191-4e82-af60-dbc5c7429dc5"}');
CREATE TABLE attachments_chunks (
                    id INTEGER PRIMARY KEY AUTOINCREMENT,
                    _id TEXT,
                    data TEXT NOT NULL
                    
                , files_id INTEGER, n INTEGER);
INSERT INTO "attachments_chunks" VALUES(1,NULL,X'706C61696E207465787420706C61696E207465787420706C61696E207465787420706C61696E207465787420706C61696E207465787420706C61696E207465787420706C61696E207465787420706C61696E207465787420706C61696E207465787420706C61696E207465787420706C61696E207465787420706C61696E207465787420706C61696E207465787420706C61696E207465787420706C61696E207465787420706C61696E207465787420706C61696E207465787420706C61696E207465787420706C61696E207465787420706C61696E207465787420',1,0);
CREATE TABLE attachments_files (
                    id INTEGER PRIMARY KEY AUTOINCREMENT,
                    _id TEXT,
                    filename TEXT,
                    length INTEGER,
                    chunkSize INTEGER,
                    uploadDate TEXT,
                    md5 TEXT,
                    metadata TEXT,
                    content_type TEXT,
                    aliases TEXT
                );
INSERT INTO "attachments_files" VALUES(1,'2793847f-a5d5-41ec-9271-7d1f9ba6a5eb','',220,261120,'2026-11-27T16:24:40.695000',NULL,'{}',NULL,NULL);
CREATE TABLE conversations (
                    id INTEGER PRIMARY KEY AUTOINCREMENT,
                    _id TEXT,
                    data TEXT NOT NULL
                    
                );
INSERT INTO "conversations" VALUES(1,'de1f08fe-1c38-4618-821f-a3968d9bcf64','{"_id":"de1f08fe-1c38-4618-821f-a3968d9bcf64","kind":"group","createdBy":"alice-a11cbf57","createdAt":{"$date":"2026-11-27T16:24:39.576000"},"title":"A group","lastSeq":8,"rev":10,"lastMessage":{"id":"90d73b86-3db8-40fa-8d69-7bad8ec4b4f7","seq":8,"senderId":"alice-a11cbf57","content":"with a file","type":"text","createdAt":{"$date":"2026-11-27T16:24:40.701000"}}}');
CREATE TABLE memberships (
                    id INTEGER PRIMARY KEY AUTOINCREMENT,
                    _id TEXT,
                    data TEXT NOT NULL
                    
                );
INSERT INTO "memberships" VALUES(1,'de1f08fe-1c38-4618-821f-a3968d9bcf64:alice-a11cbf57','{"_id":"de1f08fe-1c38-4618-821f-a3968d9bcf64:alice-a11cbf57","conversationId":"de1f08fe-1c38-4618-821f-a3968d9bcf64","userId":"alice-a11cbf57","role":"owner","joinedAt":{"$date":"2026-11-27T16:24:39.576000"},"joinSeq":0,"readSeq":0,"deliveredSeq":0,"ownSeq":8,"ownSinceRead":7}');
INSERT INTO "memberships" VALUES(2,'de1f08fe-1c38-4618-821f-a3968d9bcf64:bob-a11cbf57','{"_id":"de1f08fe-1c38-4618-821f-a3968d9bcf64:bob-a11cbf57","conversationId":"de1f08fe-1c38-4618-821f-a3968d9bcf64","userId":"bob-a11cbf57","role":"member","joinedAt":{"$date":"2026-11-27T16:24:39.576000"},"joinSeq":0,"readSeq":7,"deliveredSeq":7,"ownSeq":7,"ownSinceRead":0}');
CREATE TABLE messages (
                    id INTEGER PRIMARY KEY AUTOINCREMENT,
                    _id TEXT,
                    data TEXT NOT NULL
                    
                );
INSERT INTO "messages" VALUES(1,'7deb89f4-2ddd-42fe-8187-948aa3ca47ea','{"_id": "7deb89f4-2ddd-42fe-8187-948aa3ca47ea", "conversationId": "de1f08fe-1c38-4618-821f-a3968d9bcf64", "senderId": "alice-a11cbf57", "content": "message 0", "createdAt": {"$date": "2026-11-27T16:24:39.608000"}, "type": "text", "seq": 1, "rev": 1, "attachments": [], "storedAt": {"$date": "2026-11-27T16:24:39.614000"}, "changedBy": []}');
INSERT INTO "messages" VALUES(2,'8c189532-6ad0-4fc8-bf8f-11c70ac87799','{"_id": "8c189532-6ad0-4fc8-bf8f-11c70ac87799", "conversationId": "de1f08fe-1c38-4618-821f-a3968d9bcf64", "senderId": "alice-a11cbf57", "content": "message 1", "createdAt": {"$date": "2026-11-27T16:24:39.612000"}, "type": "text", "seq": 2, "rev": 2, "attachments": [], "storedAt": {"$date": "2026-11-27T16:24:39.633000"}, "changedBy": []}');
INSERT INTO "messages" VALUES(3,'a5ff3fd2-7d27-43fc-9ad0-92e8a986ca60','{"_id": "a5ff3fd2-7d27-43fc-9ad0-92e8a986ca60", "conversationId": "de1f08fe-1c38-4618-821f-a3968d9bcf64", "senderId": "alice-a11cbf57", "content": "message 2", "createdAt": {"$date": "2026-11-27T16:24:39.616000"}, "type": "text", "seq": 3, "rev": 3, "attachments": [], "storedAt": {"$date": "2026-11-27T16:24:39.633000"}, "changedBy": []}');
INSERT INTO "messages" VALUES(4,'7c3c6509-eb0d-4f4b-9d22-c8d4b27d5f8d','{"_id": "7c3c6509-eb0d-4f4b-9d22-c8d4b27d5f8d", "conversationId": "de1f08fe-1c38-4618-821f-a3968d9bcf64", "senderId": "alice-a11cbf57", "content": "edited", "createdAt": {"$date": "2026-11-27T16:24:39.620000"}, "type": "text", "seq": 4, "rev": 8, "attachments": [], "storedAt": {"$date": "2026-11-27T16:24:39.644000"}, "editedAt": {"$date": "2026-11-27T16:24:39.662000"}, "changeId": "9acc2d48-9b43-458c-a9db-12847e427652", "changedBy": ["9acc2d48-9b43-458c-a9db-12847e427652"]}');
INSERT INTO "messages" VALUES(5,'c3a8d06e-5178-46f4-b707-2f49fc547834','{"_id": "c3a8d06e-5178-46f4-b707-2f49fc547834", "conversationId": "de1f08fe-1c38-4618-821f-a3968d9bcf64", "senderId": "alice-a11cbf57", "content": "", "createdAt": {"$date": "2026-11-27T16:24:39.630000"}, "type": "text", "seq": 5, "rev": 9, "attachments": [], "storedAt": {"$date": "2026-11-27T16:24:39.644000"}, "deletedAt": {"$date": "2026-11-27T16:24:39.668000"}, "changeId": "2ead90ef-572a-431d-ada4-37965fb21407", "changedBy": ["2ead90ef-572a-431d-ada4-37965fb21407"]}');
INSERT INTO "messages" VALUES(6,'57f06409-b92b-4082-953c-34c5153cd37e','{"_id": "57f06409-b92b-4082-953c-34c5153cd37e", "conversationId": "de1f08fe-1c38-4618-821f-a3968d9bcf64", "senderId": "alice-a11cbf57", "content": "message 5", "createdAt": {"$date": "2026-11-27T16:24:39.633000"}, "type": "text", "seq": 6, "rev": 6, "attachments": [], "storedAt": {"$date": "2026-11-27T16:24:39.644000"}, "changedBy": []}');
INSERT INTO "messages" VALUES(7,'b6576fb6-2f33-4c0a-bc2f-46e09a0f630c','{"_id": "b6576fb6-2f33-4c0a-bc2f-46e09a0f630c", "conversationId": "de1f08fe-1c38-4618-821f-a3968d9bcf64", "senderId": "bob-a11cbf57", "content": "hallo \u00e4\u00f6\u00fc", "createdAt": {"$date": "2026-11-27T16:24:39.637000"}, "type": "text", "seq": 7, "rev": 7, "attachments": [], "storedAt": {"$date": "2026-11-27T16:24:39.654000"}, "changedBy": []}');
INSERT INTO "messages" VALUES(8,'90d73b86-3db8-40fa-8d69-7bad8ec4b4f7','{"_id": "90d73b86-3db8-40fa-8d69-7bad8ec4b4f7", "conversationId": "de1f08fe-1c38-4618-821f-a3968d9bcf64", "senderId": "alice-a11cbf57", "content": "with a file", "createdAt": {"$date": "2026-11-27T16:24:40.701000"}, "type": "text", "seq": 8, "rev": 10, "attachments": [{"id": "2793847f-a5d5-41ec-9271-7d1f9ba6a5eb", "name": "a.txt", "size": 220, "type": "text/plain"}], "storedAt": {"$date": "2026-11-27T16:24:40.705000"}, "changedBy": []}');
CREATE TABLE neosqlite_index_keys (index_name TEXT PRIMARY KEY, keys_json TEXT NOT NULL);
INSERT INTO "neosqlite_index_keys" VALUES('idx_memberships_conversationId_userId','["conversationId", "userId"]');
INSERT INTO "neosqlite_index_keys" VALUES('idx_memberships_userId_conversationId','["userId", "conversationId"]');
INSERT INTO "neosqlite_index_keys" VALUES('idx_messages_conversationId_seq','["conversationId", "seq"]');
INSERT INTO "neosqlite_index_keys" VALUES('idx_messages_conversationId_rev','["conversationId", "rev"]');
INSERT INTO "neosqlite_index_keys" VALUES('idx_messages_conversationId_senderId_seq','["conversationId", "senderId", "seq"]');
INSERT INTO "neosqlite_index_keys" VALUES('idx_attachment_uses_attachmentId','["attachmentId"]');
INSERT INTO "neosqlite_index_keys" VALUES('idx_revocations_until','["until"]');
INSERT INTO "neosqlite_index_keys" VALUES('idx_conversations_directKey','["directKey"]');
INSERT INTO "neosqlite_index_keys" VALUES('idx_conversations_contractId','["contractId"]');
INSERT INTO "neosqlite_index_keys" VALUES('idx_memberships_conversationId_readSeq','["conversationId", "readSeq"]');
INSERT INTO "neosqlite_index_keys" VALUES('idx_memberships_conversationId_deliveredSeq','["conversationId", "deliveredSeq"]');
INSERT INTO "neosqlite_index_keys" VALUES('idx_attachments_loose','["loose"]');
CREATE TABLE revocations (
                    id INTEGER PRIMARY KEY AUTOINCREMENT,
                    _id TEXT,
                    data TEXT NOT NULL
                    
                );
CREATE TABLE users (
                    id INTEGER PRIMARY KEY AUTOINCREMENT,
                    _id TEXT,
                    data TEXT NOT NULL
                    
                );
INSERT INTO "users" VALUES(1,'alice-a11cbf57','{"_id":"alice-a11cbf57","name":"Alice-A11Cbf57","username":"alice-a11cbf57","permissions":[],"lastSeenAt":"2026-11-27 16:24:40.688000"}');
INSERT INTO "users" VALUES(2,'bob-a11cbf57','{"_id": "bob-a11cbf57", "name": "Bob-A11Cbf57", "username": "bob-a11cbf57", "permissions": [], "lastSeenAt": {"$date": "2026-11-27T16:24:39.569000"}}');
CREATE UNIQUE INDEX idx_conversations_id ON conversations(_id);
CREATE UNIQUE INDEX idx_conversations_directKey ON conversations(json_extract(data, '$.directKey'));
CREATE INDEX idx_conversations_contractId ON conversations(json_extract(data, '$.contractId'));
CREATE UNIQUE INDEX idx_memberships_id ON memberships(_id);
CREATE UNIQUE INDEX idx_memberships_conversationId_userId ON memberships(json_extract(data, '$.conversationId'), json_extract(data, '$.userId'));
CREATE INDEX idx_memberships_userId_conversationId ON memberships(json_extract(data, '$.userId'), json_extract(data, '$.conversationId'));
CREATE INDEX idx_memberships_conversationId_readSeq ON memberships(json_extract(data, '$.conversationId'), json_extract(data, '$.readSeq'));
CREATE INDEX idx_memberships_conversationId_deliveredSeq ON memberships(json_extract(data, '$.conversationId'), json_extract(data, '$.deliveredSeq'));
CREATE UNIQUE INDEX idx_messages_id ON messages(_id);
CREATE UNIQUE INDEX idx_messages_conversationId_seq ON messages(json_extract(data, '$.conversationId'), json_extract(data, '$.seq'));
CREATE UNIQUE INDEX idx_messages_conversationId_rev ON messages(json_extract(data, '$.conversationId'), json_extract(data, '$.rev'));
CREATE INDEX idx_messages_conversationId_senderId_seq ON messages(json_extract(data, '$.conversationId'), json_extract(data, '$.senderId'), json_extract(data, '$.seq'));
CREATE UNIQUE INDEX idx_attachments_id ON attachments(_id);
CREATE INDEX idx_attachments_loose ON attachments(json_extract(data, '$.loose'));
CREATE UNIQUE INDEX idx_attachment_uses_id ON attachment_uses(_id);
CREATE INDEX idx_attachment_uses_attachmentId ON attachment_uses(json_extract(data, '$.attachmentId'));
CREATE UNIQUE INDEX idx_revocations_id ON revocations(_id);
CREATE INDEX idx_revocations_until ON revocations(json_extract(data, '$.until'));
CREATE UNIQUE INDEX idx_attachments_chunks_id ON attachments_chunks(_id);
CREATE INDEX idx_attachments_files_filename
            ON attachments_files (filename)
        ;
CREATE UNIQUE INDEX idx_users_id ON users(_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('users',2);
INSERT INTO "sqlite_sequence" VALUES('conversations',1);
INSERT INTO "sqlite_sequence" VALUES('memberships',2);
INSERT INTO "sqlite_sequence" VALUES('messages',8);
INSERT INTO "sqlite_sequence" VALUES('attachments',1);
INSERT INTO "sqlite_sequence" VALUES('attachments_files',1);
INSERT INTO "sqlite_sequence" VALUES('attachments_chunks',1);
INSERT INTO "sqlite_sequence" VALUES('attachment_uses',1);
COMMIT;
