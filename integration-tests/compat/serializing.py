"""How the site's results become bytes."""

import pickle


def dumps(data):
    return b"v1:" + pickle.dumps(data)


def loads(payload):
    return pickle.loads(payload.removeprefix(b"v1:"))
