"""A class with the functions of a serializer, for a protocol that all of the site's Pythons know."""

import pickle

from settings import *


class CACHEOPS_SERIALIZER:
    dumps = lambda data: pickle.dumps(data, 3)
    loads = pickle.loads
