// The reader of event streams (HTML Living Standard, 9.2.6).

import assert from "node:assert/strict";
import { test } from "node:test";
import { StreamReader } from "../../dist/sse.js";

const STREAM =
  "\uFEFF: a comment\n\nretry: 250\nid: c1\nevent: odds_update\ndata: {\"type\":\"odds_update\"}\n\n" +
  "data: two\r\ndata:lines\r\n\r\n" +
  "event: nothing\n\n" +
  "id\ndata\n\n" +
  "id: c\0d\ndata:  kept space\rdata: ä€\u{1F3B2}\r\r" +
  "retry: soon\nunknown: x\ndata: last\n\n" +
  "data: cut off\n";

const WHOLE = [
  { type: "odds_update", data: "{\"type\":\"odds_update\"}", id: "c1" },
  { type: "message", data: "two\nlines", id: "c1" },
  { type: "message", data: "", id: "" },
  { type: "message", data: " kept space\nä€\u{1F3B2}", id: "" },
  { type: "message", data: "last", id: "" },
];

function read(chunks) {
  const reader = new StreamReader();
  const events = chunks.flatMap((chunk) => [...reader.push(chunk)]);
  return { events, retry: reader.retry };
}

test("comments, fields and line ends are read as the standard says, and an event that was cut off is none", () => {
  assert.deepEqual(read([STREAM]), { events: WHOLE, retry: 250 });
});

test("a stream that is cut in two anywhere gives the same events", () => {
  for (let at = 0; at <= STREAM.length; at += 1) {
    assert.deepEqual(read([STREAM.slice(0, at), STREAM.slice(at)]).events, WHOLE, `cut at ${at}`);
  }
});

test("a stream that comes character by character gives the same events", () => {
  assert.deepEqual(read([...STREAM]).events, WHOLE);
});

test("bytes that are cut anywhere, in the middle of a character too, give the same events", () => {
  const bytes = new TextEncoder().encode(STREAM);
  for (let at = 0; at <= bytes.length; at += 1) {
    const decoder = new TextDecoder();
    const chunks = [bytes.subarray(0, at), bytes.subarray(at)].map((part) => decoder.decode(part, { stream: true }));
    assert.deepEqual(read(chunks).events, WHOLE, `cut at ${at}`);
  }
});

test("chunks of random lengths give the same events", () => {
  for (let round = 0; round < 300; round += 1) {
    const chunks = [];
    for (let at = 0; at < STREAM.length; ) {
      const length = Math.floor(Math.random() * 12);
      chunks.push(STREAM.slice(at, at + length));
      at += length;
    }
    assert.deepEqual(read(chunks).events, WHOLE, JSON.stringify(chunks));
  }
});
