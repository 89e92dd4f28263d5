"""A prefix by the tables that a query depends on, as the path of a function."""

from settings import *

CACHEOPS_PREFIX = "prefixes.by_table"
