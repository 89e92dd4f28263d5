"""Settings of the site. Each of `variants` changes some of them to another of the documented forms."""

import os

ROOT_URLCONF = "urls"
SECRET_KEY = "news"
USE_TZ = True
ALLOWED_HOSTS = ["*"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "cacheops", "articles"]
# Whoever has no migrations is set up first, and articles refer to users.
MIGRATION_MODULES = {"contenttypes": None, "auth": None}
DATABASES = {
    name: {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"} for name in ("default", "replica")
}
TEMPLATES = [
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True},
    {
        "BACKEND": "django.template.backends.jinja2.Jinja2",
        "APP_DIRS": True,
        "OPTIONS": {"extensions": ["cacheops.jinja2.cache"]},
    },
]

CACHEOPS_REDIS = {
    "host": os.environ["COMPAT_HOST"],
    "port": int(os.environ["COMPAT_PORT"]),
    "db": 1,
    "socket_timeout": 3,
    "password": os.environ["COMPAT_PASSWORD"],
}

CACHEOPS = {
    "auth.user": {"ops": "get", "timeout": 60 * 15},
    "auth.*": {"ops": {"fetch", "get"}, "timeout": 60 * 60},
    "auth.permission": {"ops": "all", "timeout": 60 * 60},
    "articles.country": {"ops": "get", "timeout": 60 * 60, "local_get": True},
    "articles.author": {"ops": "get", "timeout": 60 * 60, "cache_on_save": True},
    "articles.flag": {"ops": "get", "timeout": 60 * 60, "cache_on_save": "name"},
    "articles.menuitem": {"ops": ("get", "fetch"), "timeout": 60 * 60, "lock": True, "db_agnostic": False},
    "articles.secret": None,
    "*.*": {"timeout": 60 * 60},
}

FILE_CACHE_DIR = os.environ["COMPAT_FILES"]
FILE_CACHE_TIMEOUT = 60 * 60
