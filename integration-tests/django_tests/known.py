"""The tests of Django's that differ with a cache, whichever it is or by what is documented, and why."""

from fnmatch import fnmatchcase

from django_tests.reports import READ_OTHERWISE, Difference

SPARED = "looks at the SQL of a query that a hit has spared"
INTERNALS = "looks at what Django does inside, which the cache does in another way"
MOCKED = "replaces a method inside Django by one that takes only Django's own call of it"
PAST_US = "writes with a cursor's executemany(), which the documentation says is not tracked"
ORDERING = "sets Model._meta.ordering in a running program, which says nothing to the cache"
TWICE = "evaluates a union whose query Django itself cannot evaluate twice"
REFUSED = "wants a query to be refused that a hit has spared"
ISOLATION = "counts queries in a transaction, of which the first asks how it is isolated"

KNOWN = {
    "admin_filters.tests.ListFiltersTests.test_relatedfieldlistfilter_reverse_relationships_default_ordering": ORDERING,
    "backends.base.test_base.ExecuteWrapperTests.test_wrapper_connection_specific": INTERNALS,
    "backends.tests.BackendTestCase.test_cursor_executemany_with_*iterator": PAST_US,
    "basic.tests.ManagerTest.test_manager_methods": "lists all methods of querysets, to which the cache adds",
    "context_processors.tests.DebugContextProcessorTests.test_sql_queries": SPARED,
    "lookup.tests.LookupTests.test_in_ignore_none_with_unhashable_items": SPARED,
    "many_to_many.tests.ManyToManyQueryTests.test_*_join_optimization": SPARED,
    "model_fields.tests.GetChoicesOrderingTests.test_get_choices*_default_ordering": ORDERING,
    "multiple_database.tests.QueryTestCase.test_refresh_router_instance_hint":
        "asks how often a router is asked: whoever looks into the cache has to know the database, too",
    "postgres_tests.test_aggregates.TestGeneralAggregate.test_default_argument": ISOLATION,
    "prefetch_related.test_prefetch_related_objects.PrefetchRelatedObjectsTests.test_*_forward": SPARED,
    "prefetch_related.test_prefetch_related_objects.PrefetchRelatedObjectsTests.test_one_to_one_reverse": SPARED,
    "prefetch_related.tests.CustomPrefetchTests.test_filter_deferred": MOCKED,
    "prefetch_related.tests.PrefetchRelatedTests.test_filter_deferred": INTERNALS,
    "queries.test_qs_combinators.*.test_union_multiple_models_with_values_list_and_order_by_extra_select": TWICE,
    "queries.tests.Queries1Tests.test_tickets_2076_7256": INTERNALS,
    "serializers.*.test_serialize_no_only_pk_with_natural_keys": SPARED,
    "serializers.*.test_serialize_only_pk": SPARED,
    "signals.tests.SignalTests.test_disconnect_in_dispatch": "lists all receivers, of which the cache's is one",
    "test_utils.tests.AssertNumQueriesContextManagerTests.*": SPARED,
    "test_utils.tests.CaptureQueriesContextManagerTests.*": SPARED,
    "test_utils.tests.DisallowedDatabaseQueriesTests.*": REFUSED,
}  # fmt: skip
"""The reason, by a pattern of tests' ids."""


MAY_READ_OTHERWISE = frozenset({MOCKED, ORDERING, PAST_US, REFUSED, TWICE})
"""Reasons for which the answers themselves differ; with any other, they must not."""


def reason(difference: Difference) -> str | None:
    """Return why a test has to differ in this way; None if it has not."""
    why = next((why for pattern, why in KNOWN.items() if fnmatchcase(difference.test, pattern)), None)
    return why if difference.cached != READ_OTHERWISE or why in MAY_READ_OTHERWISE else None
