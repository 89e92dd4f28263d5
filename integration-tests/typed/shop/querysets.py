"""What every checker knows of querysets whose managers say what they are."""

from typing import Any, assert_type

from cacheops.typing import CachedQuerySet

from .models import Author

assert_type(Author.objects.cache(), CachedQuerySet[Author])
assert_type(Author.objects.filter(pk=1).cache(ops="get", timeout=60), CachedQuerySet[Author])
assert_type(Author.objects.nocache().get(pk=1), Author)
assert_type(Author.objects.order_by("pk").invalidated_update(pk=1), int)
total: dict[str, Any] = Author.objects.inplace().aggregate()
Author.objects.cache(time=60)  # type: ignore[call-arg]
