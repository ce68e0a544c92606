/** The composer: Enter sends, Shift+Enter inserts a line break, arrow up edits the last message. */

import { html, Icon, IconButton, useLayoutEffect, useRef, useState } from "./html.js";

const MAX_LENGTH = 8_000; // characters

const hasKeyboard = () => matchMedia("(hover: hover) and (pointer: fine)").matches;

export function Composer({ conversation, chat, editing, editLast, done }) {
  const { _id } = conversation;
  const [text, setText] = useState(editing?.content ?? chat.drafts.get(_id) ?? "");
  const field = useRef(null);

  useLayoutEffect(() => {
    const { current: box } = field;
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight + box.offsetHeight - box.clientHeight}px`;
  }, [text]);
  useLayoutEffect(() => {
    if (!editing && !hasKeyboard()) return;
    field.current.focus();
    field.current.setSelectionRange(text.length, text.length);
  }, []);

  function write(value) {
    setText(value);
    if (editing) return;
    chat.drafts.set(_id, value);
    if (value) chat.typing.typed(_id);
    else chat.typing.stop();
  }

  async function submit(event) {
    event?.preventDefault();
    if (!text.trim()) return;
    if (editing) {
      // After an error the text stays in the field, so that the user can retry.
      if (text === editing.content || (await chat.edit(editing, text))) done();
    } else {
      chat.send(_id, text.trim());
      chat.drafts.delete(_id);
      setText("");
    }
  }

  function pressed(event) {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey && hasKeyboard()) submit(event);
    if (event.key === "ArrowUp" && !text && !editing) (event.preventDefault(), editLast());
    if (event.key === "Escape" && editing) done();
  }

  return html`
    <form class="composer" onSubmit=${submit}>
      ${
        editing &&
        html`
          <p class="editing hint">
            Editing a message
            <${IconButton} name="close" label="Stop editing" onClick=${done} />
          </p>
        `
      }
      <textarea
        ref=${field}
        rows="1"
        maxlength=${MAX_LENGTH}
        value=${text}
        aria-label=${editing ? "Edited message" : "Message"}
        placeholder="Write a message"
        onInput=${(event) => write(event.target.value)}
        onKeyDown=${pressed}
        onBlur=${() => chat.typing.stop()}
      ></textarea>
      <button
        type="submit"
        class="primary send"
        aria-label=${editing ? "Save" : "Send"}
        disabled=${!text.trim()}
      >
        <${Icon} name="send" />
      </button>
    </form>
  `;
}
