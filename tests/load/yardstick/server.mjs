// One process of the guides' own stack: Socket.IO with the Redis adapter, and MongoDB behind its event handler.
//
// PORT, REDIS_URL, JWT_SECRET and MONGO_URL are read from the environment; without MONGO_URL nothing is stored. The
// event names and payloads are those of the groups guide, so the same load client measures this server and Parley.
// The process prints a line when it listens, and ends with its standard input.
import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import { createAdapter } from '@socket.io/redis-adapter';
import jwt from 'jsonwebtoken';
import { MongoClient } from 'mongodb';
import { createClient } from 'redis';
import { Server } from 'socket.io';

const { PORT, REDIS_URL, JWT_SECRET, MONGO_URL } = process.env;
// What Parley confirms is in the journals of a majority. The driver's own default would not wait for the journal.
const DURABLE = { writeConcern: { w: 'majority', journal: true } };

async function openMessages() {
  if (!MONGO_URL) return null;
  const client = await new MongoClient(MONGO_URL).connect();
  const messages = client.db('yardstick').collection('messages', DURABLE);
  await messages.createIndex({ conversationId: 1, createdAt: -1 });
  await messages.createIndex({ senderId: 1, clientMessageId: 1 }, { unique: true });
  return messages;
}

async function openAdapter() {
  const publisher = createClient({ url: REDIS_URL });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  return createAdapter(publisher, subscriber, { key: MONGO_URL ? 'yardstick' : 'yardstick-memory' });
}

function authenticate(socket, next) {
  try {
    socket.data.user = jwt.verify(socket.handshake.auth.token, JWT_SECRET, { algorithms: ['HS256'] });
    next();
  } catch (error) {
    next(error);
  }
}

function messageOf(user, { conversationId, content, clientMessageId }) {
  return {
    _id: randomUUID(),
    conversationId,
    sender: { _id: user.sub, name: user.name, username: user.username },
    content,
    type: 'text',
    attachments: [],
    status: 'sent',
    createdAt: new Date().toISOString(),
    clientMessageId,
  };
}

const messages = await openMessages();
const http = createServer();
const io = new Server(http, { adapter: await openAdapter(), serveClient: false });
const chat = io.of('/chat');

chat.use(authenticate);
chat.on('connection', (socket) => {
  const { user } = socket.data;

  socket.on('createConversation', (payload, acknowledge) => {
    acknowledge({ success: true, conversation: { _id: randomUUID(), name: payload.name } });
  });

  socket.on('joinRoom', async ({ conversationId }, acknowledge) => {
    await socket.join(conversationId);
    acknowledge({ success: true });
  });

  socket.on('typing', ({ conversationId }) => {
    socket.to(conversationId).emit('userTyping', { userId: user.sub, conversationId });
  });

  socket.on('sendMessage', async (payload, acknowledge) => {
    try {
      const message = messageOf(user, payload);
      if (messages) await messages.insertOne({ ...message, senderId: user.sub });
      chat.to(payload.conversationId).emit('newMessage', { conversationId: payload.conversationId, message });
      acknowledge({ success: true, message });
    } catch (error) {
      acknowledge({ success: false, error: { code: 'INTERNAL', message: error.message, retryable: true } });
    }
  });
});

// `node --expose-gc`: an idle process keeps its garbage, and so memory is compared after a collection.
process.on('SIGUSR2', () => globalThis.gc?.());
process.stdin.on('end', () => process.exit(0)).resume();
http.listen(Number(PORT), '127.0.0.1', () => console.log(`yardstick.listening port=${http.address().port}`));
