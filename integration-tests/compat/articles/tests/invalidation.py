"""Invalidation by itself, by hand and by command, and how it is turned off and watched."""

from articles.models import Article, Category, Tag
from articles.tests.site import SiteTestCase
from django.core.management import CommandError, call_command
from django.db.models.expressions import F
from django.test import override_settings

from cacheops import invalidate_all, invalidate_model, invalidate_obj, no_invalidation
from cacheops.signals import cache_invalidated, cache_read


class InvalidationTestCase(SiteTestCase):
    def all(self):
        return list(Article.objects.order_by("pk").cache())

    def of_sport(self):
        return list(Article.objects.filter(category=self.sport).cache())

    def of_arts(self):
        return list(Article.objects.filter(category=self.arts).cache())

    def assertDrops(self, change, *dropped, keeps=()):
        for ask in (*dropped, *keeps):
            ask()
        change()
        for ask in dropped:
            self.assertAsked(ask)
        for ask in keeps:
            with self.assertNumQueries(0):
                ask()


class AutomaticTests(InvalidationTestCase):
    def test_saving_and_deleting(self):
        self.assertDrops(self.article.save, self.all, self.of_sport, keeps=[self.of_arts])
        self.assertDrops(self.article.delete, self.all, self.of_sport, keeps=[self.of_arts])

    def test_deleting_what_others_hang_on(self):
        category = Category.objects.get(pk=self.sport.pk)
        self.assertDrops(category.delete, self.all, self.of_sport, keeps=[self.of_arts])

    def test_creating_many(self):
        many = [Article(title=str(number), category=self.sport) for number in range(3)]
        self.assertDrops(lambda: Article.objects.bulk_create(many), self.all, self.of_sport)

    def test_saving_an_expression(self):
        self.article.title = F("text")
        self.assertDrops(self.article.save, self.all, self.of_sport)

    def test_deleting_a_queryset(self):
        self.assertDrops(lambda: Article.objects.filter(category=self.arts).delete(), self.all, self.of_arts)

    def test_many_to_many(self):
        tagged = lambda: list(Article.objects.filter(tags=self.tag).cache())
        tags = lambda: list(self.article.tags.cache())
        others = lambda: list(self.other.tags.cache())
        self.assertDrops(lambda: self.article.tags.add(self.tag), tagged, tags, keeps=[others])
        self.assertDrops(lambda: self.article.tags.remove(self.tag), tagged, tags, keeps=[others])
        self.assertDrops(lambda: self.article.tags.set([self.tag]), tagged, tags, keeps=[others])
        self.assertDrops(self.article.tags.clear, tagged, tags, keeps=[others])
        self.assertDrops(lambda: self.tag.articles.add(self.article), tagged, tags, keeps=[others])


class ByHandTests(InvalidationTestCase):
    def test_an_object(self):
        self.assertDrops(lambda: invalidate_obj(self.article), self.all, self.of_sport, keeps=[self.of_arts])

    def test_an_object_that_has_been_changed_behind_the_back(self):
        self.all()
        Article.objects.filter(pk=self.article.pk).update(title="Changed")
        self.article.refresh_from_db()
        invalidate_obj(self.article)
        self.assertEqual([article.title for article in self.all()], ["Changed", "Paint"])

    def test_a_model(self):
        tags = lambda: list(Tag.objects.cache())
        self.assertDrops(
            lambda: invalidate_model(Article), self.all, self.of_sport, self.of_arts, keeps=[tags]
        )

    def test_everything(self):
        self.assertDrops(invalidate_all, self.all, self.of_sport, lambda: list(Tag.objects.cache()))

    def test_of_one_database(self):
        self.assertDrops(lambda: invalidate_obj(self.article, using="default"), self.all)
        self.assertDrops(lambda: invalidate_model(Article, using="default"), self.all)


class TurnedOffTests(InvalidationTestCase):
    def test_in_a_block(self):
        def change():
            with no_invalidation:
                self.article.save()

        self.assertDrops(change, keeps=[self.all, self.of_sport])
        self.assertDrops(self.article.save, self.all, self.of_sport)

    def test_in_a_block_in_a_block(self):
        def change():
            with no_invalidation:
                with no_invalidation:
                    pass
                self.article.save()

        self.assertDrops(change, keeps=[self.all])

    def test_in_a_function(self):
        @no_invalidation
        def change(title):
            self.article.title = title
            self.article.save()
            return title

        self.assertDrops(lambda: change("Later"), keeps=[self.all])
        self.assertEqual(change("Latest"), "Latest")

    def test_until_later(self):
        def change():
            try:
                with no_invalidation:
                    self.article.title = "Later"
                    self.article.save()
            finally:
                invalidate_obj(self.article)

        self.assertDrops(change, self.all, self.of_sport, keeps=[self.of_arts])

    def test_all_of_it(self):
        self.all()
        with override_settings(CACHEOPS_ENABLED=False):
            self.assertAsked(self.all)
            self.assertAsked(self.all)


class CommandTests(InvalidationTestCase):
    def invalidate(self, *labels):
        return lambda: call_command("invalidate", *labels)

    def test_an_object(self):
        label = f"articles.Article.{self.article.pk}"
        self.assertDrops(self.invalidate(label), self.all, self.of_sport, keeps=[self.of_arts])

    def test_a_model(self):
        self.assertDrops(self.invalidate("articles.Article"), self.all, self.of_sport)
        self.assertDrops(self.invalidate("articles.article", "articles.tag"), self.all, self.of_sport)

    def test_an_app(self):
        categories = lambda: list(Category.objects.cache())
        self.assertDrops(self.invalidate("articles"), self.all, categories)

    def test_all(self):
        self.assertDrops(self.invalidate("all"), self.all)

    def test_what_there_is_not(self):
        for label in ("nothing", "articles.Nothing", "articles.Article.999", "a.b.c.d"):
            with self.assertRaises(CommandError):
                call_command("invalidate", label)

    def test_reaping_does_no_harm(self):
        from cacheops import reap_conjs

        self.all()
        call_command("reapconjs")
        call_command("reapconjs", "--chunk-size=100", "--min-conj-set-size=10000")
        reap_conjs(chunk_size=2000, min_conj_set_size=100)
        with self.assertNumQueries(0):
            self.all()


class SignalTests(InvalidationTestCase):
    def heard(self, signal, act):
        told = []

        def receiver(sender, **kwargs):
            kwargs.pop("signal")
            told.append((sender, kwargs))

        signal.connect(receiver)
        try:
            act()
        finally:
            signal.disconnect(receiver)
        return told

    def test_reading(self):
        self.assertEqual(self.heard(cache_read, self.all), [(Article, {"func": None, "hit": False})])
        self.assertEqual(self.heard(cache_read, self.all), [(Article, {"func": None, "hit": True})])

    def test_an_object(self):
        told = self.heard(cache_invalidated, lambda: Tag.objects.create(name="old"))
        pk = Tag.objects.get(name="old").pk
        self.assertEqual(told, [(Tag, {"obj_dict": {"id": pk, "name": "old"}})])

    def test_an_object_that_is_changed_is_told_of_twice(self):
        tag = Tag.objects.create(name="old")
        tag.name = "older"
        told = self.heard(cache_invalidated, tag.save)
        self.assertEqual([kwargs["obj_dict"]["name"] for _, kwargs in told], ["old", "older"])

    def test_a_model_and_everything(self):
        told = self.heard(cache_invalidated, lambda: (invalidate_model(Tag), invalidate_all()))
        self.assertEqual(told, [(Tag, {"obj_dict": None}), (None, {"obj_dict": None})])
