/** Both documents as plain lists: a chapter for each client protocol, an entry for each path and event. */

const METHODS = ["get", "head", "post", "put", "patch", "delete"];
const SECTIONS = { rest: "REST", receive: "Events that clients emit", send: "Events that clients receive" };

/** Return the chapters with their sections of entries, in the order of the documents. */
export function chaptersOf(rest, events) {
  const paths = entriesOfRest(rest);
  const messages = entriesOfEvents(events);
  const titles = new Set([...Object.keys(events.channels), ...rest.tags.map((tag) => tag.name)]);
  return [...titles].map((title) => ({
    title,
    about: events.channels[title]?.description ?? rest.tags.find((tag) => tag.name === title).description,
    sections: Object.entries(SECTIONS)
      .map(([kind, name]) => ({
        name,
        entries: [...paths, ...messages].filter((entry) => entry.chapter === title && entry.kind === kind),
      }))
      .filter((section) => section.entries.length > 0),
  }));
}

/** Return the chapters, reduced to the entries that contain all words of a query. */
export function matching(chapters, query) {
  const wanted = query.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (entry, chapter) => {
    const text = `${chapter.title} ${entry.label} ${entry.name} ${entry.summary}`.toLowerCase();
    return wanted.every((word) => text.includes(word));
  };
  return chapters
    .map((chapter) => ({
      ...chapter,
      sections: chapter.sections
        .map((section) => ({ ...section, entries: section.entries.filter((entry) => matches(entry, chapter)) }))
        .filter((section) => section.entries.length > 0),
    }))
    .filter((chapter) => chapter.sections.length > 0);
}

function entriesOfRest(document) {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => methods[method]).map((method) => ({
      kind: "rest",
      chapter: methods[method].tags[0],
      id: methods[method].operationId,
      label: method.toUpperCase(),
      name: path,
      summary: methods[method].summary,
      parts: partsOfRest(methods[method], document),
    })),
  );
}

function partsOfRest({ parameters = [], requestBody, responses }, document) {
  const fields = parameters.map(({ name, in: place, required, description, schema }) => [
    name,
    { required, schema, about: [`in the ${place}`, description].filter(Boolean).join(": ") },
  ]);
  const answers = Object.entries(responses).map(([status, it]) => {
    const { description, content } = resolve(it, document);
    return { status, description, schema: bodiesOf({ content })[0]?.[1] };
  });
  const refusals = answers
    .filter(({ status }) => status >= 400)
    .map(({ status, description, schema }) => [status, { required: true, schema, about: description }]);
  return [
    fields.length > 0 && { title: "Parameters", fields, document },
    ...bodiesOf(requestBody).map(([type, schema]) => ({ title: `Body, ${type}`, schema, document })),
    ...answers
      .filter(({ status }) => status < 400)
      .map(({ status, description, schema }) => ({ title: `${status}: ${description}`, schema, document })),
    { title: "Refusals", fields: refusals, document },
  ].filter(Boolean);
}

function bodiesOf(described) {
  return Object.entries(described?.content ?? {}).map(([type, { schema }]) => [type, schema]);
}

function entriesOfEvents(document) {
  return Object.entries(document.operations).map(([id, operation]) => {
    const message = resolve(operation.messages[0], document);
    const answers = (operation.reply?.messages ?? []).map((it) => resolve(it, document));
    return {
      kind: operation.action,
      chapter: operation.channel.$ref.split("/").at(-1),
      id,
      label: operation.action === "receive" ? "emit" : "on",
      name: message.name,
      summary: operation.description,
      parts: [
        { title: "Payload", schema: message.payload, document },
        ...answers.map(({ title, payload }) => ({
          title: `Acknowledgement: ${title}`,
          schema: payload,
          document,
        })),
      ],
    };
  });
}

/** Return the target of a reference within a document, or the value itself if it is none. */
export function resolve(value, document) {
  if (!value?.$ref) return value;
  const keys = value.$ref.slice(2).split("/");
  return keys.reduce((inner, key) => inner[key.replaceAll("~1", "/").replaceAll("~0", "~")], document);
}
