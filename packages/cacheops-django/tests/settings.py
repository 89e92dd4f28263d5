"""Django settings of the package's tests; CACHEOPS_TEST_DB is sqlite (as by default), postgresql or mysql."""

import os
from typing import Any


def databases(engine: str) -> dict[str, dict[str, Any]]:
    """Describe a default and a second database, so that queries can be asked from either."""
    if engine == "sqlite":
        return {
            alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
            for alias in ("default", "other")
        }
    if engine == "mysql":
        use_pymysql()
    # A name per process keeps test runs that share a server apart; a test's child process inherits it.
    name = os.environ.setdefault("CACHEOPS_TEST_DB_NAME", f"cacheops_{os.getpid()}")
    server = {
        "ENGINE": f"django.db.backends.{engine}",
        "HOST": os.environ.get("CACHEOPS_TEST_DB_HOST", "127.0.0.1"),
        "PORT": os.environ.get("CACHEOPS_TEST_DB_PORT", ""),
        "USER": os.environ.get("CACHEOPS_TEST_DB_USER", {"postgresql": "postgres", "mysql": "root"}[engine]),
        "PASSWORD": os.environ.get("CACHEOPS_TEST_DB_PASSWORD", ""),
    }
    return {"default": server | {"NAME": name}, "other": server | {"NAME": f"{name}_other"}}


def use_pymysql() -> None:
    """Stand PyMySQL in for mysqlclient, under a version number that Django accepts."""
    import pymysql

    pymysql.version_info = (2, 2, 7, "final", 0)
    pymysql.install_as_MySQLdb()


DATABASES = databases(os.environ.get("CACHEOPS_TEST_DB", "sqlite"))
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "cacheops_django", "testapp"]
# The test app has none, and its tables would be made before those of apps that do, which they refer to.
MIGRATION_MODULES = {"contenttypes": None, "auth": None}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "tests"
USE_TZ = True
TIME_ZONE = "Europe/Amsterdam"

# A stand-in: conftest.py starts a server for the run and writes its URL here.
CACHEOPS_REDIS = "redis://127.0.0.1:1/0"
CACHEOPS = {"testapp.*": {"ops": "all", "timeout": 600}, "*.*": {"timeout": 600}}
# Where tests count round trips, no others may come in between.
CACHEOPS_COUNTERS_EVERY = None
