"""Views whose answers are kept: for whom, until when, and which of them are not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pages
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from closing import close
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.utils import timezone, translation
from django.views.decorators.http import require_GET
from pages import made
from testapp.models import Tag

from cacheops_core.errors import ConfigurationError
from cacheops_django.signals import cache_read
from cacheops_django.views import cached_view, cached_view_as, url_of

entered, leave, asking = threading.Event(), threading.Event(), threading.Semaphore(0)
"""Not closed over, for what has no stable key cannot be."""

SITE = {
    "ROOT_URLCONF": "pages",
    "ALLOWED_HOSTS": ["*"],
    "MIDDLEWARE": [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    "SESSION_ENGINE": "django.contrib.sessions.backends.cache",
    "TEMPLATES": [{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
}


@pytest.fixture(autouse=True)
def _site(db: None) -> Iterator[None]:
    pages.forget()
    with override_settings(**SITE):
        yield


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=True)


def text(client: Client, url: str, **headers: Any) -> str:
    return client.get(url, **headers).content.decode()


# What is kept, and what drops it


def test_an_answer_is_kept_until_a_sample_changes(client: Client) -> None:
    assert [text(client, "/tags") for _ in range(2)] == ["tags 1", "tags 1"]
    Tag.objects.create(name="new")
    assert text(client, "/tags") == "tags 2 new"


def test_an_answer_is_kept_for_a_time(client: Client) -> None:
    assert [text(client, "/plain") for _ in range(2)] == ["plain 1 0", "plain 1 0"]
    assert [text(client, "/bare") for _ in range(2)] == ["bare 1", "bare 1"]


@pytest.mark.parametrize(
    "one, other",
    [
        pytest.param("/plain/1", "/plain/2", id="path"),
        pytest.param("/plain?a=1", "/plain?a=2", id="query"),
        pytest.param("/plain", "/plain?a=", id="empty value"),
        pytest.param("/plain?a=1&a=2", "/plain?a=2&a=1", id="order of one name"),
        pytest.param("/plain?a=%E9", "/plain?a=%C3%A9", id="bytes"),
    ],
)
def test_other_urls_have_answers_of_their_own(client: Client, one: str, other: str) -> None:
    for url in (one, other, one):
        client.get(url)
    assert made["plain"] == 2


def test_schemes_and_hosts_have_answers_of_their_own(client: Client) -> None:
    for options in (
        {},
        {"secure": True},
        {"headers": {"host": "other.example"}},
        {"headers": {"host": "testserver:81"}},
    ):
        text(client, "/plain", **options)
        text(client, "/plain", **options)
    assert made["plain"] == 4
    text(client, "/plain", headers={"host": "TESTSERVER:80"})
    assert made["plain"] == 4


def test_the_order_of_a_query_does_not_matter(client: Client) -> None:
    assert text(client, "/plain?b=2&a=1") == text(client, "/plain?a=1&b=2")


def test_the_language_and_the_time_zone_tell_answers_apart(client: Client) -> None:
    with translation.override("de"):
        assert text(client, "/language") == "language 1 de"
    with translation.override("fr"):
        assert text(client, "/language") == "language 2 fr"
        with timezone.override("Asia/Tokyo"):
            assert text(client, "/language") == "language 3 fr"
    with translation.override("de"):
        assert text(client, "/language") == "language 1 de"


def test_arguments_and_extra_tell_answers_apart() -> None:
    request = RequestFactory().get("/")
    one, other = (cached_view(timeout=60, extra=extra)(numbered) for extra in (1, 2))
    for view in (one, other):
        view(request, 1)
        view(request, number=1)
        view(request, 2)
    assert made["numbered"] == 4


def test_a_function_as_extra_is_given_the_request_and_the_arguments() -> None:
    def tenant(request: Any, number: int) -> str:
        return f"{request.tenant} {number}"

    view = cached_view(timeout=60, extra=tenant)(numbered)

    def ask(name: str) -> str:
        request: Any = RequestFactory().get("/")
        request.tenant = name
        return view(request, 1).content.decode()

    assert [ask("one"), ask("other"), ask("one")] == ["numbered 1 1", "numbered 2 1", "numbered 1 1"]
    with pytest.raises(
        ConfigurationError, match=r"tenant.* does not take a URL .*give invalidate\(\) a request"
    ):
        view.invalidate("http://testserver/", 1)


def test_an_extra_that_looks_at_the_visitor_gives_nobody_the_page_of_another(client: Client) -> None:
    view = cached_view(timeout=60, extra=lambda request: request.user.is_staff)(named)
    request = RequestFactory().get("/")
    for name in ("one", "other"):
        request.user = User(pk=len(name), username=name)
        assert view(request).content == name.encode()


def named(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.get_username())


def test_the_timeout_may_come_first() -> None:
    view = cached_view(60)(numbered)
    request = RequestFactory().get("/")
    assert view(request, 1).content == view(request, 1).content
    assert made["numbered"] == 1


def test_extra_may_come_after_the_timeout() -> None:
    one, same, other = (cached_view(60, extra)(numbered) for extra in ("a", "a", "b"))
    request = RequestFactory().get("/")
    assert one(request, 1).content == same(request, 1).content
    other(request, 1)
    assert made["numbered"] == 2


def test_decorators_above_hand_on_what_a_cached_view_can() -> None:
    view: Any = require_GET(cached_view(60)(numbered))
    request = RequestFactory().get("/")
    view(request, 1)
    view.invalidate("http://testserver/", 1)
    view(request, 1)
    async_to_sync(view.ainvalidate)(request, 1)
    view(request, 1)
    assert made["numbered"] == 3


def numbered(request: HttpRequest, number: int) -> HttpResponse:
    return pages.page("numbered", number)


# By hand


def test_a_page_can_be_dropped_by_its_url(client: Client) -> None:
    for url in ("/plain/1?b=2&a=1", "/plain/2"):
        text(client, url)
    pages.plain.invalidate("http://testserver/plain/1?a=1&b=2", 1)
    pages.plain.invalidate("http://testserver/plain/1?a=1&b=2", number=2)  # is no page of this pattern
    text(client, "/plain/2")
    assert made["plain"] == 2
    text(client, "/plain/1?b=2&a=1")
    assert made["plain"] == 3


def test_a_page_can_be_dropped_by_a_request(client: Client) -> None:
    text(client, "/tags")
    pages.tags.invalidate(RequestFactory().get("/tags"))
    assert text(client, "/tags") == "tags 2"


def test_a_page_is_dropped_in_every_language_and_for_everybody(client: Client) -> None:
    for language in ("de", "fr"):
        text(client, "/translated", headers={"accept-language": language})
        text(client, "/translated", headers={"accept-language": language})
    before = made["translated"]
    pages.translated.invalidate("http://testserver/translated")
    for language in ("de", "fr"):
        text(client, "/translated", headers={"accept-language": language})
    assert made["translated"] == before + 2


def test_a_url_may_be_written_as_browsers_write_it(client: Client) -> None:
    text(client, "/caf%C3%A9")
    pages.plain.invalidate("http://TestServer:80/caf%C3%A9")
    text(client, "/caf%C3%A9")
    assert made["plain"] == 2
    pages.plain.invalidate("http://testserver/café")
    text(client, "/caf%C3%A9")
    assert made["plain"] == 3


def test_a_url_without_a_host_is_no_page() -> None:
    with pytest.raises(ConfigurationError, match="by its absolute URL, as http://example"):
        pages.tags.invalidate("/tags")


def test_what_is_computed_while_its_page_is_dropped_is_not_kept() -> None:
    @cached_view(timeout=60)
    def dropping(request: HttpRequest) -> HttpResponse:
        if not made["dropping"]:
            dropping.invalidate(request)
        return pages.page("dropping")

    request = RequestFactory().get("/")
    assert [dropping(request).content for _ in range(3)] == [b"dropping 1", b"dropping 2", b"dropping 2"]


# What comes out


def test_status_headers_and_content_come_out_as_they_were(client: Client) -> None:
    first, second, third = (client.get("/detailed") for _ in range(3))
    for response in (second, third):
        assert (response.status_code, response.reason_phrase) == (404, "Gone Fishing")
        assert dict(response.headers) == dict(first.headers)
        assert response.content == first.content == b"\x00\xff\xe91"
    assert second is not third


def test_a_template_is_rendered_before_it_is_kept(client: Client) -> None:
    assert [client.get("/template").content for _ in range(2)] == ["1 &lt;é&gt;\n".encode()] * 2


def test_a_redirect_is_followed_as_the_views_own(client: Client) -> None:
    for _ in range(2):
        response = client.get("/answering/moved", follow=True)
        assert response.redirect_chain == [("/bare", 301)]  # type: ignore[attr-defined]
    assert made["moved"] == 1


def test_a_json_serializer_will_do(client: Client) -> None:
    with override_settings(CACHEOPS_SERIALIZER="json"):
        assert [client.get("/detailed").content for _ in range(2)] == [b"\x00\xff\xe91"] * 2


def test_what_a_caller_does_to_an_answer_is_not_seen_by_the_next(client: Client) -> None:
    request = RequestFactory().get("/tags")
    for _ in range(2):
        response = pages.tags(request)
        response["X-Mine"] = "mine"
        response.write("mine")
    assert "X-Mine" not in pages.tags(request)
    assert pages.tags(request).content == b"tags 1"


# Requests that are not answered from the cache


def test_only_get_and_head_are_answered_from_the_cache(client: Client) -> None:
    for method in (client.post, client.put, client.delete, client.options):
        method("/plain")
        method("/plain")
    assert made["plain"] == 8
    client.get("/plain")
    assert client.head("/plain").status_code == 200
    assert made["plain"] == 9


def test_head_never_primes_get() -> None:
    @cached_view(timeout=60)
    def by_method(request: HttpRequest) -> HttpResponse:
        made["by_method"] += 1
        return HttpResponse("" if request.method == "HEAD" else "body")

    by_method(RequestFactory().head("/"))
    assert by_method(RequestFactory().get("/")).content == b"body"
    assert by_method(RequestFactory().get("/")).content == b"body"
    assert made["by_method"] == 2


def test_disabled_it_is_the_view_alone(client: Client) -> None:
    with override_settings(CACHEOPS_ENABLED=False):
        assert [text(client, "/tags") for _ in range(2)] == ["tags 1", "tags 2"]


def test_what_is_no_view_says_so() -> None:
    with pytest.raises(ConfigurationError, match="got no request first, but 1"):
        cached_view(timeout=60)(numbered)(1)  # type: ignore[arg-type,call-arg]
    with pytest.raises(ConfigurationError, match=r"cache its as_view\(\)"):
        cached_view_as(Tag)(pages.Tags)
    with pytest.raises(ConfigurationError, match="needs a queryset, a model or an instance"):
        cached_view_as()


# Answers that are not kept


@pytest.mark.parametrize(
    "kind, times",
    [
        ("found", 2), ("error", 2), ("streaming", 2), ("cookie", 2), ("header cookie", 2), ("everything", 2),
        ("missing", 1), ("json", 1), ("moved", 1),
    ],
)  # fmt: skip
def test_answers_are_kept_that_say_the_same_to_all(client: Client, kind: str, times: int) -> None:
    client.get(f"/answering/{kind}")
    client.get(f"/answering/{kind}")
    assert made[kind] == times


@pytest.mark.parametrize("kind", ["never", "private"])
def test_an_answer_that_forbids_it_is_not_kept(client: Client, kind: str) -> None:
    client.get(f"/{kind}")
    client.get(f"/{kind}")
    assert made[kind] == 2


def test_what_a_view_raises_comes_out(client: Client) -> None:
    with pytest.raises(ValueError, match="didn't return an HttpResponse"):
        client.get("/answering/nothing")


# One user's answer is never another's


def test_an_answer_that_varies_by_headers_is_kept_by_them(client: Client) -> None:
    for _ in range(3):
        for language in ("de", "fr"):
            said = text(client, "/translated", headers={"accept-language": language, "x-shop": "a"})
            assert said.endswith(f"{language} a")
    assert made["translated"] == 3  # the first was only to learn from
    assert text(client, "/translated", headers={"accept-language": "de", "x-shop": "b"}).endswith("de b")


def test_an_answer_that_varies_by_cookies_is_kept_by_them() -> None:
    for _ in range(2):
        for user in ("one", "other"):
            client = Client()
            client.cookies["user"] = user
            client.get("/by_cookie")
    assert made["by_cookie"] == 3


def test_an_answer_is_kept_by_the_cookies_that_the_view_has_looked_at() -> None:
    for analytics in ("1", "2", "3"):
        for theme in ("dark", "light"):
            client = Client()
            client.cookies.load({"theme": theme, "analytics": analytics})
            response = client.get("/themed")
            assert response.content.decode().endswith(theme)
            assert response["Vary"] == "Cookie"
    assert made["themed"] == 3


def test_an_answer_is_kept_by_what_is_in_the_session() -> None:
    # The story: the cookie is the same before and after something is put into the cart.
    client, other = Client(), Client()
    assert [text(other, "/cart").split()[-1] for _ in range(3)] == ["None"] * 3
    for what in ("apples", "pears"):
        client.get(f"/fill_cart/{what}")
        assert [text(client, "/cart").split()[-1] for _ in range(2)] == [what] * 2
    assert text(other, "/cart").split()[-1] == "None"
    assert made["cart"] == 4  # two for nobody, of which the first was to learn from, and one for each cart
    assert client.get("/cart")["Vary"] == "Cookie"


def test_an_answer_for_one_user_is_shown_to_no_other() -> None:
    one, other, nobody = (User.objects.create(username=name) for name in ("one", "other", "nobody"))
    clients = {user: Client() for user in (one, other)} | {nobody: Client()}
    for user in (one, other):
        clients[user].force_login(user)
    for _ in range(3):
        for user, client in clients.items():
            assert text(client, "/greeting").split()[-1] == user.username
    assert made["greeting"] == 4


def test_the_cookie_of_who_has_logged_out_is_good_for_nothing() -> None:
    client = Client()
    client.force_login(User.objects.create(username="one"))
    assert [text(client, "/greeting").split()[-1] for _ in range(2)] == ["one", "one"]
    stolen = client.cookies["sessionid"].value
    client.logout()
    thief = Client()
    thief.cookies["sessionid"] = stolen
    assert text(thief, "/greeting").split()[-1] == "nobody"


def test_a_page_with_a_token_against_forged_requests_is_not_kept() -> None:
    one, other = Client(), Client()
    tokens = {text(client, "/form") for client in (one, other, one, other)}
    assert len(tokens) == made["form"] == 4
    assert one.get("/form").cookies["csrftoken"].value


def test_a_message_is_shown_once_and_to_whom_it_is_for() -> None:
    one, other = Client(), Client()
    assert [text(other, "/messages") for _ in range(3)][-1] == "messages 2"
    one.get("/leave_message")
    assert text(other, "/messages") == "messages 2"
    assert text(one, "/messages").endswith("saved")
    assert text(one, "/messages").split()[2:] == []


def test_a_message_in_the_session_is_shown_once_and_to_whom_it_is_for() -> None:
    with override_settings(MESSAGE_STORAGE="django.contrib.messages.storage.session.SessionStorage"):
        test_a_message_is_shown_once_and_to_whom_it_is_for()


def test_a_page_that_leaves_a_message_is_not_kept(client: Client) -> None:
    client.get("/leaves_message")
    client.get("/leaves_message")
    assert made["leaves_message"] == 2


@pytest.mark.parametrize("header", ["HTTP_AUTHORIZATION", "REMOTE_USER"])
def test_a_request_with_credentials_neither_gets_nor_makes_an_answer_for_all(
    client: Client, header: str
) -> None:
    text(client, "/plain", **{header: "me"})
    text(client, "/plain")
    text(client, "/plain", **{header: "me"})
    assert made["plain"] == 3


def visitors(how: str) -> list[dict[str, str]]:
    """Return the headers and more by which a way of reading tells two visitors apart."""
    kinds = {
        "other header": "HTTP_X_WHO",
        "other key": "HTTP_X_WHO",
        "authorization": "HTTP_AUTHORIZATION",
        "address": "REMOTE_ADDR",
        "certificate": "SSL_CLIENT_S_DN",
        "accepted": "HTTP_ACCEPT",
        "port": "HTTP_X_FORWARDED_PORT",
    }
    return [{kinds.get(how, "HTTP_COOKIE"): f"who={who}"} for who in ("one", "other")]


HOW = [how for how in pages.READINGS if how != "scope"]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("view", ["reading", "areading", "Reading"])
def test_one_visitors_page_is_never_anothers_however_the_view_finds_out_who_asks(view: str, how: str) -> None:
    for visitor in visitors(how) * 3:
        [said] = visitor.values()
        assert said.removeprefix("who=") in text(Client(), f"/{view}/{how}", **visitor)


@pytest.mark.parametrize("view", ["reading", "areading"])
@pytest.mark.parametrize("how", ["META", "headers", "items", "scope", "other header"])
def test_one_visitors_page_is_never_anothers_on_an_event_loop(view: str, how: str) -> None:
    async def main() -> None:
        for who in ("one", "other") * 3:
            name = "x-who" if how == "other header" else "cookie"
            response = await AsyncClient().get(f"/{view}/{how}", headers={name: f"who={who}"})
            assert f"who={who}" in response.content.decode()
        await sync_to_async(close)()

    asyncio.run(main())


@pytest.mark.parametrize(
    "how", ["META", "headers", "other header", "authorization", "address", "certificate", "accepted"]
)
def test_what_a_view_has_looked_at_tells_its_answers_apart(how: str) -> None:
    for visitor in visitors(how) * 3:
        text(Client(), f"/reading/{how}", **visitor)
    # That of the first is only to learn from; where it has brought credentials, so is that of the second.
    assert made[how] == 3


@pytest.mark.parametrize("how", ["items", "dict", "headers as text", "environ"])
def test_the_page_of_a_view_that_looks_at_all_headers_is_kept_for_nobody_else(how: str) -> None:
    for visitor in visitors(how) * 2:
        text(Client(), f"/reading/{how}", **visitor)
    assert made[how] == (3 if how == "environ" else 4)


@pytest.mark.parametrize(
    "how, says",
    [("META", "Cookie"), ("other key", "X-Who"), ("authorization", "Authorization"), ("address", None)],
)
def test_a_page_says_what_its_view_has_looked_at(client: Client, how: str, says: str | None) -> None:
    [visitor, _] = visitors(how)
    said = [client.get(f"/reading/{how}", **visitor).get("Vary") for _ in range(3)]  # type: ignore[arg-type]
    assert said == [says] * 3


def test_looking_at_the_url_is_looking_at_nothing_else() -> None:
    for agent in ("a", "b"):
        response = Client().get("/addressed", headers={"user-agent": agent, "host": "site.example"})
        assert response.content == b"addressed 1 http://site.example/ False False"
        assert not response.has_header("Vary")


@override_settings(USE_X_FORWARDED_HOST=True, SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"))
def test_the_url_may_be_what_a_proxy_says(client: Client) -> None:
    for host in ("one.example", "other.example") * 2:
        said = text(client, "/addressed", headers={"x-forwarded-host": host, "x-forwarded-proto": "https"})
        assert said.endswith(f"https://{host}/ True False")
    assert made["addressed"] == 2


def test_a_view_that_answers_conditions_goes_on_doing_so(client: Client) -> None:
    for _ in range(3):
        response = client.get("/tagged")
        assert (response.status_code, response.has_header("Vary")) == (200, False)
        assert client.get("/tagged", headers={"if-none-match": '"one"'}).status_code == 304
    assert made["tagged"] == 2  # the first was to learn from


def test_what_a_view_looks_at_its_caller_has_looked_at_too() -> None:
    for visitor in visitors("other key") * 3:
        assert visitor["HTTP_X_WHO"] in text(Client(), "/outer", **visitor)
    assert made["outer"] == 3


def test_a_request_is_a_plain_one_before_and_after() -> None:
    request = RequestFactory().get("/", headers={"x-who": "me", "accept": "text/html"})
    headers, accepted = request.headers, request.accepted_types
    environ: Any = request.environ  # type: ignore[attr-defined]
    pages.writing(request)
    assert request.META is environ is request.environ  # type: ignore[attr-defined]
    assert {type(environ), type(request.COOKIES)} == {dict}
    assert request.headers is headers
    assert request.accepted_types is accepted
    assert environ["HTTP_X_WRITTEN"] == environ["X_UPDATED"] == "yes"
    assert "HTTP_X_WHO" not in environ


def test_a_request_with_a_body_neither_gets_nor_makes_an_answer_for_all(client: Client) -> None:
    # Whoever reads the body is not seen to; GET may have one.
    sent = client.generic("GET", "/searching?q=a", b"poison", content_type="text/plain")
    assert sent.content == b"searching 1 a b'poison'"
    assert text(client, "/searching?q=a") == "searching 2 a "


def test_the_encoding_in_which_a_query_is_read_tells_answers_apart(client: Client) -> None:
    poison = text(client, "/searching?q=%C3%A9", CONTENT_TYPE="text/plain; charset=latin-1")
    assert poison == "searching 1 Ã© "
    assert text(client, "/searching?q=%C3%A9") == "searching 2 é "


def test_whom_the_server_lets_in_without_a_header_is_told_from_others(client: Client) -> None:
    text(client, "/api")
    assert [text(client, "/api", REMOTE_USER=user) for user in ("one", "other") * 2] == [
        *("api 2 None", "api 3 None"),
        *("api 2 None", "api 3 None"),
    ]


def test_credentials_that_an_answer_varies_by_tell_answers_apart(client: Client) -> None:
    for _ in range(3):
        for user in ("one", "other"):
            assert text(client, "/api", headers={"authorization": user}).endswith(user)
    assert made["api"] == 3


def test_what_a_page_varies_by_is_learned_for_all_processes(client: Client) -> None:
    for language in ("de", "fr"):
        text(client, "/translated", headers={"accept-language": language})
        text(client, "/translated", headers={"accept-language": language})
    before = made["translated"]
    pages.forget()
    assert text(client, "/translated", headers={"accept-language": "de"}).endswith("de None")
    assert (before, made["translated"]) == (3, 0)


# Classes


def test_a_class_based_view_is_cached_by_its_arguments(client: Client) -> None:
    for name in "abc":
        Tag.objects.create(name=name)
    for _ in range(2):
        assert text(client, "/Tags") == "Tags 1 a b c"
        assert text(client, "/Tags/two") == "Tags 2 a b"
    Tag.objects.create(name="d")
    assert text(client, "/Tags") == "Tags 3 a b c d"


def test_a_method_is_cached_by_its_object(client: Client) -> None:
    for _ in range(2):
        assert text(client, "/Methods") == "Methods 1 hello 0"
        assert text(client, "/Methods/bye") == "Methods 2 bye 0"
        assert text(client, "/Methods/5") == "Methods 3 hello 5"
    assert client.post("/Methods").content == b"posted"
    pages.Methods.get.invalidate("http://testserver/Methods/5", number=5)
    assert text(client, "/Methods/5") == "Methods 4 hello 5"
    assert text(client, "/Methods") == "Methods 1 hello 0"


def test_a_method_can_be_decorated_from_outside(client: Client) -> None:
    for _ in range(2):
        assert text(client, "/Dispatched") == "Dispatched 1 hello"
        assert text(client, "/Dispatched/bye") == "Dispatched 2 bye"


# Coroutines


def test_an_async_view_is_kept_and_dropped(client: Client) -> None:
    assert [text(client, "/atags") for _ in range(2)] == ["atags 1", "atags 1"]
    Tag.objects.create(name="new")
    assert text(client, "/atags") == "atags 2 new"
    asyncio.run(pages.atags.ainvalidate("http://testserver/atags"))
    assert text(client, "/atags") == "atags 3 new"


def test_an_async_method_renders_its_template(client: Client) -> None:
    assert [text(client, "/AsyncView") for _ in range(2)] == ["AsyncView 1"] * 2


@pytest.mark.django_db(transaction=True)
def test_on_an_event_loop_views_are_kept_for_whom_they_are() -> None:
    async def main() -> None:
        one, other = AsyncClient(), AsyncClient()
        await one.get("/fill_cart/apples")
        for _ in range(3):
            assert (await one.get("/acart")).content.decode().endswith("apples")
            assert (await other.get("/acart")).content.decode().endswith("None")
            assert (await other.get("/tags")).content == b"tags 1"
        await sync_to_async(close)()

    asyncio.run(main())
    assert made["acart"] == 3


# The rest


def test_each_look_is_told_with_the_view(client: Client) -> None:
    seen: list[Any] = []

    def note(sender: Any, func: Any, hit: bool, **kwargs: Any) -> None:
        seen.append((sender, func.__name__, hit))

    cache_read.connect(note)
    text(client, "/tags")
    text(client, "/tags")
    cache_read.disconnect(note)
    assert seen == [(None, "tags", False), (None, "tags", True)]


def test_with_a_lock_one_makes_the_page_while_the_others_wait() -> None:
    @cached_view(timeout=60, lock=True)
    def slow(request: HttpRequest) -> HttpResponse:
        entered.set()
        leave.wait(10)
        return pages.page("slow")

    def ask() -> None:
        asking.release()
        slow(RequestFactory().get("/"))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in threads:
        asking.acquire()
    assert entered.wait(10)
    leave.set()
    for thread in threads:
        thread.join()
    assert slow(RequestFactory().get("/")).content == b"slow 1"


def test_urls_and_requests_are_one_page() -> None:
    request = RequestFactory().get("/caf%C3%A9?b=%2F&a=+1&a=2")
    assert url_of(request) == url_of("http://testserver/caf%C3%A9?a=%201&b=/&a=2")
