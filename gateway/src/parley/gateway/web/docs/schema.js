/** JSON Schemas in words, and the fields of an object as an expandable list. */

import { html } from "../views/html.js";
import { Prose, Expandable } from "./parts.js";
import { resolve } from "./entries.js";

const WORDS = { string: "text", integer: "whole number", boolean: "true or false", null: "null" };
const NONE = { type: "no body" };
const LIMITS = {
  minLength: (it) => it > 1 && `at least ${it} characters`,
  maxLength: (it) => `at most ${it} characters`,
  minimum: (it) => it > -(2 ** 53) && `from ${it}`,
  maximum: (it) => it < 2 ** 53 && `up to ${it}`,
  maxItems: (it) => `at most ${it}`,
  default: (it) => it !== null && it !== "" && `default ${JSON.stringify(it)}`,
};

/** Return the kind of a value: `text`, `list of Message`, `"direct" or "group"`. */
export function kindOf(schema, document) {
  if (schema.$ref) return shortName(schema.$ref);
  if (schema.enum) return schema.enum.map((it) => JSON.stringify(it)).join(" or ");
  if (schema.anyOf) return [...new Set(schema.anyOf.map((it) => kindOf(it, document)))].join(" or ");
  const types = [schema.type ?? (schema.contentMediaType ? "file" : "anything")].flat();
  return types.map((type) => kindOfType(type, schema, document)).join(" or ");
}

function kindOfType(type, schema, document) {
  if (type === "array") return `list of ${kindOf(schema.items, document)}`;
  if (type === "object" && schema.additionalProperties?.$ref)
    return `object of ${kindOf(schema.additionalProperties, document)} by id`;
  if (type === "string" && schema.format) return { "date-time": "time", uuid: "UUID" }[schema.format];
  return WORDS[type] ?? type;
}

function shortName(ref) {
  return ref.split("/").at(-1).split(".").at(-1);
}

function limitsOf(schema) {
  return Object.entries(LIMITS)
    .map(([name, format]) => schema[name] !== undefined && format(schema[name]))
    .filter(Boolean)
    .join(", ");
}

/** Return the schemas of the objects that a value may be or contain. */
function objectsIn(schema, document) {
  const whole = resolve(schema, document);
  if (whole.anyOf) return distinct(whole.anyOf.flatMap((it) => objectsIn(it, document)));
  if (whole.items) return objectsIn(whole.items, document);
  if (whole.properties) return [whole];
  const others = whole.additionalProperties;
  return typeof others === "object" ? objectsIn(others, document) : [];
}

function distinct(schemas) {
  const byFields = schemas.map((schema) => [Object.keys(schema.properties).join(" "), schema]);
  return [...new Map(byFields).values()];
}

/** A value: its kind, and its fields if it has any. */
export function Value({ schema, document }) {
  if (!schema) return null;
  return html`
    <p class="kind">${kindOf(schema, document)}</p>
    <${Inside} schema=${schema} document=${document} />
  `;
}

function Inside({ schema, document }) {
  return objectsIn(schema, document).map(
    (object) => html`
      <${Prose} text=${object.description} />
      <${Fields} document=${document} fields=${Object.entries(object.properties).map(([name, schema]) => [
        name,
        { schema, required: object.required?.includes(name), about: schema.description },
      ])} />
      ${object.additionalProperties === true && html`<p class="hint">Other fields are allowed.</p>`}
    `,
  );
}

/** Named values, as [name, {schema, required, about}]. */
export function Fields({ fields, document }) {
  return html`
    <dl class="fields">
      ${fields.map(
        ([name, field]) => html`<${Field} key=${name} name=${name} document=${document} ...${field} />`,
      )}
    </dl>
  `;
}

function Field({ name, schema = NONE, required, about, document }) {
  const kind = html`<span class="kind">${kindOf(schema, document)}</span>`;
  const limits = [!required && "optional", limitsOf(schema)].filter(Boolean).join(", ");
  const isObject = objectsIn(schema, document).length > 0;
  return html`
    <dt><code>${name}</code></dt>
    <dd>
      ${
        isObject
          ? html`
              <${Expandable} label=${kind}>
                <${Inside} schema=${schema} document=${document} />
              <//>
            `
          : kind
      }
      ${limits && html` <span class="hint">${limits}</span>`} <${Prose} text=${about} />
    </dd>
  `;
}
