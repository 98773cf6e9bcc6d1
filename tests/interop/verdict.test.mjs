import assert from "node:assert/strict";
import { test } from "node:test";
import { rows } from "./clients.mjs";
import { faults, line } from "./verdict.mjs";

const curl = { name: "curl", how: "defaults" };
const webkit = { name: "EventSource in WebKit", how: "defaults" };
const HEAD = "| client | how | over a restart of its gateway |\n|---|---|---|";
const table = (...lines) => `\n\n${[HEAD, ...lines].join("\n")}\n\n`;
const both = table(line(curl, "does not come back"), line(webkit, "comes back, loses nothing"));
const seen = [[curl, "does not come back"], [webkit, "comes back, loses nothing"]];

test("what is as the table says has no fault, and what is otherwise has one", () => {
  assert.deepEqual(faults(both, seen, []), []);
  const [fault, ...others] = faults(both, [seen[0], [webkit, "hears nothing"]], []);
  assert.match(fault, /EventSource in WebKit.*"hears nothing"/);
  assert.deepEqual(others, []);
});

test("a client that was left out is a fault, unless it may be", () => {
  const left = (isAllowed) => [{ row: webkit, why: "WebKit is not here", isAllowed }];
  assert.deepEqual(faults(both, seen.slice(0, 1), left(true)), []);
  assert.deepEqual(faults(both, seen.slice(0, 1), left(false)), ["EventSource in WebKit (defaults) was not tried: WebKit is not here"]);
});

test("a client of the table that nobody tries, and one that is not in it, are faults", () => {
  assert.match(faults(both, seen.slice(0, 1), []).join(), /is not one of clients\.mjs: \| EventSource in WebKit/);
  assert.match(faults(table(line(curl, "does not come back")), seen, []).join(), /something else of EventSource in WebKit/);
});

test("a machine may be without Go, Java and WebKit, and nothing else", () => {
  const consume = "```js\nfunction follow() {\n}\n```";
  const optional = rows({ address: "http://x/", query: "", consume }).filter((row) => row.optional).map(({ name }) => name);
  assert.deepEqual([...new Set(optional.map((name) => /Go|JDK|WebKit/.exec(name)?.[0]))].sort(), ["Go", "JDK", "WebKit"]);
});
