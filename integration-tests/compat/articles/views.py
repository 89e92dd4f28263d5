"""The site's pages, cached as the documentation shows."""

from articles.models import Article, News
from django.http import HttpResponse
from django.shortcuts import render
from django.views.generic import ListView

from cacheops import cached_view, cached_view_as, file_cache

calls = []
"""The names of the views that were really called."""


@cached_view_as(News, extra=lambda request: request.GET.get("staff") == "1")
def news_index(request):
    calls.append("news_index")
    staff = ", for staff" if request.GET.get("staff") == "1" else ""
    return HttpResponse(", ".join(News.objects.values_list("title", flat=True)) + staff)


class NewsIndex(ListView):
    model = News
    template_name = "articles/news.html"

    def get_queryset(self):
        calls.append("NewsIndex")
        return super().get_queryset()


news_list = cached_view_as(News, timeout=60)(NewsIndex.as_view())


@cached_view(timeout=60)
def top_articles_page(request, category=None):
    calls.append("top_articles_page")
    found = Article.objects.all() if category is None else Article.objects.filter(category=category)
    return render(request, "articles/top.html", {"articles": found})


@file_cache.cached_view(timeout=60)
def filed_page(request, category):
    calls.append("filed_page")
    return HttpResponse(", ".join(a.title for a in Article.objects.filter(category=category)))
