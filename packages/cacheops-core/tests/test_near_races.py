"""The races of near copies, each forced: what is said of them in `cacheops_core.near`, sentence by sentence.

The reader has a connection on which it hears what near caches are told, when it comes to listen.
"""

import pytest

from cacheops_core import near_writes
from cacheops_core.cache import Cache
from cacheops_core.conditions import row
from cacheops_core.decorators import StoredCall, cached
from cacheops_core.errors import BackendError, ConfigurationError
from cacheops_core.flows import Work
from cacheops_core.near import MISS
from cacheops_core.testing import Stepped, count_round_trips, start_server
from cacheops_core.units import Unit

DRINKS = {"product": [{"category": 7}]}
DRINK = ("product", {"id": 1, "category": 7})
BOOK = ("product", {"id": 2, "category": 8})


class Process:
    """A cache that keeps near copies, in a process that knows of the writes of others what it is told."""

    def __init__(self, client, **options):
        self.cache = Cache(client, prefix="p:", **options)
        near_writes._of_prefix["p:"] = ()
        self.is_deaf = False
        self.channel = client.pubsub(ignore_subscribe_messages=True)
        self.channel.subscribe("p:near")
        self.channel.get_message(timeout=10)
        self.cache.near.open()

    def listen(self):
        """Hear what has been told so far; return how many messages that were."""
        heard = 0
        if self.is_deaf:
            return heard
        self.channel.ping()
        while (message := self.channel.get_message(timeout=10))["type"] != "pong":
            self.cache.near.hear(message["data"])
            heard += 1
        return heard

    def read(self, answer="old"):
        return self.cache.get_or_compute("k", DRINKS, lambda: [answer], near=True)[0]

    def reading(self, answer="old"):
        """Read step by step."""
        flow = self.cache.computing("k", DRINKS, lambda: [answer], near=True)
        return Stepped(self.cache.driver, flow)


@pytest.fixture
def reader(redis_client):
    process = Process(redis_client)
    yield process
    process.channel.close()


@pytest.fixture(params=["another process", "the same process"])
def writer(request, reader, redis_client):
    """Who writes. In the same process the reader has to know without being told."""
    cache = Cache(redis_client, prefix="p:")
    if request.param == "the same process":
        reader.is_deaf = True
        near_writes.register(reader.cache.near)
    return cache


@pytest.fixture
def other(reader, redis_client):
    """A writer in another process."""
    return Cache(redis_client, prefix="p:")


def unit_of(*changes):
    unit = Unit()
    for table, values in changes:
        unit.add(table, [row(values)])
    return unit


def lose_fences(client, pattern="*"):
    for key in client.scan_iter(pattern):
        if client.type(key) == b"zset":
            client.delete(key)


# Hits


def test_a_near_hit_asks_nobody(reader, redis_client):
    reader.read()
    with count_round_trips(redis_client) as trips:
        assert reader.read("new") == "old"
        assert reader.cache.fetch("k", DRINKS, near=True).value == ["old"]
    assert trips.sent == []


def test_what_another_has_stored_is_kept_as_well(reader, other, redis_client):
    other.get_or_compute("k", DRINKS, lambda: ["old"])
    reader.read("new")
    with count_round_trips(redis_client) as trips:
        assert reader.read("new") == "old"
    assert trips.sent == []


def test_who_does_not_ask_for_copies_asks_the_server(reader, redis_client):
    reader.read()
    with count_round_trips(redis_client) as trips:
        reader.cache.fetch("k", DRINKS)
    assert trips.sent == [("MGET",)]


def test_each_hit_is_an_object_of_its_own(reader):
    reader.read()
    reader.cache.fetch("k", DRINKS, near=True).value.append("mine")
    assert reader.cache.fetch("k", DRINKS, near=True).value == ["old"]


def test_a_copy_is_found_by_a_key_of_ones_own(reader):
    own = ("Product", 1)
    assert reader.cache.near.get(own) is MISS
    reader.cache.fill(reader.cache.fetch("k", DRINKS, near=own), "rows")
    assert reader.cache.near.get(own) == "rows"


KINDS = {
    "compressed": {"compression": "zstd", "compress_above": 1},
    "signed": {"signing_key": "0123456789abcdef"},
    "compressed and signed": {"compression": "lz4", "compress_above": 1, "signing_key": b"0123456789abcdef"},
    "json": {"serializer": "json"},
}


@pytest.mark.parametrize("dependencies", [DRINKS, {}], ids=["dependent", "simple"])
@pytest.mark.parametrize("value", [["rows" * 50], ("a", ("b", 1)), 17], ids=["list", "tuple", "number"])
@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_a_copy_is_what_the_server_would_bring(redis_client, options, value, dependencies):
    process = Process(redis_client, **options)
    process.cache.fill(process.cache.fetch("k", dependencies, near=True), value)
    filled = process.cache.fetch("k", dependencies, near=True)
    process.cache.near.clear()
    process.cache.fetch("k", dependencies, near=True)
    with count_round_trips(redis_client) as trips:
        found = process.cache.fetch("k", dependencies, near=True)
    assert trips.sent == []
    assert filled.value == found.value == value
    assert type(filled.value) is type(found.value) is type(value)
    process.channel.close()


# Writes of others


def test_a_copy_goes_when_the_message_of_the_fence_arrives(reader, other):
    reader.read()
    with other.writing(DRINK):
        assert reader.listen() == 1
        assert reader.cache.near.get(reader.cache.key_of("k", DRINKS)) is MISS


def test_a_write_says_once_what_it_has_fenced(reader, other):
    reader.read()
    with other.writing(DRINK):
        pass
    assert reader.listen() == 1


def test_a_write_to_what_nobody_caches_says_so_before_and_after(reader, other):
    """Nobody knows whether there had been a registry, which was lost in between."""
    with other.writing(DRINK):
        assert reader.listen() == 1
    assert reader.listen() == 1


@pytest.mark.parametrize("write", [
    lambda cache: cache.invalidate(*DRINK),
    lambda cache: cache.invalidate("product"),
    lambda cache: cache.invalidate_all(),
    lambda cache: cache.driver.run(cache.forgetting(cache.key_of("k", DRINKS))),
], ids=["rows", "a table", "everything", "the entry"])  # fmt: skip
def test_what_is_dropped_without_a_fence_is_told_as_well(reader, writer, write):
    reader.read()
    write(writer)
    reader.listen()
    assert reader.read("new") == "new"


def test_copies_of_other_rows_stay(reader, writer, redis_client):
    reader.read()
    with writer.writing(BOOK):
        reader.listen()
    with count_round_trips(redis_client) as trips:
        assert reader.read("new") == "old"
    assert trips.sent == []


@pytest.mark.parametrize("lost", [["p:s:{product}"], ["p:s:{product}", "p:g:{product}", "p:f:{product}"]])
def test_who_finds_no_registry_tells_the_whole_table(reader, other, redis_client, lost):
    reader.read()
    redis_client.delete(*lost)
    with other.writing(BOOK):
        reader.listen()
    assert reader.cache.near.get(reader.cache.key_of("k", DRINKS)) is MISS


def test_many_rows_are_told_as_their_table(reader, other):
    other.get_or_compute("other", {"product": [{"id": 3}]}, int)
    reader.read()
    other.invalidate("product", *({"id": number, "category": 8} for number in range(200)))
    reader.listen()
    assert reader.cache.near.get(reader.cache.key_of("k", DRINKS)) is MISS


def test_an_answer_that_was_asked_for_before_a_message_is_not_kept_after_it(reader, writer):
    """The slow keeper."""
    reader.read()
    reader.cache.near.clear()
    slow = reader.reading()
    reply = slow.ask()
    with writer.writing(DRINK):
        reader.listen()
    slow.go_on(reply)
    assert slow.result == ["old"]  # it had begun before
    assert reader.read("new") == "new"


def test_an_answer_that_was_computed_before_a_message_is_not_kept_after_it(reader, writer):
    slow = reader.reading().until(lambda request: isinstance(request, Work))
    answer = slow.ask()
    with writer.writing(DRINK):
        reader.listen()
    slow.go_on(answer)
    assert slow.finish() == ["old"]
    assert reader.read("new") == "new"


def test_a_question_after_the_fence_is_not_answered_by_the_entry(reader, other):
    reader.read()
    reader.cache.near.clear()
    unit = unit_of(DRINK)
    other.fence(unit)
    # Nobody has listened yet.
    assert reader.read("of now") == "of now"
    assert len(reader.cache.near) == 0
    other.release(unit)
    reader.listen()
    assert reader.read("new") == "new"


def test_an_answer_that_was_asked_for_without_a_connection_is_not_kept_with_one(reader, other):
    """The deaf listener."""
    reader.read()
    reader.cache.near.close()
    slow = reader.reading()
    reply = slow.ask()
    other.invalidate(*DRINK)
    reader.cache.near.open()
    slow.go_on(reply)
    assert reader.read("new") == "new"


def test_an_answer_that_was_asked_for_over_an_earlier_connection_is_not_kept(reader, other):
    reader.read()
    reader.cache.near.clear()
    slow = reader.reading()
    reply = slow.ask()
    reader.cache.near.close()
    other.invalidate(*DRINK)
    reader.cache.near.open()
    slow.go_on(reply)
    assert reader.read("new") == "new"


def test_a_copy_whose_message_is_lost_ends_at_its_age(redis_client):
    reader = Process(redis_client, near_max_age=0.3)
    reader.read()
    Cache(redis_client, prefix="p:").invalidate(*DRINK)
    reads = [reader.read("new")]
    while reads[-1] != "new":
        reads.append(reader.read("new"))
    assert reads[0] == "old"
    reader.channel.close()


# Writes of this process


def test_a_copy_goes_before_the_commit_though_nobody_listens(reader, redis_client):
    near_writes.register(reader.cache.near)
    reader.read()
    unit = unit_of(DRINK)
    Cache(redis_client, prefix="p:").fence(unit)
    # Should the answer to COMMIT be lost, there is no release, and the fences stand.
    assert reader.read("new") == "new"


def test_a_copy_that_was_made_before_the_fence_came_to_the_server_goes(reader):
    near_writes.register(reader.cache.near)
    cache = reader.cache
    writer = Stepped(cache.driver, cache.fencing(unit_of(DRINK)))
    reader.read()
    writer.finish()
    assert reader.read("new") == "new"


def test_what_is_filled_where_a_fence_was_lost_goes_with_the_release(reader, writer, redis_client):
    """The lost fence."""
    unit = unit_of(DRINK)
    writer.fence(unit)
    reader.listen()
    lose_fences(redis_client)
    assert reader.read("old") == reader.read("new") == "old"
    writer.release(unit)
    reader.listen()
    assert reader.read("new") == "new"


@pytest.mark.parametrize("lost", ["*", "p:g:*"], ids=["all", "one"])
def test_what_is_filled_where_a_tables_fence_was_lost_goes_with_the_release(
    reader, writer, redis_client, lost
):
    reader.read()
    unit = Unit()
    unit.add("product", None)
    writer.fence(unit)
    reader.listen()
    lose_fences(redis_client, lost)
    assert reader.read("old") == reader.read("new") == "old"
    writer.release(unit)
    reader.listen()
    assert reader.read("new") == "new"


def test_what_is_filled_where_nobody_knew_of_a_registry_goes_with_the_release(reader, writer, redis_client):
    """The registry is born, and lost, between fence and release; the fence had only kept new schemes out."""
    unit = unit_of(DRINK)
    writer.fence(unit)
    reader.listen()
    lose_fences(redis_client)
    assert reader.read("old") == reader.read("new") == "old"
    redis_client.delete("p:s:{product}", "p:g:{product}")
    writer.release(unit)
    reader.listen()
    assert reader.read("new") == "new"


def test_what_is_filled_where_the_registry_is_lost_after_a_fence_goes_with_the_release(
    reader, writer, redis_client
):
    reader.read()
    unit = unit_of(DRINK)
    writer.fence(unit)
    reader.listen()
    lose_fences(redis_client, "p:c:*")
    assert reader.read("old") == reader.read("new") == "old"
    redis_client.delete("p:s:{product}")
    writer.release(unit)
    reader.listen()
    assert reader.read("new") == "new"


@pytest.mark.parametrize("lost", [["p:s:{product}"], ["p:s:{product}", "p:g:{product}"]], ids=["it", "all"])
def test_a_copy_goes_though_a_new_registry_lacks_its_scheme(reader, writer, redis_client, lost):
    """The new registry."""
    reader.read()
    redis_client.delete(*lost)
    writer.get_or_compute("other", {"product": [{"id": 3}]}, int)
    with writer.writing(DRINK):
        reader.listen()
    assert reader.read("new") == "new"


def test_a_copy_goes_with_the_release_though_a_new_registry_lacks_its_scheme(reader, writer, redis_client):
    """A fence is lost, and what keeps others from making a registry, and then the registry."""
    reader.read()
    writer.get_or_compute("other", {"product": [{"id": 3}]}, int)
    unit = unit_of(DRINK)
    writer.fence(unit)
    reader.listen()
    redis_client.delete("p:c:{product}:category=7")
    assert reader.read("old") == reader.read("new") == "old"
    redis_client.delete("p:f:{product}", "p:s:{product}")
    writer.get_or_compute("third", {"product": [{"id": 4}]}, int)
    writer.release(unit)
    reader.listen()
    assert reader.read("new") == "new"


def test_own_copies_go_though_the_server_is_away():
    with start_server() as server, server.client(socket_timeout=1, retry=None) as client:
        reader = Process(client, degrade=True)
        near_writes.register(reader.cache.near)
        reader.read()
        server.kill()
        with reader.cache.writing(DRINK):
            pass
        assert reader.read("new") == "new"


def test_own_copies_go_though_the_release_fails():
    with start_server() as server, server.client(socket_timeout=1, retry=None) as client:
        reader = Process(client)
        near_writes.register(reader.cache.near)
        reader.read()
        server.kill()
        with pytest.raises(BackendError):
            reader.cache.invalidate(*DRINK)
        assert len(reader.cache.near) == 0


# Values that depend on nothing

CHANGES = {
    "set": lambda cache: cache.set("k", "new"),
    "set_many": lambda cache: cache.set_many({"k": "new"}),
    "delete": lambda cache: cache.delete("k"),
    "incr": lambda cache: cache.incr("k"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_this_process_does_to_a_value_it_sees(reader, change):
    near_writes.register(reader.cache.near)
    reader.cache.set("k", 1)
    assert [reader.cache.fetch("k", {}, near=True).value for _ in range(2)] == [1, 1]
    change(reader.cache)
    assert reader.cache.fetch("k", {}, near=True).value == reader.cache.get("k", None) != 1


def test_a_value_that_was_read_before_it_was_set_here_is_not_kept(reader):
    near_writes.register(reader.cache.near)
    reader.cache.set("k", 1)
    slow = Stepped(reader.cache.driver, reader.cache.looking_up("k", {}, near=True))
    reply = slow.ask()
    reader.cache.set("k", 2)
    slow.go_on(reply)
    assert reader.cache.fetch("k", {}, near=True).value == 2


# Functions


calls = []


def multiply(number, times=2):
    calls.append(number)
    return number * times


def pop():
    return calls.pop()


@pytest.fixture
def double(reader):
    calls.clear()
    return reader.cache.cached(near=True)(multiply)


def test_a_call_is_found_without_its_key(double, redis_client):
    double(2)
    with count_round_trips(redis_client) as trips:
        assert (double(2), double(2)) == (4, 4)
    assert (trips.sent, calls) == ([], [2])


SAME = [((2,), {}), ((), {"number": 2}), ((2, 2), {}), ((2,), {"times": 2}), ((2.0,), {}), ((True,), {})]


def test_calls_that_are_several_are_kept_apart(double):
    for _ in range(2):
        found = [double(*args, **kwargs) for args, kwargs in SAME]
        assert [(value, type(value)) for value in found] == [(4, int)] * 4 + [(4.0, float), (2, int)]
    assert [(number, type(number)) for number in calls] == [(2, int), (2.0, float), (True, bool)]


@pytest.mark.parametrize(
    "drop", [lambda call: call.delete(), lambda call: call.set(5)], ids=["delete", "set"]
)
def test_whoever_changes_a_call_tells_those_who_have_copies(reader, double, other, drop):
    double(2)
    drop(StoredCall(double.key(2)._key, other.cached(near=True)(len)._policy))
    assert double(2) == 4  # not heard yet
    reader.listen()
    assert (double(2), calls) in ((4, [2, 2]), (5, [2]))


def test_what_a_call_is_set_to_here_is_there_at_once(reader, double):
    near_writes.register(reader.cache.near)
    assert double(2) == 4
    double.key(2).set(5)
    assert double(2) == 5
    double.invalidate(2)
    assert double(2) == 4


def test_methods_and_closures_have_copies_by_their_key(reader, redis_client):
    class Table:
        def __init__(self, number):
            self.number = number

        def __cache_key__(self):
            return self.number

        @reader.cache.cached(near=True)
        def times(self, number):
            return self.number * number

    def power(exponent):
        return reader.cache.cached(near=True)(lambda number: number**exponent)

    for _ in range(2):
        assert [Table(2).times(3), Table(3).times(3), power(2)(3), power(3)(3)] == [6, 9, 9, 27]
    with count_round_trips(redis_client) as trips:
        assert [Table(2).times(3), power(2)(3)] == [6, 9]
    assert trips.sent == []


def test_what_a_function_depends_on_drops_its_copies(reader, writer):
    calls[:] = ["new", "old"]
    answer = reader.cache.cached_as(DRINKS, near=True)(pop)
    assert [answer(), answer()] == ["old", "old"]
    with writer.writing(DRINK):
        reader.listen()
    assert [answer(), answer()] == ["new", "new"]


def test_near_needs_a_cache_that_can(tmp_path):
    class Plain:
        get = set = delete = None

    with pytest.raises(ConfigurationError, match="near"):
        cached(Plain(), near=True)
