INSTALLED_APPS = ["django.contrib.contenttypes", "cacheops", "shop"]
SECRET_KEY = "not needed"
