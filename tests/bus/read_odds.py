#!/usr/bin/env python3
"""Reads Oddswire's odds from NATS, as a service in another language would.

It knows docs/protocol.md ("The bus") and nothing else of the product. It starts the product, reads the board by Direct
Get, follows the live side until it saw quotes of every demo source, and does so once more as one that comes late. It
checks all that the page promises about what comes by, and ends with 0, or with 1 and a sentence that says what is
wrong.

    ODDSWIRE_BIN=target/debug/oddswire ODDSWIRE_NATS_SERVER=… python tests/bus/read_odds.py

With ODDSWIRE_NATS_URL set it starts nothing, and reads what is there.
"""

import asyncio
import collections
import json
import os
import pathlib
import re
import signal
import socket
import sys
from decimal import Decimal

import nats
import nats.errors

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = {"alpha", "bravo", "charlie", "delta"}
# The end of waiting; on a machine with time to spare it takes a sixth of that.
WORK_WITHIN_S = 300
STOP_WITHIN_S = 35
ANSWER_WITHIN_S = 5

FEED = "oddswire.feed.odds.>"
LIVE = "oddswire.live.odds.>"
# Messages that have a place in the chain and nothing to say: fences and terms.
MARKERS = ("oddswire.feed.odds.fence.", "oddswire.feed.odds.term.")
TOKEN = re.compile(r"[a-z0-9_-]{1,64}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
STATUSES = {"open", "suspended", "withdrawn"}
PAYLOAD_MAX_BYTES = 64 * 1024


class Wrong(Exception):
    """Something is not what docs/protocol.md says."""


def check(holds, sentence):
    if not holds:
        raise Wrong(sentence)


class Product:
    """`oddswire dev`, from its start to its end."""

    def __init__(self, program):
        self.program = program
        self.process = None
        self.port = None
        self.nats_url = None
        self.ready = asyncio.Event()
        self.said = collections.deque(maxlen=15)
        self.readers = []

    async def start(self):
        """Starts it, and gives the address of its bus once it is ready."""
        self.port = free_port()
        self.process = await asyncio.create_subprocess_exec(
            self.program, "dev", "--port", str(self.port),
            cwd=ROOT, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C comes to us, and we tell it in our own way
        )
        self.readers = [
            asyncio.create_task(self.listen(self.process.stdout, self.note)),
            asyncio.create_task(self.listen(self.process.stderr, lambda line: None)),
        ]
        waits = {asyncio.create_task(self.process.wait()), asyncio.create_task(self.ready.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        check(self.ready.is_set(), "the product ended before it was ready")
        check(self.nats_url, "the product was ready and had not said where its NATS is")
        return self.nats_url

    async def listen(self, stream, note):
        """Reads to the end, so that the product never waits for us, and keeps the last lines."""
        async for line in stream:
            text = line.decode(errors="replace").rstrip()
            self.said.append(text)
            note(text)

    def note(self, line):
        bus = re.fullmatch(r"nats\s+(nats://\S+)", line)
        if bus:
            self.nats_url = bus[1]
        if f"http://127.0.0.1:{self.port}/" in line:
            self.ready.set()

    async def stop(self):
        """Ends it as Ctrl-C does. Gives its exit code, or None when it had to be killed."""
        if self.process is None:
            return 0
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                code = await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            code = None
        for reader in self.readers:
            # A part that outlives it would hold the pipe open.
            reader.cancel()
        return code


def free_port():
    """A port that is free, and the two above it: for the operations ports."""
    for _ in range(100):
        with socket.socket() as first, socket.socket() as second, socket.socket() as third:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
                third.bind(("127.0.0.1", port + 2))
            except (OSError, OverflowError):
                continue
            if port < 65_000:
                return port
    raise Wrong("no three free ports in a row")


class Bus:
    """What a reader needs of NATS: a subscription, a stream's state, and Direct Get."""

    def __init__(self, connection):
        self.connection = connection

    async def state(self, stream):
        answer = await self.connection.request(f"$JS.API.STREAM.INFO.{stream}", b"{}", timeout=ANSWER_WITHIN_S)
        info = json.loads(answer.data)
        check("error" not in info, f"stream {stream}: {info.get('error')}")
        return info["state"]

    async def read(self, stream, subjects, seq=1):
        """Every stored message from `seq` on, by rising sequence, in batches."""
        messages = []
        while True:
            batch, pending = await self.batch(stream, subjects, seq)
            messages += batch
            if pending == 0:
                return messages
            check(batch, f"{stream}: {pending} messages are left, and an empty batch came")
            seq = sequence(batch[-1]) + 1

    async def batch(self, stream, subjects, seq):
        query = {"seq": seq, "next_by_subj": subjects, "batch": 256, "max_bytes": 1 << 20}
        inbox = self.connection.new_inbox()
        replies = await self.connection.subscribe(inbox)
        try:
            await self.connection.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(query).encode(), reply=inbox)
            messages = []
            while True:
                message = await replies.next_msg(timeout=ANSWER_WITHIN_S)
                status = (message.headers or {}).get("Status")
                if status is None:
                    messages.append(message)
                elif status == "204":
                    return messages, int(message.headers["Nats-Num-Pending"])
                elif status == "404":
                    return messages, 0
                else:
                    raise Wrong(f"Direct Get of {stream}: status {status}")
        finally:
            await replies.unsubscribe()


def sequence(message):
    return int(message.headers["Nats-Sequence"])


def is_event(message):
    """Whether it is an event, and no marker of the writers."""
    return not message.headers["Nats-Subject"].startswith(MARKERS)


class Board:
    """The newest image of each key."""

    def __init__(self):
        self.images = {}  # by subject: (sequence, payload)

    def take(self, message):
        headers = message.headers
        subject = headers["Nats-Subject"]
        known = self.images.get(subject)
        if known is None or known[0] < sequence(message):
            self.images[subject] = (sequence(message), message.data)

    def sources(self):
        return {quote_tokens(subject)[2] for subject in self.images if quote_tokens(subject)}


def quote_tokens(subject):
    """Sport, event, source and market of a quote's subject, stored or live."""
    tokens = subject.split(".")
    if len(tokens) == 8 and tokens[0] == "oddswire" and tokens[2:4] == ["odds", "quote"]:
        return tokens[4:]
    return None


def check_message(message):
    """Headers, payload and subject of one event, stored or live. Gives the payload."""
    headers = message.headers or {}
    where = headers.get("Nats-Subject", message.subject)
    for name in ("ce-id", "ce-source", "ce-time", "ce-type", "Nats-Sequence", "Nats-Subject"):
        check(headers.get(name), f"{where}: header {name} is missing")
    check(headers.get("ce-specversion") == "1.0", f"{where}: ce-specversion is {headers.get('ce-specversion')!r}")
    check(headers["ce-id"] == headers.get("Nats-Msg-Id"), f"{where}: ce-id and Nats-Msg-Id differ")
    check(headers["ce-source"].startswith("/oddswire/"), f"{where}: ce-source is {headers['ce-source']!r}")
    check(TIME.fullmatch(headers["ce-time"]), f"{where}: ce-time is {headers['ce-time']!r}")
    check(headers.get("Nats-Stream") == "ODDS", f"{where}: Nats-Stream is {headers.get('Nats-Stream')!r}")
    check(0 < len(message.data) <= PAYLOAD_MAX_BYTES, f"{where}: payload of {len(message.data)} bytes")
    check(b"\n" not in message.data and b"\r" not in message.data, f"{where}: payload of several lines")
    try:
        data = json.loads(message.data.decode(), parse_float=Decimal)
    except ValueError as error:
        raise Wrong(f"{where}: payload is not JSON in UTF-8: {error}") from error
    check(isinstance(data, dict), f"{where}: payload is no object")
    tokens = where.split(".")
    check(all(TOKEN.fullmatch(token) for token in tokens), f"{where}: a bad token")
    try:
        if quote_tokens(where):
            check(headers["ce-type"] == "odds_update", f"{where}: ce-type is {headers['ce-type']!r}")
            check_quote(where, data)
        else:
            known = tokens[:4] == ["oddswire", "feed", "odds", "confirmed"] and len(tokens) == 5
            check(known, f"{where}: unknown subject")
            check(headers["ce-type"] == "odds_confirmed", f"{where}: ce-type is {headers['ce-type']!r}")
            check_confirmed(where, data, tokens[4])
    except (KeyError, TypeError) as error:
        raise Wrong(f"{where}: the payload has not the shape that the page gives: {error!r}") from error
    return data


def check_quote(where, data):
    event, market = data["event"], data["market"]
    said = [event["sport_key"], event["event_id"], data["source"], f"{market['key']}-{market['period']}"]
    check(said == quote_tokens(where), f"{where}: the payload says {'.'.join(said)}")
    check("-" not in market["period"], f"{where}: a period with a '-'")
    check(data["event_ids"] == [event["event_id"]], f"{where}: event_ids is {data['event_ids']}")
    quotes = market["quotes"]
    check(data["snapshot_count"] == len(quotes), f"{where}: snapshot_count is not the number of quotes")
    lines = [quote["line"] for quote in quotes]
    # No line is not line 0: it comes before every number.
    order = [(line is not None, line or 0) for line in lines]
    check(order == sorted(set(order)), f"{where}: lines are not in order: {lines}")
    for quote in quotes:
        check(quote["status"] in STATUSES, f"{where}: status {quote['status']!r}")
        check(quote["line"] is None or decimals(quote["line"]) <= 3, f"{where}: line {quote['line']}")
        for name in ("changed_at", "confirmed_at"):
            check(TIME.fullmatch(quote[name]), f"{where}: {name} is {quote[name]!r}")
        names = [outcome["name"] for outcome in quote["outcomes"]]
        check(names and names == sorted(set(names)), f"{where}: outcomes are not in order: {names}")
        for outcome in quote["outcomes"]:
            check_outcome(where, outcome)


def check_outcome(where, outcome):
    check(outcome["status"] in STATUSES, f"{where}: status {outcome['status']!r}")
    for name in ("price", "previous_price"):
        price = outcome[name]
        good = price is None or (decimals(price) <= 3 and Decimal("1.001") <= price <= 1_000_000)
        check(good, f"{where}: {name} of {outcome['name']} is {price}")


def check_confirmed(where, data, source):
    check(data["source"] == source, f"{where}: the payload says {data['source']}")
    check(TIME.fullmatch(data["confirmed_at"]), f"{where}: confirmed_at is {data['confirmed_at']!r}")
    listed = data["unconfirmed_event_ids"]
    check(all(TOKEN.fullmatch(event) for event in listed), f"{where}: a bad event id")
    check(len(listed) <= 500, f"{where}: {len(listed)} events are listed")
    check(data.get("all_unconfirmed", True) is True, f"{where}: all_unconfirmed is there and not true")


def decimals(number):
    """Digits behind the point of a plain JSON number."""
    check(isinstance(number, (int, Decimal)) and not isinstance(number, bool), f"{number!r} is no number")
    return max(0, -Decimal(number).as_tuple().exponent)


class Reader:
    """Reads the board and follows it, as "Following, and noticing holes" says."""

    def __init__(self, bus, steps):
        self.bus = bus
        self.steps = steps
        self.board = Board()
        self.live = 0
        self.live_sources = set()
        self.ids = set()

    async def run(self, full):
        """`full`: whether the board must have quotes of every source from the beginning."""
        self.steps.now = "subscribing"
        subscription = await self.bus.connection.subscribe(LIVE)
        # On the same connection: once it is answered, everything after `high` comes by live.
        self.high = (await self.bus.state("ODDS"))["last_seq"]
        began = self.high

        self.steps.now = "reading the board"
        for message in filter(is_event, await self.bus.read("ODDS", FEED)):
            check_message(message)
            self.board.take(message)
        read = len(self.board.images)
        missing = SOURCES - self.board.sources() if full else set()
        check(not missing, f"the board has no quotes of {', '.join(sorted(missing))}")

        while missing := SOURCES - self.live_sources:
            self.steps.now = f"waiting for live quotes of {', '.join(sorted(missing))}"
            self.follow(await subscription.next_msg(timeout=WORK_WITHIN_S))
        await subscription.unsubscribe()

        self.steps.now = "reading the board again"
        await self.compare()
        print(f"board: {read:>4} images read; live: {self.live:>4} messages, {began + 1} to {self.high} without a hole")

    def follow(self, message):
        """One live message: it is old, or it is the next one, or there is a hole."""
        headers = message.headers or {}
        check(headers.get("Nats-Sequence"), f"{message.subject}: header Nats-Sequence is missing")
        seq = sequence(message)
        if seq <= self.high:
            return
        check(seq == self.high + 1, f"the live side has a hole: {seq} came after {self.high}")
        self.high = seq
        if not is_event(message):
            return
        data = check_message(message)
        stored_as = message.subject.replace("oddswire.live.", "oddswire.feed.", 1)
        check(headers["Nats-Subject"] == stored_as, f"{message.subject}: Nats-Subject is {headers['Nats-Subject']}")
        check(headers["ce-id"] not in self.ids, f"{message.subject}: ce-id {headers['ce-id']} came twice")
        self.ids.add(headers["ce-id"])
        self.board.take(message)
        self.live += 1
        if quote_tokens(stored_as):
            self.live_sources.add(data["source"])

    async def compare(self):
        """What was read and followed is what is stored, as far as it was followed."""
        read = filter(is_event, await self.bus.read("ODDS", FEED))
        stored = {message.headers["Nats-Subject"]: message for message in read}
        for subject, message in stored.items():
            if sequence(message) <= self.high:
                check(
                    self.board.images.get(subject) == (sequence(message), message.data),
                    f"{subject}: what was followed is not what is stored under {sequence(message)}",
                )
        lost = self.board.images.keys() - stored.keys()
        check(not lost, f"not stored any more: {', '.join(sorted(lost)[:3])}")


def table(board):
    """Win, draw and win of the events that most sources show."""
    events = {}
    for subject, (_, payload) in board.images.items():
        tokens = quote_tokens(subject)
        if tokens and tokens[3] == "h2h-ft":
            data = json.loads(payload)
            events.setdefault(tokens[1], {})[tokens[2]] = data
    most = sorted(events.values(), key=lambda by_source: -len(by_source))[:3]
    rows = [("event", "source", "home", "draw", "away", "status")]
    for by_source in most:
        for source, data in sorted(by_source.items()):
            quote = data["market"]["quotes"][0]
            prices = {outcome["name"]: outcome["price"] for outcome in quote["outcomes"]}
            shown = (str(prices.get(name, "")) for name in ("home", "draw", "away"))
            teams = f"{data['event']['home_team']} - {data['event']['away_team']}"
            rows.append((teams, source, *shown, quote["status"]))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


class Steps:
    """What is being done, for the sentence that says what took too long."""

    now = "starting the product"


async def read_and_follow(url, steps):
    faults = []

    async def on_error(error):
        faults.append(error)

    steps.now = "connecting to NATS"
    connection = await nats.connect(
        url, name="read-odds", inbox_prefix=b"_INBOX_reader", allow_reconnect=False, error_cb=on_error
    )
    try:
        for full in (False, True):
            reader = Reader(Bus(connection), steps)
            await reader.run(full)
    finally:
        await connection.close()
    check(not faults, f"the client was told of errors: {faults}")
    print(f"\n{table(reader.board)}")


async def start_and_read(product, steps):
    await read_and_follow(os.environ.get("ODDSWIRE_NATS_URL") or await product.start(), steps)


async def work(product):
    steps = Steps()
    task = asyncio.create_task(start_and_read(product, steps))
    # Not `wait_for`, which waits until the task has let itself be cancelled: a `wait_for` inside of it, such as that of
    # nats-py, may lose the cancellation (python/cpython#86296).
    await asyncio.wait({task}, timeout=WORK_WITHIN_S)
    if not task.done():
        task.cancel()
        raise Wrong(f"it took too long: {steps.now}")
    try:
        task.result()
    except asyncio.TimeoutError as error:  # nats.errors.TimeoutError is one, too
        raise Wrong(f"it took too long: {steps.now}") from error


async def main():
    program = os.environ.get("ODDSWIRE_BIN", "")
    if not program and not os.environ.get("ODDSWIRE_NATS_URL"):
        print("read_odds: set ODDSWIRE_BIN to the path of the built oddswire", file=sys.stderr)
        return 1
    task = asyncio.current_task()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    product = Product(str(pathlib.Path(program).resolve()))
    fault = None
    try:
        await work(product)
    except (Wrong, nats.errors.Error, OSError) as error:
        fault = str(error) or repr(error)
    except asyncio.CancelledError:
        fault = "stopped from outside"
    finally:
        code = await product.stop()
    if fault is None and code != 0:
        fault = "the product had to be killed" if code is None else f"the product ended with exit code {code}"
    if fault is None:
        return 0
    print(f"read_odds: {fault}", file=sys.stderr)
    if product.said:
        print("\n".join(["the product said last:", *(f"  {line}" for line in product.said)]), file=sys.stderr)
    return 1


if __name__ == "__main__":
    # Not `asyncio.run`, which waits for every task that is left.
    sys.exit(asyncio.new_event_loop().run_until_complete(main()))
