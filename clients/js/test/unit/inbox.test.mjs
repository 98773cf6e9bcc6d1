// What waits between a feed and the reader of its iterator.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Inbox } from "../../dist/inbox.js";

const item = (n, id = `c${n}`) => ({ type: "odds_update", timestamp: "", data: { n }, ...(id === null ? {} : { id }) });

function inbox(limit) {
  const told = { dealtWith: [], hungry: 0 };
  const box = new Inbox(limit, (cursor) => told.dealtWith.push(cursor), () => (told.hungry += 1));
  return { box, told };
}

const number = async (box) => (await box.next()).value?.data.n;

test("items come in order, whether they or the reader come first", async () => {
  const { box } = inbox(10);
  const first = number(box);
  box.put(item(1));
  box.put(item(2));
  box.put(item(3));
  assert.deepEqual([await first, await number(box), await number(box)], [1, 2, 3]);
});

test("the position moves when the next item is asked for", async () => {
  const { box, told } = inbox(10);
  box.put(item(1));
  box.put(item(2));
  assert.ok(!box.isEmpty);
  await box.next();
  assert.deepEqual(told.dealtWith, []);
  await box.next();
  assert.deepEqual(told.dealtWith, ["c1"]);
  assert.ok(!box.isEmpty, "the second is in the reader's hands");
  void box.next();
  assert.deepEqual(told.dealtWith, ["c1", "c2"]);
  assert.ok(box.isEmpty);
});

test("an item without a position is in hand all the same", async () => {
  const { box, told } = inbox(10);
  box.put(item(1, null));
  await box.next();
  assert.ok(!box.isEmpty);
  void box.next();
  assert.ok(box.isEmpty);
  assert.deepEqual(told.dealtWith, []);
});

test("it says when it is full, and hungry when half of it is free", async () => {
  for (const limit of [1, 2, 3, 4, 5, 100]) {
    const { box, told } = inbox(limit);
    for (let n = 1; n < limit; n += 1) assert.ok(box.put(item(n)), `${n} of ${limit}`);
    assert.ok(!box.put(item(limit)), `${limit} of ${limit}`);
    for (let n = 1; n <= limit; n += 1) {
      assert.equal(await number(box), n);
      if (told.hungry > 0) assert.ok(limit - n <= limit / 2, `hungry with ${limit - n} of ${limit}`);
    }
    assert.ok(told.hungry > 0, `hungry at the end of ${limit}`);
  }
});

test("an end lets the reader have what is here, and then ends or throws", async () => {
  const { box } = inbox(10);
  box.put(item(1));
  box.end(null);
  box.put(item(2));
  assert.equal(await number(box), 1);
  assert.equal((await box.next()).done, true);

  const broken = inbox(10).box;
  const waiting = broken.next();
  broken.end(new Error("refused"));
  broken.end(null);
  await assert.rejects(waiting, /refused/);
  await assert.rejects(broken.next(), /refused/);
});

test("a reader that goes away gets nothing more", async () => {
  const { box } = inbox(10);
  box.put(item(1));
  box.stop();
  assert.equal((await box.next()).done, true);
});

test("two questions at once are an error of the program", async () => {
  const { box } = inbox(10);
  void box.next();
  await assert.rejects(box.next(), /one event at a time/);
});
