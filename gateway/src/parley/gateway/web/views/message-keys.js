/**
 * The keyboard in a thread, which is one tab stop: arrow up and down move between messages, arrow right and left
 * between a message and its links and buttons, Enter goes to the first of these, Escape to the composer.
 */

const stops = new WeakMap(); // scroller -> its message that is the tab stop
const chosen = new WeakSet(); // messages that the user has focused

/** Make one message the tab stop: the one that the user has focused last, else the last one. */
export function takeTabStop(box, article = stopIn(box)) {
  const before = stops.get(box);
  if (before === article) return;
  if (before) before.tabIndex = -1;
  if (article) article.tabIndex = 0;
  stops.set(box, article);
}

function stopIn(box) {
  const before = stops.get(box);
  if (chosen.has(before) && box.contains(before)) return before;
  const articles = box.getElementsByTagName("article");
  return articles[articles.length - 1];
}

/** Handle `focusin` in the thread. */
export function messageFocused(event) {
  const article = event.target.closest("article");
  if (!article) return;
  chosen.add(article);
  takeTabStop(event.currentTarget, article);
}

/** Focus a message, and make it the tab stop. */
export function focusMessage(box, article) {
  takeTabStop(box, article);
  article.focus({ preventScroll: true });
  article.scrollIntoView({ block: "nearest" });
}

/** Handle `keydown` in the thread. */
export function messageKeys(event) {
  const article = event.target.closest("dialog") ? null : event.target.closest("article");
  const move = article && !event.ctrlKey && !event.metaKey && !event.altKey && MOVES[event.key];
  if (move && move(event.currentTarget, article, event.target)) event.preventDefault();
}

const MOVES = {
  ArrowUp: (box, article) => toMessage(box, beside(article, "previousElementSibling")),
  ArrowDown: (box, article) => toMessage(box, beside(article, "nextElementSibling")),
  Home: (box) => toMessage(box, box.querySelector("article")),
  End: (box) => toMessage(box, [...box.querySelectorAll("article")].at(-1)),
  ArrowRight: (box, article, target) => toButton(box, article, target, 1),
  ArrowLeft: (box, article, target) => toButton(box, article, target, -1),
  Enter: (box, article, target) => target === article && toButton(box, article, target, 1),
  Escape: () => toComposer(),
};

function beside(article, direction) {
  let found = article[direction];
  while (found && found.tagName !== "ARTICLE") found = found[direction];
  return found;
}

function toMessage(box, article) {
  if (article) focusMessage(box, article);
  return true;
}

function toButton(box, article, target, step) {
  const stops = [article, ...article.querySelectorAll("a, button:not(:disabled)")];
  const next = stops[stops.indexOf(target) + step];
  if (next === article) focusMessage(box, article);
  else next?.focus();
  return Boolean(next);
}

function toComposer() {
  const field = document.querySelector(".composer textarea");
  field?.focus();
  return Boolean(field);
}
