// Positions on their way into a storage.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Keeper } from "../../dist/keeper.js";
import { deferred, settle } from "./script.mjs";

function slow() {
  const writes = [];
  const failures = [];
  const storage = {
    get: () => "old",
    set(cursor) {
      const write = { cursor, ...deferred() };
      writes.push(write);
      return write.promise;
    },
  };
  const keeper = new Keeper(storage, (error) => failures.push(error.message));
  return { keeper, writes, failures };
}

function clock(t) {
  let now = 0;
  t.mock.method(performance, "now", () => now);
  return (ms) => (now += ms);
}

test("it is written at most once a second", (t) => {
  const pass = clock(t);
  const written = [];
  const keeper = new Keeper({ get: () => null, set: (cursor) => void written.push(cursor) }, () => {});
  return (async () => {
    for (let n = 0; n < 30; n += 1) {
      keeper.keep(`c${n}`);
      keeper.write(false);
      await settle();
      pass(100);
    }
    assert.deepEqual(written, ["c0", "c10", "c20"]);
    keeper.write(true);
    assert.deepEqual(written, ["c0", "c10", "c20", "c29"], "asked for now it is called at once");
  })();
});

test("one write at a time: an older position never comes last", async (t) => {
  const pass = clock(t);
  const { keeper, writes } = slow();
  keeper.keep("c1");
  keeper.write(false);
  pass(5000);
  keeper.keep("c2");
  keeper.write(true);
  keeper.keep("c3");
  keeper.write(true);
  assert.deepEqual(writes.map(({ cursor }) => cursor), ["c1"]);
  const settled = keeper.settled();
  writes[0].resolve();
  await settle();
  assert.deepEqual(writes.map(({ cursor }) => cursor), ["c1", "c3"]);
  writes[1].resolve();
  await settled;
});

test("a write that failed is told, and tried again", async (t) => {
  const pass = clock(t);
  const { keeper, writes, failures } = slow();
  keeper.keep("c1");
  keeper.write(false);
  writes[0].reject(new Error("disk full"));
  await settle();
  assert.deepEqual(failures, ["disk full"]);
  keeper.write(false);
  assert.equal(writes.length, 1, "not in the same second");
  pass(1000);
  keeper.write(false);
  assert.equal(writes[1].cursor, "c1");
});

test("what was kept before is read; an empty text is nothing", async () => {
  assert.equal(await slow().keeper.load(), "old");
  assert.equal(await new Keeper({ get: () => "", set() {} }, () => {}).load(), null);
  assert.equal(await new Keeper(undefined, () => {}).load(), null);
});
