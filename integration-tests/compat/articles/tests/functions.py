"""Functions that are cached, and the simple cache."""

from pathlib import Path

from articles.blocks import (
    article_stats,
    articles_block,
    by_parity,
    calls,
    filed_articles,
    greeting,
    heavy_func,
    public_stats,
    top_articles,
)
from articles.models import Article, Tag
from articles.tests.site import SiteTestCase
from django.conf import settings
from django.core.management import call_command
from django.utils import translation

from cacheops import CacheMiss, cache, cached, cached_as, file_cache
from cacheops.signals import cache_read


class FunctionTests(SiteTestCase):
    def test_a_function_of_a_model(self):
        self.assertEqual(article_stats(), article_stats())
        self.assertEqual(calls, ["article_stats"])
        Tag.objects.create(name="old")
        article_stats()
        self.assertEqual(len(calls), 1)
        self.article.delete()
        self.assertEqual(len(article_stats()["categories"]), 1)

    def test_a_function_of_a_queryset_and_a_model(self):
        self.assertEqual(public_stats(), {"articles": 2, "tags": 1})
        Article.objects.create(title="Draft", category=self.sport, public=False)
        public_stats()
        self.assertEqual(len(calls), 1)
        Tag.objects.create(name="old")
        self.assertEqual(public_stats(), {"articles": 2, "tags": 2})
        Article.objects.create(title="Final", category=self.sport)
        self.assertEqual(public_stats(), {"articles": 3, "tags": 2})

    def test_a_function_in_a_function(self):
        self.assertEqual(articles_block(self.sport), [self.article])
        self.assertEqual(articles_block(self.sport), [self.article])
        self.assertEqual(articles_block(self.sport, 1), [self.article])
        self.assertEqual(len(calls), 2)
        Article.objects.create(title="More", category=self.arts)
        articles_block(self.sport)
        self.assertEqual(len(calls), 2)
        more = Article.objects.create(title="More", category=self.sport)
        self.assertEqual(articles_block(self.sport), [self.article, more])

    def test_a_function_of_an_object(self):
        pk = self.article.pk

        @cached_as(self.article)
        def title():
            return Article.objects.get(pk=pk).title

        self.assertEqual(title(), "Goal")
        Article.objects.filter(pk=self.article.pk).update(title="Own goal")
        self.assertEqual(title(), "Goal")
        self.article.refresh_from_db()
        self.article.save()
        self.assertEqual(title(), "Own goal")

    def test_more_to_tell_results_apart_by(self):
        self.assertEqual([by_parity(number) for number in (1, 2, 1, 2)], [1, 2, 1, 2])
        self.assertEqual(len(calls), 2)
        for language in ("en", "de", "en"):
            with translation.override(language):
                self.assertEqual(greeting(), f"in {language}")
        self.assertEqual(len(calls), 4)

    def test_a_lock(self):
        self.assertEqual([heavy_func(1), heavy_func(1), heavy_func(2)], [1, 1, 2])
        self.assertEqual(len(calls), 2)

    def test_options(self):
        @cached_as(Article, timeout=10, extra="titles", keep_fresh=True)
        def titles():
            return list(Article.objects.values_list("title", flat=True))

        self.assertCached(titles)

    def test_reads_are_told(self):
        told = []

        def receiver(sender, func, hit, **kwargs):
            told.append((sender, func, hit))

        cache_read.connect(receiver)
        try:
            heavy_func(3)
            heavy_func(3)
        finally:
            cache_read.disconnect(receiver)
        func = heavy_func.__wrapped__
        self.assertEqual(told, [(None, func, False), (None, func, True)])


class SimpleTests(SiteTestCase):
    def test_a_function_is_called_once_for_its_arguments(self):
        self.assertEqual(top_articles(self.sport.pk), ["Goal"])
        self.article.delete()
        self.assertEqual(top_articles(self.sport.pk), ["Goal"])
        self.assertEqual(top_articles(category=self.arts.pk), ["Paint"])
        self.assertEqual(len(calls), 2)

    def test_a_result_is_forgotten_or_replaced(self):
        top_articles(self.sport.pk)
        self.article.delete()
        top_articles.invalidate(self.sport.pk)
        self.assertEqual(top_articles(self.sport.pk), [])
        top_articles.key(self.sport.pk).set(["Own goal"])
        self.assertEqual(top_articles(self.sport.pk), ["Own goal"])
        top_articles.key(self.sport.pk).delete()
        self.assertEqual(top_articles(self.sport.pk), [])

    def test_without_parentheses(self):
        @cached
        def number(one, two=2):
            calls.append("number")
            return one + two

        self.assertEqual([number(1), number(1), number(1, two=3)], [3, 3, 4])
        self.assertEqual(len(calls), 2)

    def test_a_property(self):
        first = self.article.articles_json
        self.assertEqual(first, '[{"title": "Goal"}]')
        self.assertCached(lambda: self.article.articles_json)
        self.assertEqual(self.other.articles_json, '[{"title": "Paint"}]')

    def test_values(self):
        with self.assertRaises(CacheMiss):
            cache.get("key")
        cache.set("key", {"any": [1, None]}, timeout=60)
        self.assertEqual(cache.get("key"), {"any": [1, None]})
        cache.set("key", "other")
        self.assertEqual(cache.get("key"), "other")
        cache.delete("key")
        with self.assertRaises(CacheMiss):
            cache.get("key")


class FileTests(SiteTestCase):
    def tearDown(self):
        for name in ("key", "other"):
            file_cache.delete(name)

    def test_a_function(self):
        filed_articles.invalidate(self.sport.pk)
        self.assertEqual(filed_articles(self.sport.pk), ["Goal"])
        self.assertEqual(filed_articles(self.sport.pk), ["Goal"])
        self.assertEqual(len(calls), 1)
        filed_articles.key(self.sport.pk).set(["Own goal"])
        self.assertEqual(filed_articles(self.sport.pk), ["Own goal"])
        filed_articles.invalidate(self.sport.pk)
        self.assertEqual(filed_articles(self.sport.pk), ["Goal"])

    def test_values(self):
        with self.assertRaises(CacheMiss):
            file_cache.get("key")
        file_cache.set("key", [1, 2], timeout=60)
        self.assertEqual(file_cache.get("key"), [1, 2])
        self.assertTrue(any(Path(settings.FILE_CACHE_DIR).rglob("*")))
        file_cache.delete("key")
        with self.assertRaises(CacheMiss):
            file_cache.get("key")

    def test_cleaning(self):
        file_cache.set("key", 1, timeout=60)
        call_command("cleanfilecache")
        call_command("cleanfilecache", settings.FILE_CACHE_DIR)
        self.assertEqual(file_cache.get("key"), 1)
