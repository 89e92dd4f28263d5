"""The settings of the demo; what belongs to the cache stands at the top."""

import os
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("CACHEOPS_DEMO_DATA") or HERE / "var").resolve()
DATA.mkdir(parents=True, exist_ok=True)

# A server of our own, started by the first process and shared by all that work on this database. It goes by a
# name that follows from the database's folder, which itself may be too deep for the path of a socket.
CACHEOPS_REDIS = f"embedded://demo-{zlib.crc32(bytes(DATA)):08x}"
CACHEOPS = {"airports.*": {"ops": "all", "timeout": 60 * 60}}

# For the dashboard to follow at once; five seconds are the default.
CACHEOPS_COUNTERS_EVERY = 1

INSTALLED_APPS = [
    "cacheops",
    "airports",
    "debug_toolbar",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]

DEBUG_TOOLBAR_PANELS = [
    "cacheops.toolbar.CacheopsPanel",
    "debug_toolbar.panels.sql.SQLPanel",
    "debug_toolbar.panels.timer.TimerPanel",
]
DEBUG_TOOLBAR_CONFIG = {"SHOW_TOOLBAR_CALLBACK": "airports.middleware.has_toolbar", "SHOW_COLLAPSED": True}

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "airports.sqlite3",
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL",
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
SECRET_KEY = "the demo is served to its own machine only and keeps no secrets"
MIDDLEWARE = [
    "debug_toolbar.middleware.DebugToolbarMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "airports.middleware.watch_request",
]
ROOT_URLCONF = "urls"
STATIC_URL = "static/"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
TIME_ZONE = "UTC"
USE_THOUSAND_SEPARATOR = True
