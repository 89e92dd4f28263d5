"""Run one of the programs, as in ``python -m forking forks``; it prints what it has found as JSON."""

import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

CHILDREN, THREADS, ROUNDS = 3, 4, 5


def begin() -> None:
    """Set Django up, with the tables there already."""
    import django

    django.setup()


def use(number: int, **options: Any) -> dict[str, Any]:
    """Use the cache for a while."""
    from forking.steps import connection_id, write_and_read

    right = all(write_and_read(number, **options) for _ in range(ROUNDS))
    return {"pid": os.getpid(), "connection": connection_id(), "is_right": right}


def in_children(number: int = CHILDREN) -> list[dict[str, Any]]:
    """Fork, have the children and their parent use the cache at the same time, and return what all have to say."""
    from django.db import connections

    connections.close_all()
    pipes = []
    for child in range(1, number + 1):
        reading, writing = os.pipe()
        if not os.fork():
            os.close(reading)
            with os.fdopen(writing, "w", encoding="utf-8") as told:
                json.dump(use(child), told)
            # As any program ends, with all that waits for the end of one.
            sys.exit()
        os.close(writing)
        pipes.append(reading)
    found = [use(0)]
    for pipe in pipes:
        with os.fdopen(pipe, encoding="utf-8") as told:
            found.append(json.load(told))
    assert all(os.wait()[1] == 0 for _ in range(number)), "a child has failed"
    return found


def forks() -> list[dict[str, Any]]:
    """Fork after use."""
    begin()
    return [use(0), *in_children()][1:]


def forks_again() -> list[dict[str, Any]]:
    """Fork in a child, as servers do that replace their workers by those of a new master."""
    begin()
    use(0)
    reading, writing = os.pipe()
    if not os.fork():
        with os.fdopen(writing, "w", encoding="utf-8") as told:
            use(1)
            json.dump(in_children(), told)
        sys.exit()
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as told:
        found = json.load(told)
    assert os.wait()[1] == 0
    return [use(9), *found]


def forks_under_locks() -> list[dict[str, Any]]:
    """Fork while other threads hold every lock that there is."""
    begin()
    use(0)
    from cacheops_django import async_caches, caches, counters, shared_counters

    taken, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with async_caches._lock, caches._lock, counters._lock, shared_counters._lock:
            taken.set()
            go_on.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert taken.wait(60)
    child = os.fork()
    if not child:
        from cacheops_django import conf

        conf.reset()
        print(json.dumps([use(1)]), flush=True)
        os._exit(0)
    go_on.set()
    holder.join()
    assert os.waitpid(child, 0)[1] == 0
    return []


def threads() -> list[dict[str, Any]]:
    """Use the cache in threads, and in children of a program that has had them."""
    begin()
    from django.db import connections

    found: list[dict[str, Any]] = []

    def work(number: int) -> None:
        found.append(use(number))
        connections.close_all()

    started = [threading.Thread(target=work, args=(10 + number,)) for number in range(THREADS)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert len(found) == THREADS
    assert all(one["is_right"] for one in found)
    return in_children()


def greenlets() -> list[dict[str, Any]]:
    """Use the cache in greenlets, whose sockets gevent has patched."""
    from gevent import monkey

    monkey.patch_all()
    import gevent
    from gevent.lock import Semaphore

    begin()
    from django.db import connections

    # Who waits for SQLite's one write lock stops all greenlets of the thread, that of the lock's holder too.
    writing = Semaphore()

    def work(number: int) -> bool:
        try:
            return bool(use(20 + number, writing=writing)["is_right"])
        finally:
            connections.close_all()

    jobs = [gevent.spawn(work, number) for number in range(2 * THREADS)]
    gevent.joinall(jobs, timeout=60, raise_error=True)
    assert all(job.value for job in jobs)
    return [use(0)]


def event_loops() -> list[dict[str, Any]]:
    """Use the cache on event loops, and in children of a program that has had one."""
    import asyncio

    begin()
    from asgiref.sync import sync_to_async
    from django.db import connections
    from project.shop.models import Tag

    async def main() -> None:
        tag = await Tag.objects.acreate(name="asked for by coroutines")
        for version in range(ROUNDS):
            tag.name = f"version {version}"
            await tag.asave()
            found = await asyncio.gather(*(Tag.objects.aget(pk=tag.pk) for _ in range(10)))
            assert {one.name for one in found} == {tag.name}
        await sync_to_async(connections.close_all)()

    for _ in range(2):
        asyncio.run(main())
    found = in_children()
    asyncio.run(main())
    return found


PROGRAMS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "forks": forks,
    "forks_again": forks_again,
    "forks_under_locks": forks_under_locks,
    "threads": threads,
    "greenlets": greenlets,
    "event_loops": event_loops,
}

if __name__ == "__main__":
    if told := PROGRAMS[sys.argv[1]]():
        print(json.dumps(told))
