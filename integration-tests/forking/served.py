"""A site for a server that loads it before it forks, and that uses the cache when it is loaded."""

import json
import os

import django
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import path

django.setup()

from django.db import connections  # noqa: E402

from forking.steps import connection_id, write_and_read  # noqa: E402


def answer(request: HttpRequest) -> HttpResponse:
    number = int(request.GET["number"])
    told = {"pid": os.getpid(), "connection": connection_id(), "is_right": write_and_read(number)}
    return HttpResponse(json.dumps(told))


urlpatterns = [path("", answer)]

write_and_read(0)
loaded_by = {"pid": os.getpid(), "connection": connection_id()}
connections.close_all()

application = WSGIHandler()
