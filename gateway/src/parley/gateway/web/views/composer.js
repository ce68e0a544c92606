/** The composer: Enter sends, Shift+Enter inserts a line break, arrow up edits the last message. */

import { Attach, pastedFiles, Pending } from "./pending.js";
import { OFFLINE } from "./words.js";
import { html, Icon, IconButton, useEffect, useLayoutEffect, useRef, useState } from "./html.js";

const MAX_LENGTH = 8_000; // characters, as the server counts them
const NO_FILES = [];
const INPUT_METHOD = 229; // the key code of a key that an input method handles

const hasKeyboard = () => matchMedia("(hover: hover) and (pointer: fine)").matches;

/** Whether a key belongs to an input method. Safari ends the composition before it reports the Enter. */
const isComposing = (event) => event.isComposing || event.keyCode === INPUT_METHOD;

export function Composer({ conversationId, chat, editing, isOffline, editLast, done }) {
  const [text, setText] = useState(
    editing ? (chat.drafts.edit(conversationId)?.text ?? editing.content) : chat.drafts.text(conversationId),
  );
  const field = useRef(null);
  const excess = [...text.trim()].length - MAX_LENGTH;
  const isBlocked = editing && isOffline;
  const files = useFiles(conversationId, chat, editing);
  const isUploading = files.some((file) => !file.attachment);
  const isEmpty = !text.trim() && !files.length;

  useHeight(field, text);
  useLayoutEffect(() => {
    if (!editing && !hasKeyboard()) return;
    field.current.focus();
    field.current.setSelectionRange(text.length, text.length);
  }, []);

  function write(value) {
    setText(value);
    if (editing) return chat.drafts.writeEdit(conversationId, { message: editing, text: value });
    chat.drafts.write(conversationId, value);
    if (value.trim()) chat.typing.typed(conversationId);
    else chat.typing.stop();
    return undefined;
  }

  async function submit(event) {
    event?.preventDefault();
    if (isEmpty || excess > 0 || isBlocked || isUploading) return;
    if (editing) {
      // After an error the text stays in the field, so that the user can retry.
      if (text === editing.content || (await chat.edit(editing, text))) done();
    } else {
      chat.send(conversationId, text.trim());
      chat.drafts.write(conversationId, "");
      setText("");
    }
  }

  function pasted(event) {
    const given = pastedFiles(event);
    if (editing || !given.length) return;
    event.preventDefault();
    add(given);
  }

  function add(given) {
    chat.files.add(conversationId, given);
    field.current.focus();
  }

  function remove(key) {
    chat.files.remove(conversationId, key);
    field.current.focus();
  }

  function pressed(event) {
    if (isComposing(event)) return;
    if (event.key === "Enter" && !event.shiftKey && hasKeyboard()) submit(event);
    if (event.key === "ArrowUp" && !text && !editing) {
      event.preventDefault();
      editLast();
    }
    if (event.key === "Escape" && editing) done();
  }

  return html`
    <form class="composer" onSubmit=${submit}>
      ${
        editing &&
        html`
          <p class="editing hint">
            ${isBlocked ? `Editing a message: ${OFFLINE.toLowerCase()}` : "Editing a message"}
            <${IconButton} name="close" label="Stop editing" onClick=${done} />
          </p>
        `
      }
      ${excess > 0 && html`<p id="excess" class="excess" role="alert">${excessive(excess)}</p>`}
      <${Pending} files=${files} remove=${remove} />
      <textarea
        ref=${field}
        rows="1"
        dir="auto"
        value=${text}
        aria-label=${editing ? "Edited message" : "Message"}
        aria-invalid=${excess > 0}
        aria-describedby=${excess > 0 ? "excess" : undefined}
        placeholder="Write a message"
        onInput=${(event) => write(event.target.value)}
        onKeyDown=${pressed}
        onPaste=${pasted}
        onBlur=${() => chat.typing.stop()}
      ></textarea>
      ${!editing && html`<${Attach} isOffline=${isOffline} add=${add} />`}
      <button
        type="submit"
        class="primary send"
        aria-label=${editing ? "Save" : "Send"}
        title=${isBlocked ? OFFLINE : isUploading ? "A file is being uploaded" : undefined}
        disabled=${isEmpty || excess > 0 || isBlocked || isUploading}
      >
        <${Icon} name="send" />
      </button>
    </form>
  `;
}

/** Return the files to send with the next message; an edit takes none. */
function useFiles(conversationId, chat, editing) {
  const [, render] = useState(0);
  useEffect(() => chat.files.listen(() => render((count) => count + 1)), [chat]);
  return editing ? NO_FILES : chat.files.list(conversationId);
}

function excessive(excess) {
  const limit = MAX_LENGTH.toLocaleString();
  const surplus = `${excess.toLocaleString()} character${excess === 1 ? "" : "s"}`;
  return `A message may have ${limit} characters. Shorten it by ${surplus} to send it.`;
}

/** Keep the field as high as its text, also when its width changes; newer browsers do so by `field-sizing`. */
const useHeight = CSS.supports("field-sizing", "content") ? () => {} : useMeasuredHeight;

function useMeasuredHeight(field, text) {
  const fit = () => {
    const { current: box } = field;
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight + box.offsetHeight - box.clientHeight}px`;
  };
  useLayoutEffect(fit, [text]);
  useEffect(() => {
    let width = field.current.clientWidth;
    const observer = new ResizeObserver(() => {
      if (field.current.clientWidth !== width) fit();
      width = field.current.clientWidth;
    });
    observer.observe(field.current);
    return () => observer.disconnect();
  }, []);
}
