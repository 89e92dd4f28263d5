"""The server as a URL, with a password."""

import os

from settings import *

CACHEOPS_REDIS = (
    f"redis://:{os.environ['COMPAT_PASSWORD']}@{os.environ['COMPAT_HOST']}:{os.environ['COMPAT_PORT']}/1"
)
