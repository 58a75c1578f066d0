#!/usr/bin/env python3
"""A TCP proxy that makes the way longer: bytes arrive DELAY milliseconds after they were sent, each way.

    delay_proxy.py LISTEN_PORT TARGET_PORT DELAY_MS

So that round trips can be counted: time divided by twice the delay. Connecting takes a round trip, too,
as it would on a long line. A line for each connection, and for each piece that reached the client:
"connected N SECONDS" and "answered N SECONDS", N counting connections, by the monotonic clock.
"""

import asyncio
import itertools
import sys
import time


async def carry(reader, writer, delay, arrived=lambda: None):
    """What comes in is queued with the time it is due, so that a flight stays a flight."""
    loop = asyncio.get_running_loop()
    due = asyncio.Queue()

    async def receive():
        while data := await reader.read(65536):
            due.put_nowait((loop.time() + delay, data))
        due.put_nowait((loop.time() + delay, b""))

    async def forward():
        while True:
            when, data = await due.get()
            await asyncio.sleep(max(0, when - loop.time()))
            if not data:
                writer.close()
                return
            writer.write(data)
            await writer.drain()
            arrived()

    receiving = asyncio.create_task(receive())
    try:
        await forward()
    except ConnectionError:
        pass
    finally:
        receiving.cancel()


async def main(listen_port, target_port, delay):
    connections = itertools.count()

    async def serve(client_reader, client_writer):
        number = next(connections)
        tell = lambda what: print(what, number, time.monotonic(), flush=True)
        tell("connected")
        try:
            await asyncio.sleep(2 * delay)  # The handshake of TCP.
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", target_port)
        except OSError:
            client_writer.close()
            return
        await asyncio.gather(carry(client_reader, server_writer, delay),
                             carry(server_reader, client_writer, delay, lambda: tell("answered")))

    server = await asyncio.start_server(serve, "127.0.0.1", listen_port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000))
