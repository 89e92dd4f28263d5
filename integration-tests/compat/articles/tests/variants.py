"""What every variant of the settings must do."""

from articles.blocks import article_stats
from articles.models import Article, Category
from articles.tests.site import SiteTestCase
from django.core.management import call_command

from cacheops import CacheMiss, cache, invalidate_all


class VariantTests(SiteTestCase):
    def test_the_settings_pass_the_checks(self):
        call_command("check")

    def test_querysets(self):
        ask = lambda: list(Article.objects.filter(category=self.sport).cache())
        self.assertCached(ask)
        Article.objects.create(title="Other", category=self.arts)
        with self.assertNumQueries(0):
            ask()
        Article.objects.create(title="More", category=self.sport)
        self.assertEqual(len(ask()), 2)

    def test_joins(self):
        ask = lambda: list(Article.objects.filter(category__title="Sport").cache())
        self.assertEqual(len(ask()), 1)
        Category.objects.create(title="Sport")
        Article.objects.create(title="More", category=self.sport)
        self.assertEqual(len(ask()), 2)

    def test_functions(self):
        self.assertEqual(len(article_stats()["categories"]), 2)
        self.article.delete()
        self.assertEqual(len(article_stats()["categories"]), 1)

    def test_values(self):
        cache.set("key", [1])
        self.assertEqual(cache.get("key"), [1])
        invalidate_all()
        cache.delete("key")
        with self.assertRaises(CacheMiss):
            cache.get("key")
