/** The entry point of /docs: fetches the OpenAPI and the AsyncAPI document, and shows them as one. */

import { html, render } from "../views/html.js";
import { Page } from "./chapters.js";

async function read(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`Loading ${path} failed with status ${answer.status}.`);
  return answer.json();
}

const root = document.getElementById("app");
try {
  const [rest, events] = await Promise.all([read("/openapi.json"), read("/asyncapi.json")]);
  render(html`<${Page} rest=${rest} events=${events} />`, root);
  document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
} catch (error) {
  render(html`<p class="empty" role="alert">${error.message} Reload the page.</p>`, root);
}
