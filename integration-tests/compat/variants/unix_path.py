"""A socket, which replaces host and port."""

import os

from settings import *

CACHEOPS_REDIS = {
    "host": "localhost",
    "port": 6379,
    "db": 1,
    "password": os.environ["COMPAT_PASSWORD"],
    "unix_socket_path": os.environ["COMPAT_SOCKET"],
}
