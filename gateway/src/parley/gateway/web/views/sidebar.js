/** The sidebar: the signed-in user, and the list of conversations. */

import { avatarOf, byActivity, previewOf, titleOf, typingLine } from "../state/selectors.js";
import { lostEntries } from "../state/outbox.js";
import { isSame } from "../state/same.js";
import { Dialog } from "./dialog.js";
import { NewConversation } from "./new-conversation.js";
import { brief } from "./times.js";
import { Unsent } from "./unsent.js";
import { counted, OFFLINE } from "./words.js";
import { isPageActive } from "../chat/marks.js";
import { Avatar, html, IconButton, useLayoutEffect, useMemo, useRef, useState } from "./html.js";

const SETTLE_MILLISECONDS = 600; // longer than it takes to mark a message as read

const CONNECTION = { connecting: "Connecting…", connected: "Connected", reconnecting: "Reconnecting…" };

export function Sidebar({ state, chat, open, signOut }) {
  const [isStarting, setStarting] = useState(false);
  const entry = useEntries(state, open);
  const isOffline = state.connection !== "connected";
  const isEmpty = state.listed && !Object.keys(state.conversations).length;
  const { me, connection, outbox, gone } = state;
  const start = () => setStarting(true);
  // Preact does not render the same element again.
  const header = useMemo(
    () => html`<${Header} me=${me} connection=${connection} signOut=${signOut} start=${start} />`,
    [me, connection, signOut],
  );
  const lost = useMemo(() => html`<${Lost} entries=${lostEntries(state)} chat=${chat} />`, [outbox, gone, chat]);
  return html`
    <nav class="sidebar" aria-label="Conversations">
      ${header} ${lost}
      <ul class="conversations">${byActivity(state).map(entry)}</ul>
      ${
        isEmpty &&
        html`
          <p class="hint empty">
            No conversations yet.${" "}
            <button
              type="button"
              class="link"
              disabled=${isOffline}
              title=${isOffline ? OFFLINE : undefined}
              onClick=${start}
            >
              Start one
            </button>
          </p>
        `
      }
      ${!state.listed && html`<p class="hint empty" role="status">Loading…</p>`}
      ${
        state.older &&
        html`
          <button
            type="button"
            class="quiet more"
            disabled=${isOffline}
            title=${isOffline ? OFFLINE : undefined}
            onClick=${() => chat.loadMoreConversations()}
          >
            Show older conversations
          </button>
        `
      }
      ${
        isStarting &&
        html`<${NewConversation}
          state=${state}
          chat=${chat}
          isOffline=${isOffline}
          close=${() => setStarting(false)}
          open=${open}
        />`
      }
    </nav>
  `;
}

function Header({ me, connection, signOut, start }) {
  const isOffline = connection !== "connected";
  return html`
    <header>
      <${Avatar} name=${me.name} />
      <div class="titles">
        <strong dir="auto">${me.name}</strong>
        <span class="connection ${connection}">${CONNECTION[connection]}</span>
      </div>
      <${IconButton} name="leave" label="Sign out" onClick=${() => signOut()} />
      <${IconButton}
        name="plus"
        label="New conversation"
        class="icon-button strong"
        disabled=${isOffline}
        reason=${isOffline && OFFLINE}
        onClick=${start}
      />
    </header>
  `;
}

/** What could not be sent, because the user is no longer in its conversation. */
function Lost({ entries, chat }) {
  const [isOpen, setOpen] = useState(false);
  if (!entries.length) return null;
  return html`
    <button type="button" class="lost" onClick=${() => setOpen(true)}>
      ${counted(entries.length, "message")} not sent
    </button>
    ${
      isOpen &&
      html`
        <${Dialog} title="Not sent" close=${() => setOpen(false)}>
          <p class="hint">You are no longer in these conversations.</p>
          <${Unsent} entries=${entries} chat=${chat} />
        <//>
      `
    }
  `;
}

/** Return a function that makes the entry of a conversation; one that has not changed is not rendered again. */
function useEntries(state, open) {
  const known = useRef(new Map());
  return (conversation) => {
    const avatar = avatarOf(conversation, state);
    const isChosen = state.open === conversation._id;
    const input = [conversation, avatar.name, avatar.online, isChosen, new Date().toDateString()];
    const before = known.current.get(conversation._id);
    if (before && isSame(before.input, input)) return before.entry;
    const entry = html`
      <${Entry}
        key=${conversation._id}
        me=${state.me}
        conversation=${conversation}
        avatar=${avatar}
        isChosen=${isChosen}
        open=${open}
      />
    `;
    known.current.set(conversation._id, { input, entry });
    return entry;
  };
}

/**
 * Return the unread count to show. In the conversation that is being read a message counts for a moment only:
 * the count would appear and go with each one.
 */
function useSettledUnread(unread, isBeingRead) {
  const [settled, settle] = useState(unread);
  // An effect after the frame would ask for another one.
  useLayoutEffect(() => {
    const timer = setTimeout(() => settle(unread), isBeingRead ? SETTLE_MILLISECONDS : 0);
    return () => clearTimeout(timer);
  }, [unread, isBeingRead]);
  return isBeingRead ? Math.min(unread, settled) : unread;
}

function Entry({ me, conversation, avatar, isChosen, open }) {
  const { _id, lastActivityAt } = conversation;
  const unread = useSettledUnread(conversation.unread, isChosen && isPageActive());
  const typing = typingLine(conversation);
  return html`
    <li>
      <button
        type="button"
        class="entry ${isChosen ? "chosen" : ""} ${unread ? "unread" : ""}"
        aria-current=${isChosen ? "true" : undefined}
        onClick=${() => open(_id)}
      >
        <${Avatar} ...${avatar} />${" "}
        <span class="title" dir="auto">${titleOf(conversation, me)}</span>${" "}
        <time dateTime=${lastActivityAt}>${brief(lastActivityAt)}</time>${" "}
        <span class="preview ${typing ? "typing" : ""}" dir="auto">
          ${typing || previewOf(conversation, me)}
        </span>
        ${" "}
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
