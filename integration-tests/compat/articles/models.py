"""What a news site has: articles with categories and tags, and a menu."""

import json

from django.contrib.auth.models import User
from django.db import models

from cacheops import cached


class Category(models.Model):
    title = models.CharField(max_length=50)
    slug = models.SlugField(default="")


class Tag(models.Model):
    name = models.CharField(max_length=50)


class Article(models.Model):
    title = models.CharField(max_length=50)
    text = models.TextField(default="")
    category = models.ForeignKey(Category, on_delete=models.CASCADE, related_name="articles")
    author = models.ForeignKey(User, null=True, on_delete=models.SET_NULL)
    tags = models.ManyToManyField(Tag, related_name="articles")
    public = models.BooleanField(default=True)
    photo = models.BooleanField(default=False)

    @property
    def articles_json(self):
        @cached(timeout=10 * 60, extra=self.category_id)
        def _articles_json():
            return json.dumps(list(Article.objects.filter(category=self.category_id).values("title")))

        return _articles_json()


class News(models.Model):
    title = models.CharField(max_length=50)

    class Meta:
        ordering = ("pk",)


class Flag(models.Model):
    name = models.CharField(max_length=50)
    is_set = models.BooleanField(default=False)


class MenuItem(models.Model):
    title = models.CharField(max_length=50)


class Author(models.Model):
    name = models.CharField(max_length=50)


class Country(models.Model):
    name = models.CharField(max_length=50)


class Secret(models.Model):
    text = models.CharField(max_length=50)
