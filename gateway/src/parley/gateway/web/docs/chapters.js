/** The documentation page: an introduction, the contents, and a chapter for each client protocol. */

import { html, useState } from "../views/html.js";
import { chaptersOf, matching } from "./entries.js";
import { inlineMarkup, Prose, Expandable } from "./parts.js";
import { Fields, Value } from "./schema.js";

export function Page({ rest, events }) {
  const [query, setQuery] = useState("");
  const chapters = matching(chaptersOf(rest, events), query);
  return html`
    <div class="docs">
      <nav aria-label="Contents">
        <label for="find">Find</label>
        <input
          id="find"
          type="search"
          placeholder="A path, an event, a word"
          value=${query}
          onInput=${(event) => setQuery(event.currentTarget.value)}
        />
        <ul>
          ${chapters.map((chapter) => html`<${Contents} key=${chapter.title} chapter=${chapter} />`)}
        </ul>
      </nav>
      <main>
        <header>
          <h1>${rest.info.title} <small>${rest.info.version}</small></h1>
          <${Prose} text=${rest.info.description} />
          <${Prose} text=${events.info.description} />
          <p class="documents">
            <a href="/openapi.json">OpenAPI ${rest.openapi}</a>
            <a href="/asyncapi.json">AsyncAPI ${events.asyncapi}</a>
            <a href="/">Chat</a>
          </p>
          <${Tokens} schemes=${rest.components.securitySchemes} more=${events.components.securitySchemes} />
        </header>
        ${chapters.map((chapter) => html`<${Chapter} key=${chapter.title} chapter=${chapter} />`)}
        ${chapters.length === 0 && html`<p class="hint empty" role="status">No entry contains these words.</p>`}
      </main>
    </div>
  `;
}

function Tokens({ schemes, more }) {
  const all = { ...more, ...schemes };
  const names = { auth: "auth object", bearer: "Authorization: Bearer", token: "?token=" };
  return html`
    <dl class="fields">
      ${Object.entries(all).map(
        ([name, { description }]) => html`
          <dt><code>${names[name] ?? name}</code></dt>
          <dd><${Prose} text=${description} /></dd>
        `,
      )}
    </dl>
  `;
}

function Contents({ chapter }) {
  return html`
    <li>
      <a href="#${chapter.title}">${chapter.title}</a>
      <ul>
        ${chapter.sections.map(
          ({ name, entries }) =>
            html`
              <li>
                <a href="#${sectionId(chapter, name)}">${name}</a> <span class="hint">${entries.length}</span>
              </li>
            `,
        )}
      </ul>
    </li>
  `;
}

function Chapter({ chapter }) {
  return html`
    <section aria-labelledby=${chapter.title}>
      <h2 id=${chapter.title}>${chapter.title}</h2>
      <${Prose} text=${chapter.about} />
      ${chapter.sections.map(
        ({ name, entries }) => html`
          <h3 id=${sectionId(chapter, name)}>${name}</h3>
          ${entries.map((entry) => html`<${Entry} key=${entry.id} entry=${entry} />`)}
        `,
      )}
    </section>
  `;
}

function sectionId(chapter, name) {
  return `${chapter.title}-${name.toLowerCase().replaceAll(" ", "-")}`;
}

function Entry({ entry }) {
  const label = html`
    <span class="label ${entry.label.toLowerCase()}">${entry.label}</span>
    <code>${entry.name}</code>
    <span class="summary">${inlineMarkup(entry.summary)}</span>
  `;
  return html`
    <${Expandable} id=${entry.id} label=${label} opened=${location.hash === `#${entry.id}`}>
      ${entry.parts.map(
        ({ title, fields, schema, document }) => html`
          <h4>${inlineMarkup(title)}</h4>
          ${
            fields
              ? html`<${Fields} fields=${fields} document=${document} />`
              : html`<${Value} schema=${schema} document=${document} />`
          }
        `,
      )}
    <//>
  `;
}
