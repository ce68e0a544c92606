/** The reader's position in a thread: the part that is in the document, and the scroller's place in it. */

import { isSame } from "../state/same.js";
import { firstUnread } from "../state/selectors.js";
import { around, atEnd, movedDown, movedUp, SPARE, trimmed } from "../state/thread-window.js";
import { indexFrom } from "../state/timeline.js";

const NEAR = 60; // pixels from the end that count as the end
const EDGE = 900; // pixels from an edge at which the next part is put into the document
const TRIM_MILLISECONDS = 200;
const MARGIN = 24; // pixels above the line of new messages

export class ThreadPosition {
  window = null; // the part of the thread that is in the document, once the history is loaded
  entries = []; // of the window, one for each article in the document
  isAtEnd = true;
  newFrom = 0; // the number of the first message below the line of new messages; 0 without a line
  #chat;
  #render;
  #me;
  #conversation;
  #goal = null; // where to scroll after the next render: "end", "new", or an anchor
  #anchor = null; // {seq, top}: the first message in view, and its distance from the top
  #isJumping = false;
  #isLoading = false;
  #hasFailed = false; // loading has failed since the last scroll
  #lastSeq = 0;
  #passed = 0; // the number of the last message when the reader went to the end
  #lastOwn = null;
  #settled = []; // what the last `settle` found: the rows, the window, and the loaded messages
  #isTrimming = false; // a trim is due soon
  #looked = []; // what the last `look` found

  /** `render()` renders the thread again. */
  constructor(chat, me, render) {
    this.#chat = chat;
    this.#me = me;
    this.#render = render;
  }

  /** Choose what to show of a conversation. `lastOwn` names the newest message in the outbox. */
  choose(conversation, lastOwn) {
    this.#conversation = conversation;
    if (conversation.history !== "ready") this.window = null;
    else if (!this.window) this.#open();
    else this.#drawLine();
    if (lastOwn && lastOwn !== this.#lastOwn && this.window && this.#lastOwn !== null) this.#jump();
    this.#lastOwn = lastOwn ?? "";
    if (this.#isJumping && this.window && !conversation.newer) this.#land();
    this.#lastSeq = conversation.messages.at(-1)?.seq ?? 0;
    return this.window;
  }

  #open() {
    const { _id, messages, unread } = this.#conversation;
    const saved = this.#chat.places.get(_id);
    this.newFrom = unread ? firstUnread(this.#conversation, this.#me) : 0;
    if (this.newFrom) this.#show("new", this.newFrom);
    else if (saved && messages[indexFrom(messages, saved.seq)]?.seq === saved.seq) this.#show(saved, saved.seq);
    else [this.#goal, this.window] = ["end", atEnd(messages)];
  }

  #show(goal, seq) {
    this.#goal = goal;
    this.window = around(this.#conversation, seq);
  }

  /** Draw the line above the first message that arrives out of the user's sight. */
  #drawLine() {
    if (this.newFrom || this.#conversation.newer || (this.#chat.isActive() && this.isAtEnd)) return;
    this.newFrom = this.#firstAfter(this.#lastSeq);
  }

  /** Return the number of the first unread message after number `seq`; 0 if there is none. */
  #firstAfter(seq) {
    const { messages, readSeq } = this.#conversation;
    return firstUnread({ messages, readSeq: Math.max(readSeq, seq) }, this.#me);
  }

  /** Go to the newest message. */
  toEnd() {
    this.#jump();
    this.#render();
  }

  /** Have the next `choose` go to the newest message, as soon as that is loaded. */
  #jump() {
    this.newFrom = this.#chat.isActive() ? 0 : this.newFrom;
    this.#isJumping = true;
    if (this.#conversation.newer) this.#load(() => this.#chat.loadEnd(this.#conversation));
  }

  /** Put the end of the thread into the document; messages that would leave it at its end can leave it later. */
  #land() {
    this.#isJumping = false;
    if (!this.isAtEnd || this.window.to !== Infinity) this.window = atEnd(this.#conversation.messages);
    this.#goal = "end";
  }

  /** Scroll to where the reader should be after a render; `rows` is the same as before if none has changed. */
  settle(box, rows) {
    const settled = [rows, this.window, this.#conversation.messages];
    if (!this.window || (!this.#goal && isSame(settled, this.#settled))) return;
    this.#settled = settled;
    if (this.#goal) this.#reach(box);
    else if (this.isAtEnd && this.window.to === Infinity) this.#followArrivals(box);
    else this.#hold(box);
    this.look(box);
  }

  #reach(box) {
    const goal = this.#goal;
    this.#goal = null;
    const line = goal === "new" && lineIn(box);
    if (line) box.scrollTop = line.offsetTop - box.clientHeight / 5;
    else if (goal.seq) this.#hold(box, goal);
    else {
      this.#passed = this.#lastSeq;
      box.scrollTop = box.scrollHeight;
    }
  }

  /** Stay at the end, unless unseen messages would leave the view: then stay at the first of them. */
  #followArrivals(box) {
    const seen = Math.max(this.#passed, this.#chat.seenSeq(this.#conversation._id));
    const unseen = this.#chat.isActive() ? this.#firstAfter(seen) : 0;
    const first = unseen && articlesIn(box)[this.entries.findIndex((entry) => entry.seq === unseen)];
    if (!first || first.offsetTop >= box.scrollHeight - box.clientHeight) return this.follow(box);
    this.newFrom = unseen;
    box.scrollTop = first.offsetTop - box.clientHeight / 5;
    return this.#render();
  }

  /** Stay at the end, but keep the line in view while the user is away. */
  follow(box) {
    const line = !this.#chat.isActive() && lineIn(box);
    const isLineBelow = line && line.offsetTop >= box.scrollTop;
    box.scrollTop = isLineBelow ? Math.min(box.scrollHeight, line.offsetTop - MARGIN) : box.scrollHeight;
  }

  /** Keep the first message in view where it was. */
  #hold(box, anchor = this.#anchor) {
    const index = anchor ? this.entries.findIndex((entry) => entry.seq === anchor.seq) : -1;
    if (index < 0) return;
    const moved = articlesIn(box)[index].offsetTop - box.scrollTop - anchor.top;
    if (moved) box.scrollTop += moved;
  }

  /** React to a change of the scroller's size. */
  resized(box) {
    if (!this.window) return;
    if (this.isAtEnd) this.follow(box);
    this.look(box);
  }

  /** React to a scroll. */
  scrolled(box) {
    this.#hasFailed = false;
    this.look(box);
  }

  /** Note what is in view, and extend the window near its edges. */
  look(box) {
    if (!this.window) return;
    const { scrollTop, clientHeight, scrollHeight } = box;
    // A scroll of the page's own is reported, too.
    const looked = [scrollTop, clientHeight, scrollHeight, ...this.#settled];
    if (isSame(looked, this.#looked)) return;
    this.#looked = looked;
    const below = scrollHeight - scrollTop - clientHeight;
    const wasAtEnd = this.isAtEnd;
    this.isAtEnd = this.window.to === Infinity && below < NEAR;
    if (this.isAtEnd && !wasAtEnd) this.#passed = this.#lastSeq;
    const articles = articlesIn(box);
    this.#anchor = this.isAtEnd ? null : this.#firstInView(articles, scrollTop);
    this.#save();
    this.#report(firstBelow(articles, scrollTop + clientHeight + 2));
    if (wasAtEnd !== this.isAtEnd) this.#render();
    const hasSpare = articles.length > SPARE && articles[SPARE].offsetTop < scrollTop - 1.1 * EDGE;
    this.#extend(scrollTop < EDGE, below < EDGE, hasSpare);
  }

  #firstInView(articles, scrollTop) {
    const top = firstBelow(articles, scrollTop);
    const seq = this.entries[top]?.seq;
    return seq ? { seq, top: articles[top].offsetTop - scrollTop } : null;
  }

  #save() {
    const { _id } = this.#conversation;
    if (!this.#anchor) this.#chat.places.delete(_id);
    else this.#chat.places.set(_id, this.#anchor);
  }

  /** Report the last message of another user whose end is in view: `end` is the first entry that is not. */
  #report(end) {
    const isTheirs = (entry) => !entry.mine && entry.seq;
    const last = this.entries.slice(0, end).findLast(isTheirs);
    if (last) this.#chat.look({ conversationId: this.#conversation._id, seq: last.seq, messageId: last._id });
  }

  #extend(isNearTop, isNearBottom, hasSpare) {
    const conversation = this.#conversation;
    const { older, newer } = conversation;
    let next = this.window;
    if (isNearTop) next = movedUp(next, conversation);
    if (next === this.window && isNearTop && older) this.#load(() => this.#chat.loadOlder(conversation));
    if (next === this.window && isNearBottom) {
      next = movedDown(next, conversation);
      if (next === this.window && newer) this.#load(() => this.#chat.loadNewer(conversation));
    }
    if (hasSpare && this.isAtEnd) return this.#trimSoon();
    const follows = { isFollowing: this.isAtEnd, hasSpare };
    return this.#move(next === this.window ? trimmed(next, conversation, follows) : next);
  }

  #move(window) {
    if (window === this.window) return;
    this.window = window;
    this.#render();
  }

  /** Drop what is far out of view, but not in the frame that shows a message: the removal would delay it. */
  #trimSoon() {
    if (this.#isTrimming) return;
    this.#isTrimming = true;
    setTimeout(() => {
      this.#isTrimming = false;
      if (this.window && this.isAtEnd)
        this.#move(trimmed(this.window, this.#conversation, { isFollowing: true, hasSpare: true }));
    }, TRIM_MILLISECONDS);
  }

  /** Load one page at a time. After a failure only another scroll tries again. */
  async #load(work) {
    if (this.#isLoading || this.#hasFailed) return;
    this.#isLoading = true;
    this.#hasFailed = !(await work());
    this.#isLoading = false;
    this.#render();
  }
}

const lineIn = (box) => box.querySelector(".divider.new");
const articlesIn = (box) => box.getElementsByTagName("article");

/** Return the index of the first article that ends below a height. */
function firstBelow(articles, height) {
  let [low, high] = [0, articles.length];
  const endsAbove = (index) => articles[index].offsetTop + articles[index].offsetHeight <= height;
  // Each look at a height costs; at the end of a thread the first one suffices.
  if (high && endsAbove(high - 1)) return high;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (endsAbove(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}
