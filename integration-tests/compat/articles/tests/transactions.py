"""The three rules of transactions."""

from articles.models import Article
from articles.tests.site import SiteTestCase
from django.db import transaction

from cacheops import cache, invalidate_obj


class Undo(Exception):
    pass


class TransactionTests(SiteTestCase):
    def titles(self):
        return [article.title for article in Article.objects.order_by("pk").cache()]

    def change(self, title):
        self.article.title = title
        self.article.save()

    def test_own_changes_are_seen_and_others_see_them_after_the_commit(self):
        self.titles()
        with transaction.atomic():
            self.change("Own goal")
            self.assertEqual(self.titles(), ["Own goal", "Paint"])
        self.assertEqual(self.titles(), ["Own goal", "Paint"])
        self.assertCached(self.titles)

    def test_what_is_undone_was_never_there(self):
        self.titles()
        with self.assertRaises(Undo), transaction.atomic():
            self.change("Own goal")
            self.assertEqual(self.titles(), ["Own goal", "Paint"])
            raise Undo
        self.assertEqual(self.titles(), ["Goal", "Paint"])

    def test_a_savepoint_is_undone_by_itself(self):
        self.titles()
        with transaction.atomic():
            with self.assertRaises(Undo), transaction.atomic():
                self.change("Own goal")
                raise Undo
            self.other.title = "Brush"
            self.other.save()
        self.assertEqual(self.titles(), ["Goal", "Brush"])

    def test_invalidation_by_hand_waits_for_the_commit(self):
        self.titles()
        with transaction.atomic():
            Article.objects.filter(pk=self.article.pk).update(title="Own goal")
            invalidate_obj(self.article)
        self.assertEqual(self.titles(), ["Own goal", "Paint"])

    def test_the_simple_cache_works_as_usual(self):
        with transaction.atomic():
            self.change("Own goal")
            cache.set("key", 1)
            self.assertEqual(cache.get("key"), 1)
        self.assertEqual(cache.get("key"), 1)


class DatabaseTests(SiteTestCase):
    def test_a_profile_keeps_databases_apart(self):
        from articles.models import MenuItem

        MenuItem.objects.create(title="Home")
        self.assertEqual(len(MenuItem.objects.all()), 1)
        self.assertEqual(len(MenuItem.objects.using("replica").all()), 0)

    def test_a_write_is_seen_on_its_database(self):
        from articles.models import MenuItem

        read = lambda: [item.title for item in MenuItem.objects.using("replica").all()]
        self.assertEqual(read(), [])
        MenuItem.objects.using("replica").create(title="Home")
        self.assertEqual(read(), ["Home"])
        self.assertCached(read, using="replica")
