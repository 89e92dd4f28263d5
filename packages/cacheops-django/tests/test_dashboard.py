"""The dashboard: who may see it, who may drop what, and what it shows when there is nothing to show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from answers import is_cached, keep
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.test import Client, override_settings
from testapp.models import Post, Tag

from cacheops_core.testing import Server, start_server
from cacheops_django import counters, shared_counters

pytestmark = pytest.mark.django_db

SITE = {
    "ROOT_URLCONF": "admin_pages",
    "ALLOWED_HOSTS": ["testserver"],
    "INSTALLED_APPS": [
        *["django.contrib.contenttypes", "django.contrib.auth", "cacheops_django", "testapp"],
        *[
            "django.contrib.admin",
            "django.contrib.messages",
            "django.contrib.sessions",
            "django.contrib.staticfiles",
        ],
    ],
    "MIDDLEWARE": [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    "SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies",
    "STATIC_URL": "static/",
    "TEMPLATES": [
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
    ],
    "CACHEOPS_COUNTERS_EVERY": 5,
}

PAGE, DROP = "/admin/cacheops/", "/admin/cacheops/invalidate/"


@pytest.fixture(scope="module", autouse=True)
def _site(cache_server: Server) -> Iterator[None]:
    with override_settings(**SITE):
        yield


@pytest.fixture(autouse=True)
def _nothing_counted(db: None) -> Iterator[None]:
    counters.reset()
    shared_counters.begin_anew()
    yield
    counters.reset()
    shared_counters.begin_anew()


def client_of(kind: str, *permissions: str, **options: Any) -> Client:
    """Return the browser of a user: "anonymous", "plain", "staff" with these permissions, or "superuser"."""
    client = Client(**options)
    if kind != "anonymous":
        user = User.objects.create(username=kind, is_staff=kind != "plain", is_superuser=kind == "superuser")
        content_type = ContentType.objects.get_for_model(Tag)
        for codename in permissions:
            permission, _ = Permission.objects.get_or_create(codename=codename, content_type=content_type)
            user.user_permissions.add(permission)
        client.force_login(user)
    return client


def page(kind: str = "superuser", url: str = PAGE, *permissions: str) -> str:
    answer = client_of(kind, *permissions).get(url)
    assert answer.status_code == 200
    return answer.content.decode()


def asked() -> None:
    for _ in range(3):
        list(Tag.objects.all())
    Tag.objects.order_by("?").first()
    Tag.objects.create(name="a")


# Who may see it


@pytest.mark.parametrize("kind", ["anonymous", "plain"])
@pytest.mark.parametrize("method, url", [("get", PAGE), ("post", DROP)], ids=["page", "button"])
def test_only_staff_come_in(kind: str, method: str, url: str):
    answer = getattr(client_of(kind), method)(url, {"model": "testapp.Tag"})
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/admin/login/?next=")


def test_staff_see_what_was_counted():
    asked()
    text = page("staff")
    assert "testapp.Tag" in text
    assert "SELECT testapp_tag.id, testapp_tag.name FROM testapp_tag" in text
    assert "67%" in text
    assert "Its value changes without a write" in text


def test_what_may_quote_settings_is_for_superusers():
    with override_settings(CACHEOPS_LRU="a secret"):
        assert "CACHEOPS_LRU does nothing" in page("superuser")
        assert "CACHEOPS_LRU" not in page("staff")


def test_the_page_is_not_kept_by_anybody():
    assert "no-store" in client_of("staff").get(PAGE).headers["Cache-Control"]


def test_another_admin_site_has_its_own():
    text = page("superuser", "/other/cacheops/")
    assert "The other administration" in text
    assert 'action="/other/logout/"' in text


@pytest.mark.parametrize("span", ["hour", "day", "week"])
def test_spans_of_time_can_be_chosen(span: str):
    asked()
    text = page("staff", f"{PAGE}?span={span}")
    assert f'href="?span={span}" aria-current="page"' in text
    assert "testapp.Tag" in text


def test_an_unknown_span_is_the_last_hour():
    assert 'href="?span=hour" aria-current="page"' in page("staff", f"{PAGE}?span=<script>")


def test_the_page_cannot_be_posted_to():
    assert client_of("superuser").post(PAGE).status_code == 405


# Who may drop what


def drop(client: Client, model: str = "testapp.Tag", **data: str) -> Any:
    return client.post(DROP, {"model": model, **data})


def test_whoever_may_change_a_model_may_drop_what_depends_on_it():
    keep(Tag.objects.count)
    keep(Post.objects.count)
    answer = drop(client_of("staff", "change_tag"))
    assert (answer.status_code, answer.headers["Location"]) == (302, PAGE)
    assert not is_cached(Tag.objects.count)
    assert is_cached(Post.objects.count)


def test_it_is_told_that_it_was_done():
    client = client_of("staff", "change_tag")
    assert "What depends on testapp.Tag has been dropped." in drop_and_follow(client)


def drop_and_follow(client: Client) -> str:
    answer = client.post(DROP, {"model": "testapp.Tag"}, follow=True)
    content: bytes = answer.content
    return content.decode()


@pytest.mark.parametrize("model", ["testapp.Tag", "testapp.Post", "*"])
def test_others_may_not(model: str):
    keep(Tag.objects.count)
    assert drop(client_of("staff", "view_tag"), model).status_code == 403
    assert is_cached(Tag.objects.count)


def test_superusers_may_drop_everything():
    keep(Tag.objects.count)
    assert drop(client_of("superuser"), "*").status_code == 302
    assert not is_cached(Tag.objects.count)


def test_nobody_is_shown_a_button_that_would_refuse_them():
    asked()
    assert 'value="testapp.Tag"' in page("superuser")
    plain = page("staff")
    assert 'value="testapp.Tag"' not in plain
    assert 'value="*"' not in plain


def test_a_forged_request_is_refused():
    keep(Tag.objects.count)
    assert drop(client_of("superuser", enforce_csrf_checks=True)).status_code == 403
    assert is_cached(Tag.objects.count)


def test_to_drop_takes_a_post():
    assert client_of("superuser").get(DROP, {"model": "testapp.Tag"}).status_code == 405


@pytest.mark.parametrize("model", ["", "testapp.Nothing", "testapp", "<script>"])
def test_what_is_no_model_is_not_found(model: str):
    assert drop(client_of("superuser"), model).status_code == 404


def test_a_model_that_is_never_cached_has_nothing_to_drop():
    with override_settings(CACHEOPS={"testapp.tag": None}):
        assert drop(client_of("superuser")).status_code == 404


@pytest.mark.parametrize("span, location", [("day", f"{PAGE}?span=day"), ("//evil.example", PAGE)])
def test_it_leads_back_to_where_one_was_and_nowhere_else(span: str, location: str):
    assert drop(client_of("superuser"), span=span).headers["Location"] == location


def test_without_messages_it_works_as_well():
    apps = [app for app in SITE["INSTALLED_APPS"] if app != "django.contrib.messages"]
    with override_settings(INSTALLED_APPS=apps):
        assert drop(client_of("superuser")).status_code == 302


# What is shown


def test_what_was_counted_is_no_markup():
    name = "<script>alert(1)</script>"
    counters.tally_of("testapp.Tag", "cached", name).missed(1, is_stored=True)
    text = page()
    assert name not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_a_strict_policy_for_content_has_nothing_to_object_to():
    asked()
    text = page().partition('id="content-start"')[2]
    assert "cacheops-live" in text
    assert not re.search(r"<script(?![^>]* src=)|\sstyle=|\son\w+=|<style", text)


def test_nothing_comes_from_elsewhere():
    asked()
    assert not re.search(r'(src|href)="(https?:)?//', page())


def test_a_nonce_is_given_to_what_is_loaded():
    templates = [dict(SITE["TEMPLATES"][0], OPTIONS={"context_processors": [
        *SITE["TEMPLATES"][0]["OPTIONS"]["context_processors"], f"{__name__}.nonce",
    ]})]  # fmt: skip
    with override_settings(TEMPLATES=templates):
        text = page()
    assert re.search(r'dashboard\.css" nonce="abc"', text)
    assert re.search(r'dashboard\.js" defer nonce="abc"', text)


def nonce(request: Any) -> dict[str, str]:
    return {"csp_nonce": "abc"}


@override_settings(LANGUAGE_CODE="de", USE_THOUSAND_SEPARATOR=True, USE_I18N=True)
def test_charts_are_drawn_in_every_language():
    asked()
    drawn = re.findall(r'(?:\sx|\sy|width|height|viewBox|\sd)="([^"]*)"', page())
    assert len(drawn) > 100
    assert not [value for value in drawn if re.search(r"\d,\d", value)]


def test_before_anything_was_counted_it_says_what_to_do():
    assert "Open a page of the site whose queries are cached" in page()


def test_where_nothing_can_be_cached_it_says_so():
    with override_settings(CACHEOPS={}):
        text = page()
    assert "without a profile nothing is cached" in text
    assert "There is no profile, so nothing is cached." in text


def test_where_counts_are_not_shared_it_says_so():
    with override_settings(CACHEOPS_COUNTERS_EVERY=None):
        assert "Processes keep their counts to themselves" in page()


def test_without_a_server_there_is_a_page_that_says_so():
    client = client_of("superuser")
    nobody = {"CACHEOPS_REDIS": "redis://127.0.0.1:1/0", "CACHEOPS_CLUSTER": None}
    with override_settings(**nobody, CACHEOPS_DEGRADE_ON_FAILURE=True):
        text = client.get(PAGE).content.decode()
    assert "The server of the cache does not answer" in text
    assert "Start it, or correct the setting" in text


def test_the_memory_of_the_server_is_shown():
    asked()
    assert re.search(r"[\d.]+ MB and no limit", page())


def test_a_user_who_may_not_ask_for_it_leaves_it_out():
    client = client_of("superuser")
    with start_server() as server:
        with server.client() as admin:
            admin.acl_setuser("blind", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-info"])
        url = f"redis://blind:x@127.0.0.1:{server.port}/0"
        with override_settings(CACHEOPS_REDIS=url, CACHEOPS_CLUSTER=None):
            asked()
            shared_counters.publish()
            text = client.get(PAGE).content.decode()
    assert "Memory of the server" not in text
    assert "Allow the user that the site logs in as the command INFO." in text
