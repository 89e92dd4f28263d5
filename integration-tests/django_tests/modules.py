"""Which of Django's modules of tests are run."""

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import groupby

ORM = """
    aggregation aggregation_regress annotations async basic bulk_create composite_pk constraints contenttypes_tests
    custom_columns custom_lookups custom_managers custom_pk datatypes dates datetimes db_functions defer defer_regress
    delete delete_regress distinct_on_fields empty expressions expressions_case expressions_window extra_regress
    field_defaults filtered_relation fixtures fixtures_model_package fixtures_regress force_insert_update foreign_object
    from_db_value generic_relations generic_relations_regress get_earliest_or_latest get_object_or_404 get_or_create
    known_related_objects lookup m2m_and_m2o m2m_intermediary m2m_multiple m2m_recursive m2m_regress m2m_signals
    m2m_through m2m_through_regress m2o_recursive many_to_many many_to_one many_to_one_null model_enums model_fields
    model_forms model_formsets model_formsets_regress model_indexes model_inheritance model_inheritance_regress
    model_package model_regress multiple_database mutually_referential nested_foreign_keys null_fk null_fk_ordering
    null_queries one_to_one or_lookups order_with_respect_to ordering prefetch_related proxy_models queries
    queryset_pickle raw_query reverse_lookup save_delete_hooks select_for_update select_related select_related_onetoone
    select_related_regress serializers signals string_lookup swappable_models timezones transaction_hooks transactions
    unmanaged_models update update_only_fields validation xor_lookups
"""
"""The modules that read and write through models most; a version of Django need not have all of them."""


class UnknownModule(Exception):
    """An argument names no module of tests."""


def chosen(labels: Sequence[str], there: Sequence[str]) -> list[str]:
    """Return the labels that were given, or the ORM's modules if none were, as far as they are there.

    A label is a module's name, or the name of a module, a class or a test within.
    """
    if not labels:
        return [name for name in ORM.split() if name in there]
    for label in labels:
        name = label.partition(".")[0]
        if name not in there:
            near = get_close_matches(name, there, 3) or there
            raise UnknownModule(f"Django has no tests {name!r}: there are {', '.join(near)}")
    return [label for label, _ in groupby(sorted(labels))]
