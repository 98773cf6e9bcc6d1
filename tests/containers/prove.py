#!/usr/bin/env python3
"""docker-compose.yml with a real engine: three gateways, two scrapers, clients through the balancer, and what operators
do to them. Ends with 0 when every client has every run event once, in order, and the board that the gateways have.

    cargo xtask containers

It needs root. Everything that it makes lies in target/containers, and in a network namespace that ends with it.
"""

import argparse
import asyncio
import contextlib
import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import stand_ins
from clients import Client, Refused, get
from engine import NAMESPACE, Engine, say

ROOT = Path(__file__).resolve().parents[2]
PORT = 8080
CLIENTS, FORGETFUL = 40, 12
GATEWAYS, SCRAPERS = 3, 2
# The end of waiting for the whole of it, once the images are built. It takes a quarter of that, with an upgrade.
LIMIT_S = 40 * 60


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--nats-server", type=Path, required=True)
    arguments.add_argument("--folder", type=Path, required=True)
    arguments.add_argument("--previous", help="the commit or tag to upgrade from")
    options = arguments.parse_args()
    options.folder = options.folder.resolve()
    with Engine(options.folder, ROOT) as engine:
        stand_ins.make(engine, options.nats_server)
        build(engine, options.folder, options.previous)
        # From here on this process is in the engine's network, where the balancer's port is.
        enter_network()
        try:
            # Not `asyncio.run`, which waits for every task that is left.
            wrong = asyncio.new_event_loop().run_until_complete(verdict(engine, upgrade=bool(options.previous)))
        finally:
            collect_logs(engine, options.folder)
            engine.compose("down", "--volumes", "--timeout", "30", check=False, capture_output=True)
    for what in wrong[:40]:
        print(f"WRONG: {what}")
    print(f"{'passed' if not wrong else 'FAILED'}: {len(wrong)} things wrong")
    sys.exit(bool(wrong))


def build(engine, folder, previous):
    if previous:
        say(f"building the image of {previous}")
        tree = folder / "previous"
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir()
        archive = subprocess.run(["git", "archive", previous], check=True, capture_output=True, cwd=ROOT).stdout
        subprocess.run(["tar", "-x", "-C", str(tree)], input=archive, check=True)
        log = open(folder / "build-previous.log", "w")
        engine.docker("build", "--tag", "oddswire:previous", tree, capture_output=False, stdout=log, stderr=log)
    say("building the image as docker-compose.yml says (log: build.log beside the engine)")
    log = open(folder / "build.log", "w")
    engine.compose("build", "gateway", stdout=log, stderr=log)
    size = json.loads(engine.docker("image", "inspect", "oddswire:local").stdout)[0]["Size"]
    base = json.loads(engine.docker("image", "inspect", stand_ins.BASE).stdout)[0]["Size"]
    say(f"the image: {(size - base) >> 20} MiB above its base")


def enter_network():
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{NAMESPACE}") as namespace:
        if libc.setns(namespace.fileno(), 0x40000000):
            raise OSError(ctypes.get_errno(), "cannot enter the engine's network")


class Proof:
    """The running composition and the clients that watch it."""

    def __init__(self, engine, image):
        self.engine, self.image = engine, image
        self.clients = [Client(number, PORT) for number in range(CLIENTS)]
        self.forgetful = [Client(CLIENTS + number, PORT, forgets=True) for number in range(FORGETFUL)]
        self.wrong = []

    def up(self, *, image, gateways, services=(), extra=()):
        self.engine.compose(
            "up", "--detach", "--no-build", "--scale", f"gateway={gateways}", "--scale", f"scraper={SCRAPERS}",
            *extra, *services, environment={"ODDSWIRE_IMAGE": image, "ODDSWIRE_NOFILE": "20000"}, capture_output=True)

    async def ready(self, count):
        """Waits until the balancer has so many gateways that are ready."""
        def healthy():
            containers = self.engine.containers("gateway")
            states = [self.inspect(one)["State"] for one in containers]
            return sum(state.get("Health", {}).get("Status") == "healthy" for state in states) == count
        await until(f"{count} healthy gateways", healthy, 120)

    def inspect(self, container):
        return json.loads(self.engine.docker("inspect", container).stdout)[0]

    async def runs_pass(self, count, seconds=180):
        """Waits until every client has seen so many more runs end than now."""
        before = {client: ended(client.runs) for client in self.clients}
        await until(f"{count} more runs at every client",
                    lambda: all(ended(client.runs) >= before[client] + count for client in self.clients), seconds)

    def hardened(self):
        """What docker-compose.yml promises of each container, as the engine sees it."""
        for service in ("gateway", "scraper", "demo", "nats", "lb"):
            for container in self.engine.containers(service):
                seen = self.inspect(container)
                host = seen["HostConfig"]
                checks = {
                    "is not read-only": host["ReadonlyRootfs"],
                    "keeps capabilities": host["CapDrop"] == ["ALL"],
                    "may gain privileges": host["SecurityOpt"] == ["no-new-privileges:true"],
                    "runs as root": service == "nats" or seen["Config"]["User"] not in ("", "root", "0"),
                    "has no health check": "Health" in seen["State"],
                }
                self.wrong += [f"{service} {what}" for what, holds in checks.items() if not holds]


    def closed(self):
        """What docker-compose.yml promises of the bus: nobody without a key, and each key to its role alone."""
        for service, role in (("gateway", "gateway"), ("scraper", "scraper"), ("demo", None)):
            for container in self.engine.containers(service):
                seen = self.engine.docker("exec", container, "find", "/keys", "-type", "f").stdout.split()
                if seen != ([f"/keys/{role}/{role}.nk"] if role else []):
                    self.wrong.append(f"{service} sees the keys {seen}")
        bus = self.inspect(self.engine.containers("nats")[0])
        address = next(iter(bus["NetworkSettings"]["Networks"].values()))["IPAddress"]
        with socket.create_connection((address, 4222), 10) as stranger:
            stranger.sendall(b"CONNECT {}\r\nPING\r\n")
            said = b""
            while chunk := stranger.recv(4096):
                said += chunk
        if b"Authorization Violation" not in said or b"PONG" in said:
            self.wrong.append(f"to somebody without a key the bus said {said}")
        if socket.socket().connect_ex(("127.0.0.1", 4222)) == 0:
            self.wrong.append("the bus has a port on the machine")


async def verdict(engine, upgrade):
    """What was found wrong, within the limit, whatever hangs."""
    task = asyncio.create_task(prove(engine, upgrade))
    await asyncio.wait({task}, timeout=LIMIT_S)
    if not task.done():
        task.print_stack()
        return [f"there was no end within {LIMIT_S} s"]
    try:
        return task.result()
    except (TimeoutError, subprocess.SubprocessError) as error:
        # What a command of the engine said is why it failed.
        return [f"{error}: {getattr(error, 'stderr', None) or ''}".rstrip(": ")]


async def prove(engine, upgrade):
    image = "oddswire:previous" if upgrade else "oddswire:local"
    proof = Proof(engine, image)
    say(f"docker-compose up: {GATEWAYS} gateways, {SCRAPERS} scrapers, {image}")
    proof.up(image=image, gateways=GATEWAYS)
    await proof.ready(GATEWAYS)
    proof.hardened()
    proof.closed()
    say(f"ready; {CLIENTS} clients come through the balancer, half WebSocket, half Server-Sent Events")
    watching = [asyncio.create_task(client.run()) for client in proof.clients + proof.forgetful]
    await until("every client to join", lambda: all(client.joined.is_set() for client in proof.clients), 60)
    await proof.runs_pass(4)
    await strike(proof)
    if upgrade:
        await roll(proof)
    await settle(proof)
    for task in watching:
        task.cancel()
    _, left = await asyncio.wait(watching, timeout=30)
    if left:
        proof.wrong.append(f"{len(left)} clients did not end when they were told to")
    missed = sum(bool(client.wrong) for client in proof.forgetful)
    say(f"control: {missed} of {FORGETFUL} clients that come back without their cursor missed events")
    if not missed:
        proof.wrong.append("clients without a cursor missed nothing, so this proves nothing")
    told = proof.clients
    say(f"{sum(c.events for c in told):,} events to {len(told)} clients in {sum(c.sessions for c in told)} sessions, "
        f"{sum(c.failed for c in told)} connections cut or refused; {len(told[0].runs)} runs, "
        f"{len(told[0].board)} markets")
    return proof.wrong + [f"client {c.number} ({c.transport}): {what}" for c in told for what in c.wrong]


async def strike(proof):
    """What happens to a composition in its life, each under watching clients."""
    engine = proof.engine
    victim = engine.containers("gateway")[0]
    say("a gateway is killed (SIGKILL)")
    engine.docker("kill", victim)
    await proof.runs_pass(4)
    engine.docker("start", victim)
    await proof.ready(GATEWAYS)

    say("a gateway is drained (docker stop)")
    victim = engine.containers("gateway")[1]
    await asyncio.to_thread(engine.docker, "stop", "--time", "30", victim)
    code = proof.inspect(victim)["State"]["ExitCode"]
    say(f"it ended with {code}")
    if code != 0:
        proof.wrong.append(f"a drained gateway ended with {code}")
    await proof.runs_pass(4)
    engine.docker("start", victim)
    await proof.ready(GATEWAYS)

    say("a scraper is killed; the other one takes its runs over")
    victim = engine.containers("scraper")[0]
    engine.docker("kill", victim)
    await proof.runs_pass(8)
    engine.docker("start", victim)

    say("NATS is killed and started again")
    bus = engine.containers("nats")[0]
    engine.docker("kill", bus)
    await asyncio.sleep(3)
    engine.docker("start", bus)
    await proof.ready(GATEWAYS)
    await proof.runs_pass(8)

    say("docker-compose down and up: containers are made anew, keys and streams are those of before")
    engine.compose("down", "--timeout", "30", capture_output=True)
    proof.up(image=proof.image, gateways=GATEWAYS)
    await proof.ready(GATEWAYS)
    await proof.runs_pass(4)


async def roll(proof):
    """From one version to the next without a cut: new gateways beside the old ones, then the old ones are drained."""
    engine = proof.engine
    say("rolling upgrade: permissions and streams first, then new gateways beside the old ones")
    old = engine.containers("gateway")
    bus = engine.containers("nats")[0]
    had_accounts = "accounts {" in engine.docker("exec", bus, "cat", "/etc/nats/keys/users.conf").stdout
    engine.compose("run", "--rm", "-T", "--no-deps", "keys", environment={"ODDSWIRE_IMAGE": "oddswire:local"},
                   capture_output=True)
    if had_accounts:
        engine.compose("kill", "-s", "HUP", "nats", capture_output=True)
    else:
        say("the streams move to an account of their own: NATS is made anew")
        proof.up(image="oddswire:local", gateways=GATEWAYS, services=["nats"], extra=["--no-deps", "--force-recreate"])
    proof.up(image="oddswire:local", gateways=GATEWAYS, services=["provision"], extra=["--no-deps"])
    proof.up(image="oddswire:local", gateways=2 * GATEWAYS, services=["gateway"],
             extra=["--no-deps", "--no-recreate"])
    await proof.ready(2 * GATEWAYS)
    for container in old:
        await asyncio.to_thread(engine.docker, "stop", "--time", "30", container)
        engine.docker("rm", container)
        say("an old gateway is drained and gone")
        await proof.runs_pass(2)
    say("the scrapers follow")
    proof.up(image="oddswire:local", gateways=GATEWAYS, services=["scraper"], extra=["--no-deps"])
    await proof.runs_pass(8)
    images = {proof.inspect(one)["Config"]["Image"] for one in engine.containers("gateway")}
    if images != {"oddswire:local"}:
        proof.wrong.append(f"after the upgrade gateways run {images}")


async def settle(proof):
    """Nothing is published any more; every client has what the gateways have."""
    say("scrapers are stopped; every client has to have everything")
    for container in proof.engine.containers("scraper"):
        await asyncio.to_thread(proof.engine.docker, "stop", "--time", "30", container)
    runs = await pages("/api/scrapes?limit=100", "runs")
    board = await pages("/api/odds?limit=500", "markets")
    truth = {key_of(market): market for market in board}
    last = {run["run_id"]: run for run in runs}

    def complete(client):
        return client.board == truth and all(client.runs[run] == last.get(run, client.runs[run]) for run in client.runs)

    with contextlib.suppress(TimeoutError):
        await until("the last events", lambda: all(map(complete, proof.clients)), 60)
    for client in proof.clients:
        if client.board != truth:
            wrong = [key for key in truth.keys() | client.board.keys() if truth.get(key) != client.board.get(key)]
            client.wrong.append(f"{len(wrong)} of {len(truth)} markets differ, such as {wrong[:1]}")
        behind = [run for run, seen in client.runs.items() if run in last and seen != last[run]]
        if behind:
            client.wrong.append(f"{len(behind)} runs are not at their end")
    reference = set(proof.clients[0].runs)
    for client in proof.clients:
        # Each joined at its own moment; from then on all saw the same runs.
        began = min(client.runs, default="")
        missing = [run for run in reference if run > began and run not in client.runs]
        if missing:
            client.wrong.append(f"runs never seen: {missing[:3]}")


async def pages(path, name):
    found, page = [], None
    while True:
        answer = await get(PORT, path + (f"&page={page}" if page else ""))
        found += answer[name]
        page = answer.get("next_page")
        if not page:
            return found


def key_of(market):
    return (market["source"], market["event"]["event_id"], market["market"]["key"], market["market"]["period"])


def ended(runs):
    return sum(run["status"] in ("completed", "failed", "cancelled") for run in runs.values())


async def until(what, holds, seconds):
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        with contextlib.suppress(OSError, Refused):
            if holds():
                return
        if loop.time() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        await asyncio.sleep(0.3)


def collect_logs(engine, folder):
    with open(folder / "compose.log", "w") as log:
        engine.compose("logs", "--no-color", "--timestamps", check=False, stdout=log, stderr=log)


if __name__ == "__main__":
    main()
