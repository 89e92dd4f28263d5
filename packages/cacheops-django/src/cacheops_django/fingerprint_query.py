"""The stable form of a whole `Query`: tables, conditions and whatever else differs from a fresh one."""

from collections.abc import Callable, Iterator
from typing import Any

from django.db.models.sql import Query
from django.db.models.sql.datastructures import BaseTable

from cacheops_django.fingerprint_models import model_key, select_related_form
from cacheops_django.fingerprint_nodes import computed_attributes
from cacheops_django.fingerprint_orders import zone_of_order
from cacheops_django.fingerprint_values import ENCODERS, PLAIN, Unknown, encode

_PASSED_OVER = computed_attributes(Query) | {
    # Kept for building the query further, or computed from the rest.
    "_annotation_select_cache",
    "_extra_select_cache",
    "_lookup_joins",
    "base_table",
    "filter_is_sticky",
    "used_aliases",
    # Looked at by encode_query() itself.
    "_filtered_relations",
    "alias_cols",
    "alias_map",
    "alias_refcount",
    "annotations",
    "external_aliases",
    "extra",
    "model",
    "table_map",
    "where",
}


def encode_query(query: Query, encode_where: Callable[[Any], Any] = encode) -> tuple[Any, ...]:
    """Return the form of a query; only what differs from a fresh one takes room in it."""
    if type(query) is not Query:
        raise Unknown(f"{type(query).__qualname__} is not a plain query")
    attributes = query.__dict__
    model = attributes["model"]
    form: list[Any] = ["query", model and model_key(model), _tables(query, attributes["alias_map"])]
    if attributes["where"].children:
        form.append(encode_where(attributes["where"]))
    if attributes["annotations"]:
        form.append(("annotations", *map(_plain_or_encoded, _flat(attributes["annotations"]))))
    if attributes["_filtered_relations"]:
        form.append(("filtered relations", *map(encode, attributes["_filtered_relations"].values())))
    if attributes["external_aliases"]:
        form.append(("external aliases", *sorted(query.external_aliases.items())))
    if not attributes["alias_cols"]:
        form.append("columns without alias")
    if attributes["extra"]:
        # What was selected by hand stands in the SQL as it was written; prefetching does so.
        form.append(("extra", *map(encode, _flat(attributes["extra"]))))
    if not _PASSED_OVER.issuperset(attributes):
        form += _beyond_defaults(query, attributes)
    names = (*attributes.get("order_by", ()), *attributes.get("distinct_fields", ()))
    if (zone := zone_of_order(model, names, query.default_ordering)) is not None:
        form.append(("zone", zone))
    return tuple(form)


def _tables(query: Query, tables: dict[str, Any]) -> Any:
    """Encode the joins in their order; None for the model's own table, which a query gets when it is run."""
    if not tables:
        return None
    if len(tables) == 1:
        ((alias, table),) = tables.items()
        name = query.model._meta.db_table if query.model else None
        if alias == name == table.table_alias and type(table) is BaseTable:
            return None
    # How often an alias is used tells how the query was built; whether it is used at all, if it is joined.
    counts = query.alias_refcount
    return [(alias, counts[alias] > 0, encode(table)) for alias, table in tables.items()], query.table_map


def _beyond_defaults(query: Query, attributes: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in sorted(attributes.keys() - _PASSED_OVER):
        value = attributes[name]
        if value is not getattr(Query, name, None):
            yield name, _attribute(query, name, value)


def _flat(mapping: dict[str, Any]) -> list[Any]:
    return [part for item in mapping.items() for part in item]


def _plain_or_encoded(value: Any) -> Any:
    return value if type(value) in PLAIN else encode(value)


def _attribute(query: Query, name: str, value: Any) -> Any:
    if name == "select_related":
        return select_related_form(query.model, value)
    encoder = _ATTRIBUTES.get(name)
    if encoder is None:
        raise Unknown(f"the query carries {name}")
    return encoder(value)


def _plain(value: Any) -> Any:
    if type(value) not in PLAIN:
        raise Unknown(f"{value!r} stands where a query has a plain value")
    return value


def _deferred(value: Any) -> tuple[list[str], bool]:
    names, is_deferred = value
    return sorted(names), is_deferred


def _sorted_names(value: Any) -> Any:
    return None if value is None else sorted(value)


def _nothing(value: Any) -> None:
    if value:
        raise Unknown("extra() and explain() are not known by their parts")


_ATTRIBUTES: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(
        (
            "group_by",
            "order_by",
            "select",
            "selected",
            "values_select",
            "combined_queries",
            "distinct_fields",
        ),
        encode,
    ),
    **dict.fromkeys(
        (
            "_db",
            "alias_prefix",
            "combinator",
            "combinator_all",
            "contains_subquery",
            "default_cols",
            "default_ordering",
            "distinct",
            "high_mark",
            "is_summary",
            "low_mark",
            "max_depth",
            "select_for_no_key_update",
            "select_for_update",
            "select_for_update_nowait",
            "select_for_update_skip_locked",
            "standard_ordering",
            "subquery",
        ),
        _plain,
    ),
    **dict.fromkeys(("extra_select_mask", "extra_tables", "extra_order_by", "explain_info"), _nothing),
    "annotation_select_mask": _sorted_names,
    "deferred_loading": _deferred,
    "subq_aliases": _sorted_names,
}
"""Everything that a query may be asked beyond its tables and conditions."""

ENCODERS[Query] = encode_query
