"""The promise in every interleaving, and that the simulated server is like a real one."""

import re
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model.explorer import Explorer, Violation
from model.keyspace import EMPTY, Server, without
from model.scenarios import MUTATIONS, SCENARIOS

from cacheops_core import flows
from cacheops_core.conditions import Dependencies
from cacheops_core.drivers import SyncDriver
from cacheops_core.scripts import ACQUIRE, DROP, FENCE, FORGET, RELEASE
from cacheops_core.stamps import StampKeys

# Nothing here asks a database.
pytestmark = pytest.mark.one_database

EXPECTED = 1000
"""States that an exploration has at least: one that ends sooner has not looked."""


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_the_promise_holds_in_every_interleaving_of(scenario):
    assert Explorer(scenario).explore() > EXPECTED / 2


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_the_promise_is_broken_if(mutation):
    with mutation.patch(), pytest.raises(Violation):
        Explorer(mutation.mutated()).explore()


def test_lines_of_every_script_of_the_protocol_are_taken_out():
    assert {ACQUIRE, FENCE, RELEASE, DROP, FORGET} <= {mutation.script for mutation in MUTATIONS.values()}


KEYS = ["g:{t}", "s:{t}", "f:{t}", "c:{t}:a=1", "c:{t}:a=2", "c:{t}:b=1", "c:{t}:"]
ROWS = st.lists(
    st.fixed_dictionaries({"a": st.sampled_from(["1", "2", None])}, optional={"b": st.just("1")}), max_size=2
)
CONDITIONS = st.sampled_from([{"a": 1}, {"a": 2}, {"b": 1}, {}])
STEPS = st.one_of(
    st.tuples(st.just("acquire"), st.lists(CONDITIONS, min_size=1, max_size=2), st.integers(1, 3)),
    st.tuples(st.sampled_from(["fence", "release"]), st.sampled_from("uv"), ROWS, st.integers(1, 3)),
    st.tuples(st.just("drop"), st.sampled_from(KEYS)),
    st.tuples(st.just("sweep")),
    st.tuples(st.just("lose"), st.sampled_from(KEYS)),
    st.tuples(st.just("spoil"), st.sampled_from(KEYS)),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=12))
def test_the_simulated_server_answers_as_a_real_one(agreement, steps):
    agreement.begin()
    for step in steps:
        assert agreement.real(*step) == agreement.simulated(*step)


class Agreement:
    """A real and a simulated server that are told the same."""

    def __init__(self, client):
        self.client, self.driver, self.server = client, SyncDriver(client), Server()
        self.run, _ = self.driver.execute(flows.Command("MGET", ("k",), tells_run=True))

    def begin(self):
        self.client.flushall()
        self.keyspace, self.clock = EMPTY, 1
        self.births = {"real": {}, "simulated": {}}

    def real(self, name, *args):
        if name == "lose":
            self.client.delete(*args)
            return None
        if name == "spoil":
            self.client.set(args[0], b"garbage")
            return None
        if name == "sweep":
            self.driver.run(flows.sweep(""))
            return sorted(self.client.keys())
        return self._told("real", [self.driver.execute(call) for call in self._calls(name, *args)])

    def simulated(self, name, *args):
        if name == "lose":
            self.keyspace = without(self.keyspace, args[0].encode())
            return None
        if name == "spoil":
            key = args[0].encode()
            self.keyspace = tuple(sorted({**dict(self.keyspace), key: b"garbage"}.items()))
            return None
        if name == "sweep":
            flow = flows.sweep("")
            request = next(flow)
            with suppress(StopIteration):
                while True:
                    replies = self._ask(request if isinstance(request, tuple) else (request,))
                    request = flow.send(replies if isinstance(request, tuple) else replies[0])
            return [key for key, _ in self.keyspace]
        return self._told("simulated", self._ask(self._calls(name, *args)))

    def _ask(self, requests):
        replies = []
        for request in requests:
            self.clock += 1
            self.keyspace, reply = self.server.run(self.keyspace, self.clock, request, self.run)
            replies.append(reply)
        return replies

    def _calls(self, name, *args):
        if name == "acquire":
            conditions, most = args
            stamps = StampKeys.of("", Dependencies.coerce({"t": conditions}))
            return next(flows.acquire(stamps, 60_000, most, bytes(4)))
        if name == "drop":
            return [flows.Call(DROP, args, ())]
        unit, rows, most = args
        more = (60_000, most) if name == "fence" else (most,)
        return next(getattr(flows, name)("", unit, {"t": rows or None}, *more))

    def _told(self, side, reply):
        """Return a reply with each birth replaced by its number, and what is in no order in one."""
        if isinstance(reply, bytes):
            birth = rb"(?s)(.{8})\0{4}(?:" + re.escape(self.run) + rb")?"
            return re.sub(birth, lambda found: self._number(side, found[1]), reply)
        if (
            isinstance(reply, list)
            and reply
            and all(isinstance(one, bytes) and b"\0" not in one for one in reply)
        ):
            return sorted(reply)
        return [self._told(side, one) for one in reply] if isinstance(reply, list) else reply

    def _number(self, side, birth):
        known = self.births[side]
        return b"<%d>" % known.setdefault(birth, len(known))


@pytest.fixture
def agreement(redis_client):
    return Agreement(redis_client)
