"""Django settings that come from the environment, so that every process of a test has the same.

``PROJECT_DATABASE`` is the database as JSON, ``PROJECT_REDIS`` the URL of the cache's server, ``PROJECT_PREFIX``
what its keys begin with, ``PROJECT_SETTINGS`` any settings, as JSON, that take the place of those below.
"""

import json
import os

from databases import use_pymysql

DATABASES = {"default": json.loads(os.environ["PROJECT_DATABASE"])}
if DATABASES["default"]["ENGINE"] == "django.db.backends.mysql":
    use_pymysql()

INSTALLED_APPS = ["cacheops", "project.shop"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "integration"
USE_TZ = True

CACHEOPS_REDIS = os.environ["PROJECT_REDIS"]
CACHEOPS_PREFIX = os.environ.get("PROJECT_PREFIX", "")
CACHEOPS_DEFAULTS = {"timeout": 600}
CACHEOPS = {"shop.*": {"ops": "all"}}
# Where tests count round trips, no others may come in between.
CACHEOPS_COUNTERS_EVERY = None

globals().update(json.loads(os.environ.get("PROJECT_SETTINGS", "{}")))
