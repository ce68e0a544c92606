/** The sidebar: the signed-in user, and the list of conversations. */

import { avatarOf, byActivity, previewOf, titleOf, typingLine } from "../state/selectors.js";
import { NewConversation } from "./new-conversation.js";
import { brief } from "./times.js";
import { Avatar, html, IconButton, useState } from "./html.js";

const CONNECTION = { connecting: "Connecting…", connected: "Connected", reconnecting: "Reconnecting…" };

export function Sidebar({ state, chat, open, signOut }) {
  const [isStarting, setStarting] = useState(false);
  const isEmpty = state.listed && !Object.keys(state.conversations).length;
  return html`
    <nav class="sidebar" aria-label="Conversations">
      <header>
        <${Avatar} name=${state.me.name} />
        <div class="titles">
          <strong>${state.me.name}</strong>
          <span class="connection ${state.connection}">${CONNECTION[state.connection]}</span>
        </div>
        <${IconButton} name="leave" label="Sign out" onClick=${() => signOut()} />
        <${IconButton}
          name="plus"
          label="New conversation"
          class="icon-button strong"
          onClick=${() => setStarting(true)}
        />
      </header>
      <ul class="conversations">
        ${byActivity(state).map(
          (it) => html`<${Entry} key=${it._id} state=${state} conversation=${it} open=${open} />`,
        )}
      </ul>
      ${
        isEmpty &&
        html`
          <p class="hint empty">
            No conversations yet.
            <button type="button" class="link" onClick=${() => setStarting(true)}>Start one</button>
          </p>
        `
      }
      ${!state.listed && html`<p class="hint empty" role="status">Loading…</p>`}
      ${
        state.older &&
        html`
          <button type="button" class="quiet more" onClick=${() => chat.loadMoreConversations()}>
            Show older conversations
          </button>
        `
      }
      ${isStarting && html`<${NewConversation} chat=${chat} close=${() => setStarting(false)} open=${open} />`}
    </nav>
  `;
}

function Entry({ state, conversation, open }) {
  const { _id, unread } = conversation;
  const chosen = state.open === _id;
  const typing = typingLine(conversation);
  return html`
    <li>
      <button
        type="button"
        class="entry ${chosen ? "chosen" : ""} ${unread ? "unread" : ""}"
        aria-current=${chosen ? "true" : undefined}
        onClick=${() => open(_id)}
      >
        <${Avatar} ...${avatarOf(conversation, state)} />
        <span class="title">${titleOf(conversation, state.me)}</span>
        <time dateTime=${conversation.lastActivityAt}>${brief(conversation.lastActivityAt)}</time>
        <span class="preview ${typing ? "typing" : ""}">${typing || previewOf(conversation, state.me)}</span>
        ${
          unread > 0 &&
          html`
            <span class="badge">
              <span aria-hidden="true">${unread > 99 ? "99+" : unread}</span>
              <span class="visually-hidden">${unread} unread</span>
            </span>
          `
        }
      </button>
    </li>
  `;
}
