"""A library of Python: `client.py LIBRARY ADDRESS QUERY`. Prints `seq N` for each event of a run. With its defaults it ends
where the library does; `LIBRARY-loop` comes back with the last cursor, as docs/protocol.md says."""

import asyncio
import json
import random
import sys
import time

library, address, query = sys.argv[1:4]
name, _, how = library.partition("-loop")
is_loop = "-loop" in library
cursor = None


def say(event, data):
    if event == "scrape_progress":
        print("seq", json.loads(data)["data"]["seq"], flush=True)


def took(event, data, id):
    global cursor
    say(event, data)
    cursor = id or cursor


def headers():
    return {"Last-Event-ID": cursor} if cursor else {}


def httpx_sse():
    import httpx
    from httpx_sse import connect_sse

    with httpx.Client(trust_env=False) as client:
        with connect_sse(client, "GET", f"{address}api/events?{query}", headers=headers()) as source:
            for event in source.iter_sse():
                took(event.event, event.data, event.id)


def sseclient():
    import requests
    import sseclient as library

    answer = requests.get(f"{address}api/events?{query}", stream=True, headers=headers())
    answer.raise_for_status()
    for event in library.SSEClient(answer).events():
        took(event.event, event.data, event.id)


async def aiohttp():
    import aiohttp as library

    async with library.ClientSession() as session:
        async with session.get(f"{address}api/events?{query}", headers=headers()) as answer:
            answer.raise_for_status()
            event = {}
            async for line in answer.content:
                field, _, value = line.decode().rstrip("\n").partition(": ")
                if field:
                    event[field] = value
                else:
                    took(event.get("event"), event.get("data"), event.get("id"))
                    event = {}


async def websockets():
    import websockets as library

    # Its iterator comes back by itself, to the same address.
    async for socket in library.connect(f"{address.replace('http', 'ws', 1)}api/ws?{query}", proxy=None):
        try:
            async for text in socket:
                say(json.loads(text)["type"], text)
        except library.ConnectionClosed:
            continue


async def websockets_loop():
    import websockets as library

    here = cursor or "now"
    url = f"{address.replace('http', 'ws', 1)}api/ws?{query}".replace("since=now", f"since={here}")
    async with library.connect(url, proxy=None) as socket:
        async for text in socket:
            message = json.loads(text)
            took(message["type"], text, message.get("id") or message["data"].get("cursor"))


def once():
    runs = {"httpx_sse": httpx_sse, "sseclient": sseclient, "aiohttp": aiohttp, "websockets": websockets}
    run = websockets_loop if library == "websockets-loop" else runs[name]
    asyncio.run(run()) if asyncio.iscoroutinefunction(run) else run()


while True:
    try:
        once()
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    if not is_loop:
        break
    time.sleep(random.uniform(0.5, 2))
