"""The mode that the documentation recommends for servers with limited memory."""

from settings import *

CACHEOPS_INSIDEOUT = True
