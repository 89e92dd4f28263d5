"""The settings of Django's tests: its own for SQLite, with the databases and the cache of this run."""

import json
import os

# What tests take for granted, whichever version of Django they are of: from their folder.
from test_sqlite import *  # noqa: F403

TEST_RUNNER = "django_tests.runner.Runner"

DATABASES = json.loads(os.environ["DJANGO_TESTS_DATABASES"])

CACHEOPS_REDIS = os.environ["DJANGO_TESTS_SERVER"]
CACHEOPS = {"*.*": {"ops": "all", "timeout": 3600, "invalidate_on_update": "rows"}}
