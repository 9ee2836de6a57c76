"""A process that hands connections on to a server: `python relay.py PORT`.

Prints the port that it listens on, then a line for each connection. Killed, it is to its clients a server that died.
"""

import asyncio
import sys


async def main(target):
    """Hand on until killed."""
    server = await asyncio.start_server(lambda reader, writer: connect(reader, writer, target), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def connect(reader, writer, target):
    print("connected", flush=True)
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
    await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))


async def copy(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
