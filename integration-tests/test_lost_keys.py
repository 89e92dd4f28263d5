"""The server may lose any key at any moment, or hold anything else under it: that costs a miss, never more."""

from collections.abc import Callable, Iterable

import pytest
import redis
from processes import Actor
from project.shop import actions
from test_races import POINTS

# What a server may do to its keys has nothing to do with the database.
pytestmark = pytest.mark.one_database

Start = Callable[[], Actor]

OPS = ("get", "list", "joined", "count")
"""Enough for a key of each kind on three tables."""

GARBAGE: dict[str, Callable[[redis.Redis, bytes], object]] = {
    "an empty string": lambda client, key: client.set(key, b""),
    "a short string": lambda client, key: client.set(key, b"?"),
    "a string as long as a stamp": lambda client, key: client.set(key, b"?" * 24),
    "a long string": lambda client, key: client.set(key, b"\x01\xff{}" * 1000),
    "a list": lambda client, key: client.rpush(key, b"?"),
    "a set": lambda client, key: client.sadd(key, b"\xff?"),
    "a hash": lambda client, key: client.hset(key, b"?", b"?"),
    "a sorted set": lambda client, key: client.zadd(key, {b"?": 1e300}),
    "a stream": lambda client, key: client.xadd(key, {b"?": b"?"}),
}


def nth_key(client: redis.Redis, number: int) -> bytes | None:
    keys = sorted(client.scan_iter())
    return keys[number] if number < len(keys) else None


class Scene:
    """A shop in which one product moves, read by one process and written by another."""

    def __init__(self, start: Start) -> None:
        self.reader, self.writer = start(), start()
        self.categories, (self.pk, *_) = self.writer.do(actions.make_shop, 2, 1)
        self.here = 0

    def warm(self) -> None:
        self.reader.do(actions.read_all, self.categories, self.pk, OPS)

    def begin_to_move(self) -> None:
        self.here = 1 - self.here
        self.writer.begin(actions.move, self.pk, self.categories[self.here])

    def check(self) -> None:
        told = self.reader.do(actions.read_all, self.categories, self.pk, OPS)
        assert told == self.reader.do(actions.all_truth, self.categories, self.pk, OPS)


def each_key(scene: Scene, client: redis.Redis, reach: Callable[[], None]) -> Iterable[bytes]:
    """Yield every key there is at a moment, which is reached anew, from an empty server, for each of them."""
    number, key = 0, b""
    while True:
        client.flushall()
        scene.warm()
        reach()
        key = nth_key(client, number)
        if key is None:
            return
        yield key
        number += 1


@pytest.mark.parametrize("point", POINTS, ids=" ".join)
def test_any_key_may_be_lost_while_a_writer_commits(actor: Start, redis_client: redis.Redis, point):
    scene = Scene(actor)

    def reach() -> None:
        scene.writer.hold(point)
        scene.begin_to_move()
        scene.writer.wait_until_held()

    for key in each_key(scene, redis_client, reach):
        redis_client.delete(key)
        scene.check()
        scene.writer.go_on()
        scene.check()
    scene.writer.go_on()


@pytest.mark.parametrize("moment", [("after", "acquire"), ("before", "SET")], ids=" ".join)
def test_any_key_may_be_lost_while_a_reader_selects(actor: Start, redis_client: redis.Redis, moment):
    scene = Scene(actor)
    slow = actor()

    def reach() -> None:
        redis_client.delete(*redis_client.scan_iter("*e:*"), *redis_client.scan_iter("*c:*"))
        slow.hold(moment)
        slow.begin(actions.read, "list", scene.categories[scene.here], scene.pk)
        slow.wait_until_held()
        scene.warm()

    for key in each_key(scene, redis_client, reach):
        redis_client.delete(key)
        scene.begin_to_move()
        scene.writer.result()
        slow.go_on()
        scene.check()
    slow.go_on()


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_under_any_key_is_a_miss_and_gives_way(actor: Start, redis_client: redis.Redis, garbage):
    scene = Scene(actor)
    for key in each_key(scene, redis_client, lambda: None):
        redis_client.delete(key)
        GARBAGE[garbage](redis_client, key)
        scene.check()
        scene.begin_to_move()
        scene.writer.result()
        scene.check()
        hits = [scene.reader.do(actions.read, op, scene.categories[0], scene.pk).is_hit for op in OPS]
        assert all(hits), key


@pytest.mark.parametrize("kind", ["e:", "g:", "c:"])
def test_garbage_is_told_to_the_log(actor: Start, redis_client: redis.Redis, kind):
    scene = Scene(actor)
    for key in each_key(scene, redis_client, lambda: None):
        if key.decode().startswith(kind):
            redis_client.set(key, b"?")
            scene.reader.do(actions.take_log)
            scene.check()
            assert scene.reader.do(actions.take_log), key


def test_a_payload_that_does_not_load_is_a_miss_and_a_line_in_the_log(
    actor: Start, redis_client: redis.Redis
):
    scene = Scene(actor)
    scene.warm()
    for key in redis_client.scan_iter("e:*"):
        entry = redis_client.get(key)
        redis_client.set(key, entry[: len(entry) - len(entry) // 3])
    scene.reader.do(actions.take_log)
    scene.check()
    assert len(scene.reader.do(actions.take_log)) >= len(OPS)
