"""Parts of pages that are cached as functions."""

from articles.models import Article, Tag
from django.db.models import Count
from django.utils import translation

from cacheops import cached, cached_as, file_cache

calls = []
"""The names of the functions that were really called."""


@cached_as(Article, timeout=120)
def article_stats():
    calls.append("article_stats")
    return {"categories": list(Article.objects.values("category").annotate(Count("id")))}


@cached_as(Article.objects.filter(public=True), Tag)
def public_stats():
    calls.append("public_stats")
    return {"articles": Article.objects.filter(public=True).count(), "tags": Tag.objects.count()}


def articles_block(category, count=5):
    qs = Article.objects.filter(category=category)

    @cached_as(qs, extra=count)
    def _articles_block():
        calls.append("articles_block")
        articles = list(qs.filter(photo=True)[:count])
        if len(articles) < count:
            articles += list(qs.filter(photo=False)[: count - len(articles)])
        return articles

    return _articles_block()


@cached_as(Article, extra=lambda category: category % 2)
def by_parity(category):
    calls.append("by_parity")
    return category


@cached_as(Article, extra=translation.get_language)
def greeting():
    calls.append("greeting")
    return f"in {translation.get_language()}"


@cached_as(Article, lock=True)
def heavy_func(number):
    calls.append("heavy_func")
    return number


@cached(timeout=60)
def top_articles(category):
    calls.append("top_articles")
    return [article.title for article in Article.objects.filter(category=category)]


@file_cache.cached(timeout=60)
def filed_articles(category):
    calls.append("filed_articles")
    return [article.title for article in Article.objects.filter(category=category)]
