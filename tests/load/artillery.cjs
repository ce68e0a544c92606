// What artillery.yml cannot say itself: a user with a token of its own, and a name for each message.
const { createHmac, randomUUID } = require('node:crypto');
const { existsSync, readFileSync } = require('node:fs');
const { join } = require('node:path');

const DOTENV = join(__dirname, '..', '..', '.env');
const LIFETIME_SECONDS = 3600;

function readSecret() {
  const found = existsSync(DOTENV) && /^JWT_SECRET=(.+)$/m.exec(readFileSync(DOTENV, 'utf8'));
  const secret = process.env.JWT_SECRET || (found && found[1].replace(/^["']|["']$/g, ''));
  if (!secret) throw new Error(`JWT_SECRET is neither in the environment nor in ${DOTENV}; make up writes one.`);
  return secret;
}

function encode(value) {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function sign(claims) {
  const body = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`;
  return `${body}.${createHmac('sha256', readSecret()).update(body).digest('base64url')}`;
}

function signToken(context, events, done) {
  const user = `artillery-${randomUUID()}`;
  const exp = Math.floor(Date.now() / 1000) + LIFETIME_SECONDS;
  context.vars.user = user;
  context.vars.friend = `${user}-friend`;
  context.vars.token = sign({ sub: user, name: user, username: user, exp });
  done();
}

function nameMessage(context, events, done) {
  context.vars.clientMessageId = randomUUID();
  done();
}

module.exports = { signToken, nameMessage };
