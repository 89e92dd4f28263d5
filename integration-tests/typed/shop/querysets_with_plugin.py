"""What mypy's plugin knows of any queryset and manager."""

from typing import assert_type

from .models import Author, Post, PostQuerySet

assert_type(Post.objects.cache(), PostQuerySet)
assert_type(Post.objects.signed().cache(timeout=60).signed(), PostQuerySet)
assert_type(Author().posts.nocache(), PostQuerySet)
assert_type(Author().posts.nocache().invalidated_update(author=None), int)
Post.objects.cache(time=60)  # type: ignore[call-arg]
