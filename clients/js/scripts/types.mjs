// Writes src/generated.ts from the JSON Schemas of protocol/schemas, which are generated from the Rust types.
// `--check` writes nothing and fails when the file is stale.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { compile } from "json-schema-to-typescript";

const schemas = new URL("../../../protocol/schemas/", import.meta.url);
const target = fileURLToPath(new URL("../src/generated.ts", import.meta.url));
const names = readdirSync(schemas).filter((name) => name.endsWith(".json")).sort();

// What a schema admits, whatever it is called and however it is described.
function shape(schema) {
  if (Array.isArray(schema)) return `[${schema.map(shape)}]`;
  if (typeof schema !== "object" || schema === null) return JSON.stringify(schema);
  const said = Object.entries(schema).filter(([key, value]) => !["title", "description"].includes(key) || typeof value !== "string");
  return `{${said.sort().map(([key, value]) => `${key}:${shape(value)}`)}}`;
}

// Beside a reference a description would make a copy of the type referred to.
function bare(schema) {
  return JSON.parse(JSON.stringify(schema), (_, value) => (typeof value?.$ref === "string" ? { $ref: value.$ref } : value));
}

// One schema of all, so that a type that several use is written once.
const whole = { $schema: "https://json-schema.org/draft/2020-12/schema", $defs: {} };
for (const name of names) {
  const { $defs = {}, $schema: _, ...schema } = JSON.parse(readFileSync(new URL(name, schemas), "utf8"));
  for (const [key, part] of Object.entries({ ...$defs, [schema.title]: schema })) {
    const known = whole.$defs[key];
    if (known !== undefined && shape(known) !== shape(part)) throw new Error(`${key} differs in ${name}`);
    whole.$defs[key] ??= bare(part);
  }
}

const banner = "// Generated from protocol/schemas by `npm run types`. Do not edit.\n/* eslint-disable */";
const text = await compile(whole, "Everything", {
  additionalProperties: true,
  bannerComment: banner,
  format: false,
  unreachableDefinitions: true,
  strictIndexSignatures: false,
});
// The schema of everything is a means, not a type.
const written = text
  .replace(/export interface Everything \{[^}]*\}\n/, "")
  .replaceAll(/( \*\s*\n)? \* This interface was referenced by `Everything`'s JSON-Schema\n \* via the `definition` "\w+"\.\n/g, "")
  .replaceAll("/**\n */\n", "");

if (process.argv.includes("--check")) {
  if (readFileSync(target, "utf8") !== written) {
    console.error("src/generated.ts is stale: run `npm run types` in clients/js");
    process.exit(1);
  }
} else {
  writeFileSync(target, written);
}
