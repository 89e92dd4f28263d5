"""A client of the site's own."""

from settings import *

CACHEOPS_CLIENT_CLASS = "clients.CountingRedis"
