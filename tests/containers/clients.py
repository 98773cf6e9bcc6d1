"""Clients that watch everything through the balancer, come back with their cursor whenever they are cut off, and say what
they missed, got twice, or were told that should not be."""

import asyncio
import json
import random

import websockets

# A heartbeat comes every 20 s; without one for so long the connection is dead.
SILENCE_S = 50
# How long a client stays away that was cut off: long enough for events to pass it by.
AWAY_S = (0.3, 6)
EVENTS = {"scrape_progress", "odds_update", "odds_confirmed"}


class Client:
    """One client. It holds the state of every run and every market, as a page would.

    One that forgets comes back without its cursor: it has to miss something, or the proof proves nothing.
    """

    def __init__(self, number, port, forgets=False):
        self.number, self.port, self.forgets = number, port, forgets
        self.transport = ["ws", "sse"][number % 2]
        self.cursor = None
        self.joined = asyncio.Event()
        self.runs, self.board, self.wrong = {}, {}, []
        self.sessions = self.failed = self.events = 0

    async def run(self):
        """Watches until it is cancelled. `asyncio.timeout` and not `wait_for`: that loses a cancellation which comes in the
        moment of a message (python/cpython#86296), and the client would watch for ever."""
        while True:
            try:
                await getattr(self, self.transport)()
            except (OSError, EOFError, asyncio.TimeoutError, asyncio.IncompleteReadError, Refused,
                    websockets.exceptions.WebSocketException):
                self.failed += 1
            if self.forgets and self.joined.is_set():
                self.cursor = "now"
            # Who forgets stays away for longer, so that something passes by.
            await asyncio.sleep(random.uniform(*AWAY_S) + (5 if self.forgets else 0))

    async def ws(self):
        url = f"ws://127.0.0.1:{self.port}/api/ws?since={self.cursor or 'snapshot'}"
        async with websockets.connect(url, max_size=None, open_timeout=10) as connection:
            self.sessions += 1
            while True:
                async with asyncio.timeout(SILENCE_S):
                    text = await connection.recv()
                message = json.loads(text)
                self.take(message, message.get("id"))

    async def sse(self):
        reader, writer = await connect(self.port)
        try:
            last = f"Last-Event-ID: {self.cursor}\r\n" if self.cursor else ""
            writer.write(f"GET /api/events?since=snapshot HTTP/1.1\r\nHost: localhost\r\n{last}\r\n".encode())
            async with asyncio.timeout(10):
                head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head.split(b"\r\n")[0]:
                raise Refused(head)
            if b"transfer-encoding: chunked" in head.lower():
                raise Refused("a balancer that changes the stream")
            self.sessions += 1
            fields = {}
            while True:
                async with asyncio.timeout(SILENCE_S):
                    line = await reader.readline()
                if not line.endswith(b"\n"):
                    raise EOFError
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif "data" in fields:
                    self.take(json.loads(fields["data"]), fields.get("id"))
                    fields = {}
        finally:
            writer.close()

    def take(self, message, cursor):
        kind, data = message["type"], message["data"]
        if kind in ("connection_ack", "resume"):
            verdict = (data if kind == "resume" else data["resume"])["verdict"]
            fine = ("replayed", "unavailable") if self.joined.is_set() else ("snapshot", "unavailable")
            if verdict not in fine and not self.forgets:
                self.wrong.append(f"verdict {verdict} on cursor {self.cursor}")
        elif kind == "caught_up":
            self.joined.set()
            cursor = data["cursor"]
        elif kind == "heartbeat":
            cursor = data["cursor"]
        elif kind == "scrape_progress":
            self.take_progress(data)
        elif kind == "odds_update":
            key = (data["source"], data["event"]["event_id"], data["market"]["key"], data["market"]["period"])
            self.board[key] = data
        elif kind not in ("reconnect", "odds_confirmed", "subscription_ack"):
            self.wrong.append(f"an unexpected {kind}: {data}")
        self.events += kind in EVENTS
        # Only what has come completely may be continued from; before that the join begins anew.
        if cursor and self.joined.is_set():
            self.cursor = cursor

    def take_progress(self, data):
        run, seq = data["run_id"], data["seq"]
        known = self.runs.get(run)
        if known and seq != known["seq"] + 1:
            self.wrong.append(f"run {run}: {seq} after {known['seq']}")
        if not known and self.joined.is_set() and seq != 1:
            self.wrong.append(f"run {run} began with {seq}")
        self.runs[run] = data


class Refused(Exception):
    """An answer that is no stream."""


async def connect(port):
    async with asyncio.timeout(10):
        return await asyncio.open_connection("127.0.0.1", port)


async def get(port, path):
    """What the gateways say at once, as JSON."""
    reader, writer = await connect(port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(30):
            answer = await reader.read()
        head, _, body = answer.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise Refused(head)
        return json.loads(body)
    finally:
        writer.close()
