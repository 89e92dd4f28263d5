"""One program of this folder: settings from its first argument, as JSON, then the module that it runs."""

import json
import sys

import django
from django.conf import settings

COMMON = {
    "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
    "SECRET_KEY": "ecosystem",
    "USE_TZ": True,
    "CACHEOPS": {"*.*": {"ops": "all", "timeout": 60}},
}

if __name__ == "__main__":
    settings.configure(**COMMON, **json.loads(sys.argv[1]))
    django.setup()
    __import__(sys.argv[2])
