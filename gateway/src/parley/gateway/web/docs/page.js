/** The page that shows both documents: fetches them, and puts what belongs together side by side. */

import { html, render } from "../views/html.js";
import { Page } from "./chapters.js";

async function read(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path} is not there right now (${answer.status}).`);
  return answer.json();
}

const place = document.getElementById("app");
try {
  const [rest, events] = await Promise.all([read("/openapi.json"), read("/asyncapi.json")]);
  render(html`<${Page} rest=${rest} events=${events} />`, place);
  document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
} catch (error) {
  render(html`<p class="empty" role="alert">${error.message} Load the page again.</p>`, place);
}
