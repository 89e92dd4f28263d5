"""Fragments of templates that are cached."""

from articles.models import Article, Flag, MenuItem
from articles.tests.site import SiteTestCase
from django.template import engines
from django.template.loader import render_to_string
from django.utils import translation

from cacheops import CacheopsLibrary, invalidate_fragment


class TagTests(SiteTestCase):
    def page(self, count, language="en"):
        articles = Article.objects.order_by("pk")
        found = {"articles": articles, "count": count, "language": language}
        return render_to_string("articles/fragments.html", found).split()

    def test_a_fragment_of_a_queryset(self):
        before = self.page(1)
        self.assertEqual(before, ["<p>Goal</p><p>Paint</p>", "<b>1</b>"])
        with self.assertNumQueries(0):
            self.assertEqual(self.page(1), before)
        Article.objects.create(title="More", category=self.arts)
        self.assertEqual(self.page(1)[0], "<p>Goal</p><p>Paint</p><p>More</p>")

    def test_a_fragment_for_a_time(self):
        self.assertEqual([self.page(1)[1], self.page(2)[1]], ["<b>1</b>", "<b>1</b>"])
        self.assertEqual(self.page(2, "it")[1], "<b>2</b>")

    def test_a_fragment_is_forgotten_by_name(self):
        self.page(1)
        self.page(1, "it")
        invalidate_fragment("counter", "en")
        self.assertEqual([self.page(2)[1], self.page(2, "it")[1]], ["<b>2</b>", "<b>1</b>"])

    def test_the_models_timeout(self):
        for timeout in ("0", "None"):
            template = engines["django"].from_string(
                f'{{% load cacheops %}}{{% cached_as articles {timeout} "t{timeout}" %}}x{{% endcached_as %}}'
            )
            self.assertEqual(template.render({"articles": Article.objects.all()}), "x")


class TagOfTheSiteTests(SiteTestCase):
    def page(self, **context):
        return render_to_string(
            "articles/menu.html", {"items": MenuItem.objects.nocache(), **context}
        ).strip()

    def test_a_fragment_is_cached_as_a_function(self):
        MenuItem.objects.create(title="Home")
        self.assertEqual(self.page(), "<a>Home</a><i>1</i>")
        with self.assertNumQueries(0):
            self.page()
        MenuItem.objects.create(title="News")
        self.assertEqual(self.page(), "<a>Home</a><a>News</a><i>2</i>")

    def test_any_of_its_samples_drops_it(self):
        flag = Flag.objects.create(name="menu")
        MenuItem.objects.create(title="Home")
        self.page()
        MenuItem.objects.update(title="Start")
        self.assertEqual(self.page(), "<a>Home</a><i>1</i>")
        flag.delete()
        self.assertEqual(self.page(), "<a>Start</a><i>1</i>")

    def test_it_can_choose_not_to_cache(self):
        MenuItem.objects.create(title="Home")
        self.page(is_staff=True)
        MenuItem.objects.update(title="Start")
        self.assertEqual(self.page(is_staff=True), "<a>Start</a><i>1</i>")

    def test_it_can_tell_languages_apart(self):
        MenuItem.objects.create(title="Home")
        self.page()
        MenuItem.objects.update(title="Start")
        with translation.override("it"):
            self.assertEqual(self.page(), "<a>Start</a><i>1</i>")

    def test_a_library_is_an_ordinary_one_as_well(self):
        register = CacheopsLibrary()

        @register.filter
        def shout(text):
            return text.upper()

        self.assertEqual(register.filters["shout"]("a"), "A")


class JinjaTests(SiteTestCase):
    def page(self, count, language="en"):
        found = {"articles": Article.objects.order_by("pk"), "count": count, "language": language}
        return render_to_string("articles/fragments.jinja", found).split()

    def test_a_fragment_of_a_queryset(self):
        before = self.page(1)
        self.assertEqual(before, ["<p>Goal</p><p>Paint</p>", "<b>1</b>"])
        with self.assertNumQueries(0):
            self.assertEqual(self.page(1), before)
        Article.objects.create(title="More", category=self.arts)
        self.assertEqual(self.page(1)[0], "<p>Goal</p><p>Paint</p><p>More</p>")

    def test_a_fragment_for_a_time(self):
        self.assertEqual([self.page(1)[1], self.page(2)[1]], ["<b>1</b>", "<b>1</b>"])
        self.assertEqual(self.page(2, "it")[1], "<b>2</b>")
