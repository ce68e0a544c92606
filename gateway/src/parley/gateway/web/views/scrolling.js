/** Scrolling that keeps the reader's position: at the end, or at the message being read. */

import { useEffect, useLayoutEffect, useRef, useState } from "./html.js";

const NEAR = 80; // pixels

/**
 * Keep the position while entries are added at either end.
 *
 * `first` and `last` are the first and the last entry, `ready` is true once the history is loaded, and
 * `loadOlder()` is called near the top. Returns the scroller's `ref`, its `scrolled` handler, `atEnd`, and
 * `toEnd()`, which scrolls to the end.
 */
export function useScrolling({ first, last, ready, loadOlder }) {
  const ref = useRef(null);
  const [atEnd, setAtEnd] = useState(true);
  const position = useRef({ atEnd: true, placed: false, height: 0, first: null, last: null });
  const toEnd = () => (ref.current.scrollTop = ref.current.scrollHeight);

  function scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = ref.current;
    position.current.atEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    setAtEnd(position.current.atEnd);
    if (scrollTop < NEAR * 4) loadOlder();
  }

  useLayoutEffect(() => {
    const { current: box } = ref;
    const before = position.current;
    const isOwnNew = last?.mine && last.key !== before.last;
    const unread = ready && !before.placed && box.querySelector(".divider.new");
    if (unread) {
      unread.scrollIntoView({ block: "center" });
      scrolled();
    } else if (before.atEnd || isOwnNew) {
      toEnd();
    } else if (first?.key !== before.first) {
      box.scrollTop += box.scrollHeight - before.height;
    }
    Object.assign(before, { height: box.scrollHeight, first: first?.key, last: last?.key });
    before.placed ||= ready;
  });

  useEffect(() => {
    const observer = new ResizeObserver(() => position.current.atEnd && toEnd());
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);

  // If the messages do not fill the scroller, no scroll event ever loads older ones.
  useEffect(() => {
    if (ref.current.scrollHeight <= ref.current.clientHeight) loadOlder();
  });

  return { ref, scrolled, atEnd, toEnd };
}
