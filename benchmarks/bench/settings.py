"""The site's settings: the same for all contenders but for the cache that is installed."""

import json
import os

CONTENDER = os.environ["BENCH_CONTENDER"]
REDIS = os.environ["BENCH_REDIS"]

SECRET_KEY = "of no use to anybody"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": json.loads(os.environ["BENCH_DATABASE"])}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "bench.shop"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

if CONTENDER == "cachalot":
    INSTALLED_APPS.append("cachalot")
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS}}
    CACHALOT_TIMEOUT = 3600
elif CONTENDER != "none":
    INSTALLED_APPS.append("cacheops")
    CACHEOPS_REDIS = REDIS
    PROFILE = {"ops": "all", "timeout": 3600}
    CACHEOPS = {"*.*": PROFILE | {"near": True} if CONTENDER == "near" else PROFILE}
