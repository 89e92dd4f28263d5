"""django-polymorphic: a queryset makes its results with queries of its own, and those are asked of the cache."""

from django.core.management import call_command
from gallery.models import Painting, Sculpture, Work

from cacheops.testing import assert_cache_hits, assert_no_stale

call_command("migrate", run_syncdb=True, verbosity=0)
painting = Painting.objects.create(title="Irises", technique="oil")
sculpture = Sculpture.objects.create(title="David", weight=5660)


def kinds() -> list[tuple[type[Work], str]]:
    return [(type(work), work.title) for work in Work.objects.order_by("pk")]


for _ in range(3):
    with assert_no_stale():
        assert kinds() == [(Painting, "Irises"), (Sculpture, "David")]
        assert Work.objects.get(pk=painting.pk).technique == "oil"

painting.title = "Sunflowers"
painting.save()
sculpture.delete()
assert kinds() == [(Painting, "Sunflowers")]
Work.objects.create(title="Untitled")
assert kinds() == [(Painting, "Sunflowers"), (Work, "Untitled")]

with assert_cache_hits(2, misses=2):
    for _ in range(2):
        assert Work.objects.count() == 2
        assert [type(work) for work in Work.objects.non_polymorphic().order_by("pk")] == [Work, Work]
Painting.objects.create(title="Almond Blossom", technique="oil")
assert Work.objects.count() == 3
print("right")
