"""The server that sentinels name."""

import os

from settings import *

del CACHEOPS_REDIS  # noqa: F821
CACHEOPS_SENTINEL = {
    "locations": [(os.environ["COMPAT_HOST"], int(os.environ["COMPAT_SENTINEL"]))],
    "service_name": "mymaster",
    "socket_timeout": 1,
    "db": 0,
    "password": os.environ["COMPAT_PASSWORD"],
}
