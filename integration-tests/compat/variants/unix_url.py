"""The server as the URL of a socket."""

import os

from settings import *

CACHEOPS_REDIS = f"unix://:{os.environ['COMPAT_PASSWORD']}@{os.environ['COMPAT_SOCKET']}?db=1"
