"""Going on without the cache if its server fails."""

from settings import *

CACHEOPS_DEGRADE_ON_FAILURE = True
