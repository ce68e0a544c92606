/** Have the browser save what the page has loaded: the server gives files to requests with the token only. */

const KEPT_MILLISECONDS = 60_000; // by then the browser has read the blob

export function saveAs(name, blob) {
  const href = URL.createObjectURL(blob);
  Object.assign(document.createElement("a"), { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), KEPT_MILLISECONDS);
}
