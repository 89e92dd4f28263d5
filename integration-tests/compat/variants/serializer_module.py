"""A module with the functions of a serializer."""

from settings import *

CACHEOPS_SERIALIZER = "serializing"
