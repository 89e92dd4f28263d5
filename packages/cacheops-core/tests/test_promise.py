"""The promise: a read that starts after a write has returned to its writer never sees older data.

A shop has rows with a category. Readers ask for the rows of a category, writers move rows. The shop knows
which writes had returned before a read began, and fails at once when an answer lacks one of them.
"""

import itertools
import threading
import time
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cacheops_core import near_writes, reading_verbs
from cacheops_core.cache import Cache
from cacheops_core.conditions import row
from cacheops_core.flows import Work
from cacheops_core.testing import Stepped, start_server
from cacheops_core.testing.waiting import wait_for
from cacheops_core.units import Unit


@dataclass
class Write:
    """A row, or with None any number of them, was given a category."""

    touched: frozenset[int] | None
    """The categories whose rows have changed; None for all."""
    has_returned: bool = False
    is_known: bool = False
    """Whether readers in another process have heard of it, who keep near copies."""


@dataclass
class Shop:
    """A table in a database, and all that has ever been committed to it."""

    cache: Cache
    rows: dict[int, int] = field(default_factory=lambda: {1: 1, 2: 2})
    writes: list[Write] = field(default_factory=list)
    hits: int = 0
    reader: Cache | None = None
    """The cache of another process, which reads; None for the writer's own."""
    is_near: bool = False

    def select(self, category):
        """Return the rows of a category, with the number of writes that had been committed by then."""
        return len(self.writes), sorted(id for id, found in self.rows.items() if category in (None, found))

    def reading(self, category=1, scheme=("category",)):
        """Return the rows of a category, None for all, as a flow that can be stopped between any two steps."""
        cache = self.reader or self.cache
        returned = [
            n for n, w in enumerate(self.writes) if w.has_returned and (w.is_known or not self.reader)
        ]
        conditions = {"category": category, "shop": 7, "currency": 9}
        dependencies = {"product": [{name: conditions[name] for name in scheme}] if category else []}
        asked = []

        def select():
            asked.append(True)
            return self.select(category)

        flow = cache.computing((category, scheme), dependencies, select, near=self.is_near)
        seen, rows = yield from flow
        for number in returned:
            touched = self.writes[number].touched
            assert number < seen or (category and touched is not None and category not in touched), "stale"
        self.hits += not asked
        return rows

    def writing(self, id=1, category=2, commits=True, is_known=True):
        """Move a row, as a flow; without ``is_known`` nobody can tell which row it was."""
        unit, write = Unit(), Write(frozenset({self.rows[id], category}) if is_known else None)
        images = [row({"id": id, "category": c, "shop": 7, "currency": 9}) for c in (self.rows[id], category)]
        unit.add("product", images if is_known else None)

        def commit():
            self.rows[id] = category
            self.writes.append(write)

        yield from self.cache.fencing(unit)
        if commits:
            yield Work(commit)
        yield from self.cache.releasing(unit)
        write.has_returned = True

    def read(self, *args):
        return self.cache.driver.run(self.reading(*args))

    def write(self, *args):
        return self.cache.driver.run(self.writing(*args))


def is_work(request):
    return isinstance(request, Work)


def is_script(request):
    return isinstance(request, tuple)


def is_fill(request):
    return getattr(request, "name", None) == "SET"


@pytest.fixture
def shop(redis_client):
    return Shop(Cache(redis_client, prefix="p:"))


@pytest.fixture
def begin(shop):
    """Begin to read or to write, up to a certain request."""

    def begin(flow, is_next):
        return Stepped(shop.cache.driver, flow).until(is_next)

    return begin


FENCE, STAMP, GENERATION = "p:c:{product}:category=1", "p:c:{product}:category=1", "p:g:{product}"
REGISTRY, COMMITTING = "p:s:{product}", "p:f:{product}"


# Each sentence of the proof


def test_a_stamp_acquired_before_the_fence_is_dead(shop, begin):
    slow = begin(shop.reading(), is_fill)
    shop.write()
    slow.finish()
    assert shop.read() == []
    assert shop.hits == 0


def test_nothing_is_acquired_between_fence_and_release(shop, begin):
    writer = begin(shop.writing(), is_work)
    assert shop.read() == shop.read() == [1]
    assert shop.hits == 0
    writer.finish()
    assert shop.read() == shop.read() == []
    assert shop.hits == 1


@pytest.mark.parametrize("is_next", [is_work, is_script], ids=["before commit", "after commit"])
def test_a_stamp_acquired_through_an_expired_fence_is_dropped_by_the_release(
    shop, begin, redis_client, is_next
):
    writer = begin(shop.writing(), is_work)
    redis_client.delete(FENCE, COMMITTING)
    slow = begin(shop.reading(), is_fill)
    writer.until(is_next)
    slow.finish()
    writer.finish()
    assert shop.read() == []
    assert shop.hits == 0


def test_a_stamp_acquired_after_the_release_has_seen_the_commit(shop):
    shop.write()
    assert shop.read() == shop.read() == []
    assert shop.hits == 1


def test_a_new_scheme_is_refused_while_a_unit_commits(shop, begin, redis_client):
    shop.read()
    writer = begin(shop.writing(), is_work)
    shop.read(1, ("category", "shop"))
    assert redis_client.smembers(REGISTRY) == {b"category"}
    writer.finish()


def test_a_new_scheme_that_was_not_refused_is_dropped_by_the_release(shop, begin, redis_client):
    shop.read()
    writer = begin(shop.writing(), is_work)
    redis_client.delete(COMMITTING)
    slow = begin(shop.reading(1, ("category", "shop")), is_fill)
    writer.finish()
    slow.finish()
    assert shop.read(1, ("category", "shop")) == []
    assert shop.hits == 0


@pytest.mark.parametrize("moment", ["before the fence", "before commit", "after commit", "after the release"])
def test_a_lost_registry_takes_every_stamp_with_it(shop, begin, redis_client, moment):
    shop.read()
    writer = Stepped(shop.cache.driver, shop.writing())
    steps = ["before the fence", "before commit", "after commit", "after the release"]
    for _ in range(steps.index(moment)):
        writer.step()
    redis_client.delete(REGISTRY)
    writer.finish()
    shop.write(2, 1)
    assert shop.read() == [2]
    assert shop.hits == 0


# Each of the stories


def test_an_early_dropper_lets_nobody_store_in_between(shop, begin):
    shop.read()
    writer = begin(shop.writing(), is_work)
    assert shop.read() == [1]
    writer.finish()
    assert shop.read() == []
    assert shop.hits == 0


def test_a_late_dropper_serves_nobody_in_between(shop, begin):
    shop.read()
    begin(shop.writing(), is_work).step()
    assert shop.read() == []
    assert shop.hits == 0


def test_a_fence_of_two_stands_until_both_have_left(shop, begin):
    first, second = begin(shop.writing(1), is_work), begin(shop.writing(2, 1), is_work)
    first.finish()
    assert shop.read() == []
    assert shop.hits == 0
    second.finish()
    assert shop.read() == shop.read() == [2]
    assert shop.hits == 1


@pytest.mark.parametrize("steps", [1, 2], ids=["before commit", "after commit"])
def test_after_a_dead_writer_nobody_fills_until_its_fence_expires(shop, redis_client, steps):
    shop.read()
    dead = Stepped(shop.cache.driver, shop.writing())
    for _ in range(steps):
        dead.step()
    assert shop.read() == shop.read()
    assert shop.hits == 0
    expire_fences(redis_client)
    assert shop.read() == shop.read()
    assert shop.hits == 1


def test_a_dead_writer_does_not_live_on_in_a_fence_that_others_renew(shop, begin, redis_client):
    shop.read()
    begin(shop.writing(1), is_work)
    (dead,) = redis_client.zrange(FENCE, 0, -1)
    shop.rows[2] = 1
    writer = begin(shop.writing(2), is_work)
    for key in (FENCE, COMMITTING):
        redis_client.zadd(key, {dead: 1})
    writer.finish()
    assert shop.read() == shop.read()
    assert shop.hits == 1


def test_a_rolled_back_unit_opens_what_it_had_fenced(shop, begin):
    writer = begin(shop.writing(commits=False), lambda request: False)
    assert writer.is_done
    assert shop.read() == shop.read() == [1]
    assert shop.hits == 1


def test_a_writer_that_cannot_tell_what_it_changed_drops_the_table(shop):
    shop.read()
    shop.write(1, 2, True, False)
    assert shop.read() == []
    assert shop.hits == 0


def test_other_categories_are_left_alone(shop):
    shop.rows[3] = 3
    shop.read(3)
    shop.write()
    assert shop.read(3) == [3]
    assert shop.hits == 1


def expire_fences(client):
    """Let every fence end now, as at its deadline."""
    for key in client.scan_iter():
        if client.type(key) == b"zset":
            client.pexpire(key, -1)


# Threads that share one cache


def test_threads_that_share_a_cache_are_served_nothing_stale(shop):
    guard, failures, deadline = threading.Lock(), [], time.monotonic() + 1.5

    def write(id):
        # One writer for each row, as its lock in the database would have it.
        for category in itertools.cycle((1, 2, 3)):
            hits = shop.hits
            shop.write(id, category, category != 2)
            # Writes without a pause would leave nothing to be served.
            while shop.hits < hits + 5:
                if time.monotonic() > deadline:
                    return
                time.sleep(0.001)

    def read(scheme):
        while time.monotonic() < deadline:
            for category in (1, 2, 3, None):
                shop.read(category, scheme)

    def run(role, argument):
        try:
            role(argument)
        except BaseException as error:
            with guard:
                failures.append(error)

    schemes = [("category",), ("category", "shop"), ("category",), ("category", "currency")]
    roles = [(write, 1), (write, 2), *((read, scheme) for scheme in schemes)]
    threads = [threading.Thread(target=run, args=role) for role in roles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert shop.hits > 50
    assert len(shop.writes) > 10


# Any key, at any step


def scenario(shop):
    """A scenario of every kind of step: two readers of two schemes around two writers, one of the whole table."""
    driver = shop.cache.driver
    early, late = (Stepped(driver, shop.reading(1, s)) for s in (("category",), ("category", "shop")))
    first = Stepped(driver, shop.writing())
    for one in (early, early, first, late, late, early, early, first, late, first, late):
        yield one.step()
    second = Stepped(driver, shop.writing(2, 1, True, False))
    early, late = (Stepped(driver, shop.reading(1, s)) for s in (("category",), ("category", "shop")))
    for one in (early, late, second, late, early, second, late, early, second, early, late):
        yield one.step()


def test_losing_any_key_at_any_step_is_at_worst_a_miss(redis_client):
    steps = sum(1 for _ in scenario(Shop(Cache(redis_client, prefix="p:"))))
    tried = 0
    for moment in range(steps):
        for lost in keys_at(redis_client, moment):
            tried += 1
            redis_client.flushall()
            shop = Shop(Cache(redis_client, prefix="p:"))
            for number, _ in enumerate(scenario(shop)):
                if number == moment:
                    redis_client.delete(lost)
            # A registry that is lost between fence and release leaves fences behind: nobody knows of what.
            expire_fences(redis_client)
            check_that_it_goes_on(shop)
    assert tried > 50


def keys_at(client, moment):
    client.flushall()
    shop = Shop(Cache(client, prefix="p:"))
    for number, _ in enumerate(scenario(shop)):
        if number == moment:
            return list(client.scan_iter())
    return []


def check_that_it_goes_on(shop):
    """Read what there is, twice: the second time it is served from the cache."""
    for scheme in (("category",), ("category", "shop")):
        shop.read(1, scheme)
        before = shop.hits
        assert shop.read(1, scheme) == shop.select(1)[1]
        assert shop.hits == before + 1


# Anything, in any order


class AnyOrder(RuleBasedStateMachine):
    """Readers and writers, stopped between any two commands, while keys get lost or writers die.

    Not both: a lost fence whose writer dies too is the double fault that the protocol does not cover.
    """

    server = None

    def __init__(self):
        super().__init__()
        self.client = self.server.client()
        self.client.flushall()
        self.shop = self.open_shop()
        self.running, self.locked, self.dead, self.has_lost = [], {}, [], False

    def open_shop(self):
        return Shop(self.cache())

    def cache(self):
        # Near copies would hide each other's faults if they ended by themselves.
        return Cache(self.client, max_schemes=2, max_fences=3, near_max_age=50)

    def listen(self):
        """Hear what near caches are told, if there are any."""

    def teardown(self):
        for one in self.running + self.dead:
            # When it is collected, a writer drops copies of whoever comes next.
            one.flow.close()
        # What it leaves is sent by itself, and must not be while the next ones take their steps.
        wait_for(lambda: not self.shop.cache.circuit.owes())
        self.client.close()

    def start(self, flow):
        self.running.append(Stepped(self.shop.cache.driver, flow))
        return self.running[-1]

    @rule(
        category=st.sampled_from([1, 2, 3, None]),
        scheme=st.sampled_from([("category",), ("category", "shop"), ("category", "currency")]),
    )
    def read(self, category, scheme):
        self.start(self.shop.reading(category, scheme))

    @rule(
        id=st.sampled_from([1, 2]), category=st.integers(1, 3), commits=st.booleans(), is_known=st.booleans()
    )
    def write(self, id, category, commits, is_known):
        # A row's old values are read under its lock, which its writer holds until it has committed.
        if id not in self.locked:
            self.locked[id] = self.start(self.shop.writing(id, category, commits, is_known))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), steps=st.integers(1, 4))
    def step(self, data, steps):
        one = data.draw(st.sampled_from(self.running))
        for _ in range(steps):
            was_commit = not one.is_done and is_work(one.request)
            one.step()
            if was_commit or one.is_done:
                self.locked = {id: writer for id, writer in self.locked.items() if writer is not one}
        if one.is_done:
            self.running.remove(one)

    @precondition(lambda self: not self.dead)
    @rule(data=st.data())
    def lose_a_key(self, data):
        if keys := sorted(self.client.scan_iter()):
            self.has_lost = True
            self.client.delete(data.draw(st.sampled_from(keys)))

    @precondition(lambda self: not self.has_lost and self.locked)
    @rule(data=st.data())
    def kill_a_writer(self, data):
        id = data.draw(st.sampled_from(sorted(self.locked)))
        # Kept, for the dead do nothing any more: a writer that is collected leaves word of what it has not released.
        self.dead.append(self.locked.pop(id))
        self.running.remove(self.dead[-1])

    @precondition(lambda self: not self.dead)
    @rule()
    def all_fences_expire(self):
        self.has_lost = True
        expire_fences(self.client)

    @precondition(lambda self: self.dead and not any(one.flow.__name__ == "writing" for one in self.running))
    @rule()
    def fences_of_the_dead_expire(self):
        expire_fences(self.client)

    @invariant()
    def an_answer_is_what_the_database_says_once_all_is_quiet(self):
        if not self.running and not self.dead:
            self.listen()
            assert self.shop.read(1) == self.shop.select(1)[1]


class OwnCopies(AnyOrder):
    """The same with near copies of what this process writes itself: nobody tells it, it has to know."""

    def open_shop(self):
        shop = Shop(self.cache(), is_near=True)
        shop.cache.near.open()
        return shop


class CopiesOfOthers(AnyOrder):
    """The same with near copies in another process, which hears of writes when it comes to listen."""

    def open_shop(self):
        self.channel = self.client.pubsub(ignore_subscribe_messages=True)
        self.channel.subscribe("cacheops:near")
        assert self.channel.get_message(timeout=10) is None
        reader = self.cache()
        near_writes._of_prefix["cacheops:"] = ()
        reader.near.open()
        return Shop(self.cache(), reader=reader, is_near=True)

    def teardown(self):
        self.channel.close()
        super().teardown()

    @rule()
    def listen(self):
        # What the server has answered after a message it has sent after it.
        returned = [write for write in self.shop.writes if write.has_returned]
        self.channel.ping()
        while (message := self.channel.get_message(timeout=10))["type"] != "pong":
            self.shop.reader.near.hear(message["data"])
        for write in returned:
            write.is_known = True


@pytest.mark.parametrize("in_vain", [reading_verbs.IN_VAIN, 0], ids=["", "acquiring ahead"])
@pytest.mark.parametrize("kind", [AnyOrder, OwnCopies, CopiesOfOthers])
def test_no_order_of_steps_breaks_the_promise(kind, in_vain, monkeypatch):
    monkeypatch.setattr(reading_verbs, "IN_VAIN", in_vain)
    with start_server() as server:
        machine = type("Machine", (kind,), {"server": server})
        quick = settings(
            max_examples=50, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        )
        run_state_machine_as_test(machine, settings=quick)
