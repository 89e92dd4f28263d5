"""Notes on a site that Starlette serves, cached by tag: requests in each other's way on one event loop."""

import asyncio
from contextlib import asynccontextmanager

from httpx2 import ASGITransport, AsyncClient
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from cacheops_core import AsyncCache

cache = AsyncCache("embedded://", prefix="notes:")
notes = []
asked = []


class Pause:
    """A point at which a request may be held up."""

    def __init__(self):
        self.reached, self.over = asyncio.Event(), asyncio.Event()

    async def wait(self):
        self.reached.set()
        await self.over.wait()


async def show(request):
    tag = request.path_params["tag"]

    async def ask():
        asked.append(tag)
        found = [text for noted, text in notes if noted == tag]
        if "x-pause" in request.headers:
            await request.app.state.pause.wait()
        return found

    dependencies = {"note": [{"tag": tag}]}
    lock = "x-lock" in request.headers
    return JSONResponse(await cache.get_or_compute(("notes", tag), dependencies, ask, lock=lock))


async def add(request):
    tag, text = request.path_params["tag"], await request.json()
    async with cache.writing(("note", {"id": len(notes), "tag": tag})):
        notes.append((tag, text))
    return JSONResponse("noted", status_code=201)


app = Starlette(routes=[Route("/{tag}", show), Route("/{tag}", add, methods=["POST"])])


@asynccontextmanager
async def visiting():
    async with AsyncClient(transport=ASGITransport(app), base_url="http://notes") as client:
        yield client
    await cache.close()


async def main():
    async with visiting() as client:

        async def read(tag, **headers):
            return (await client.get(f"/{tag}", headers=headers)).json()

        # A reader has its rows when a writer commits, and stores them only then.
        app.state.pause = Pause()
        slow = asyncio.create_task(read("home", **{"x-pause": "1"}))
        await app.state.pause.reached.wait()
        await client.post("/home", json="water the plants")
        app.state.pause.over.set()
        assert await slow == []
        assert await read("home") == ["water the plants"]

        # Notes of another tag leave the answer where it is.
        asked.clear()
        await client.post("/work", json="write a test")
        assert await read("home") == ["water the plants"]
        assert asked == []
        assert await read("work") == ["write a test"]

        # Of fifty requests at once one asks.
        await client.post("/home", json="feed the cat")
        asked.clear()
        answers = await asyncio.gather(*(read("home", **{"x-lock": "1"}) for _ in range(50)))
        assert answers == [["water the plants", "feed the cat"]] * 50
        assert asked == ["home"]
    print("nothing stale")


asyncio.run(main())
