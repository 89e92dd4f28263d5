"""A prefix that is computed."""

from settings import *

CACHEOPS_PREFIX = lambda query: "news:"
