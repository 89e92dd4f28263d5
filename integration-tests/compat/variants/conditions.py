"""Which conditions make invalidation granular."""

from settings import *

CACHEOPS_SKIP_FIELDS = ["FileField", "BinaryField", "JSONField"]
CACHEOPS_LONG_DISJUNCTION = 2
