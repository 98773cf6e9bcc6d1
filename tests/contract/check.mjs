// Holds docs/openapi.json and docs/asyncapi.json against what the two specifications themselves say, with the readers
// that others use. Warnings count: what is not meant is written differently or named here. Each reader is first
// given a broken document, so that one that looks at nothing is noticed.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Parser } from "@asyncapi/parser";
import { createConfig, lintFromString } from "@redocly/openapi-core";

const path = (name) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));

const config = await createConfig({
  extends: ["recommended-strict"],
  rules: {
    // A switch of protocol, an answer that cannot fail and a list at the address of a folder are what they are.
    "operation-2xx-response": "off",
    "operation-4xx-response": "off",
    "no-path-trailing-slash": "off",
  },
});

async function openapi(source) {
  const found = await lintFromString({ source, absoluteRef: path("openapi.json"), config });
  return found.map(({ severity, ruleId, message, location }) => `${severity} ${ruleId} ${location[0]?.pointer}: ${message}`);
}

async function asyncapi(source) {
  const { diagnostics } = await new Parser().parse(source);
  // 0 is an error, 1 a warning; hints are matters of taste.
  const found = diagnostics.filter(({ severity }) => severity <= 1);
  return found.map(({ severity, code, path: at, message }) => `${severity} ${code} ${at.join("/")}: ${message}`);
}

let failed = false;
for (const [name, validate, spoil] of [
  ["openapi.json", openapi, (document) => (document.paths["/api/odds"].get.responses["200"].content["application/json"].schema.$ref += "x")],
  ["openapi.json", openapi, (document) => delete document.paths["/api/odds"].get.responses],
  ["asyncapi.json", asyncapi, (document) => (document.channels.websocket.messages.pong.$ref += "x")],
  ["asyncapi.json", asyncapi, (document) => (document.operations.take_ping.action = "shout")],
]) {
  const text = readFileSync(path(name), "utf8");
  const found = await validate(text);
  for (const line of found) console.error(`docs/${name}: ${line}`);
  const broken = JSON.parse(text);
  spoil(broken);
  const missed = (await validate(JSON.stringify(broken))).length <= found.length;
  if (missed) console.error(`docs/${name}: the check does not notice ${spoil}`);
  failed ||= found.length > 0 || missed;
}
process.exit(failed ? 1 : 0);
