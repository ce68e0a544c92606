/** Requests to the API of this page; each has the token in its header. */

import { token } from "./session.js";

const ANSWER_MS = 8000;

/** A refused request; `status` is 0 where there was no answer. */
export class RequestError extends Error {
  constructor(status, message, retryAfter) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** Whether another token is needed. */
  get isDenied() {
    return this.status === 401 || this.status === 403;
  }
}

async function ask(path) {
  let answer;
  let body;
  try {
    answer = await fetch(`/admin/api/${path}`, {
      headers: { Authorization: `Bearer ${token()}` },
      cache: "no-store",
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    body = await answer.json();
  } catch {
    throw new RequestError(0, "The admin server does not answer.");
  }
  if (!answer.ok) {
    throw new RequestError(answer.status, body.error?.message ?? "Something went wrong.", body.error?.retryAfter);
  }
  return body;
}

/** Everything that is shown; the history only after a time. */
export const overview = (since) => ask(`overview?since=${since}`);

/** A user's sockets. */
export const user = (id) => ask(`users?id=${encodeURIComponent(id)}`);

/** The newest dead letters. */
export const deadLetters = () => ask("dead-letters");
