/** A scroller that stays where its reader is: at the end, or at what is being read. */

import { useEffect, useLayoutEffect, useRef, useState } from "./html.js";

const NEAR = 80; // pixels

/**
 * `first` and `last` are the entries at either end; `ready` says that they are no longer awaited;
 * `readOlder()` is called when the beginning comes near. Gives the scroller's ref, its scroll handler,
 * whether it is at its end, and how to go there.
 */
export function useScrolling({ first, last, ready, readOlder }) {
  const ref = useRef(null);
  const [atEnd, setAtEnd] = useState(true);
  const place = useRef({ atEnd: true, placed: false, height: 0, first: null, last: null });
  const toEnd = () => (ref.current.scrollTop = ref.current.scrollHeight);

  function scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = ref.current;
    place.current.atEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    setAtEnd(place.current.atEnd);
    if (scrollTop < NEAR * 4) readOlder();
  }

  useLayoutEffect(() => {
    const { current: box } = ref;
    const before = place.current;
    const spoke = last?.mine && last.key !== before.last;
    const unread = ready && !before.placed && box.querySelector(".divider.new");
    if (unread) {
      unread.scrollIntoView({ block: "center" });
      scrolled();
    } else if (before.atEnd || spoke) {
      toEnd();
    } else if (first?.key !== before.first) {
      box.scrollTop += box.scrollHeight - before.height;
    }
    Object.assign(before, { height: box.scrollHeight, first: first?.key, last: last?.key });
    before.placed ||= ready;
  });

  useEffect(() => {
    const observer = new ResizeObserver(() => place.current.atEnd && toEnd());
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);

  // A page that does not fill the scroller leaves nothing to scroll.
  useEffect(() => {
    if (ref.current.scrollHeight <= ref.current.clientHeight) readOlder();
  });

  return { ref, scrolled, atEnd, toEnd };
}
