"""Automatic and manual caching of querysets."""

from articles.models import Article, Author, Country, Flag, MenuItem, News, Secret
from articles.tests.site import SiteTestCase
from django.contrib.auth.models import Group, Permission, User
from django.core.paginator import Paginator
from django.db.models import Count

from cacheops import invalidate_model


class AutomaticTests(SiteTestCase):
    def test_gets_of_users(self):
        self.assertCached(lambda: User.objects.get(pk=self.user.pk))
        self.assertCached(lambda: User.objects.filter(username="editor").first())
        self.assertCached(lambda: User.objects.order_by("pk").last())

    def test_access_to_a_foreign_key_is_a_get(self):
        self.assertEqual(Article.objects.get(pk=self.article.pk).author, self.user)
        article = Article.objects.get(pk=self.article.pk)
        with self.assertNumQueries(0):
            self.assertEqual(article.author, self.user)

    def test_fetches_of_users_are_not_cached(self):
        list(User.objects.all())
        self.assertAsked(lambda: list(User.objects.all()))

    def test_gets_and_fetches_of_the_rest_of_an_app(self):
        Group.objects.create(name="editors")
        self.assertCached(lambda: list(Group.objects.all()))
        self.assertCached(lambda: Group.objects.get(name="editors"))
        Group.objects.count()
        self.assertAsked(Group.objects.count)

    def test_all_operations(self):
        for ask in (
            lambda: list(Permission.objects.all()),
            Permission.objects.first,
            Permission.objects.count,
            Permission.objects.exists,
            lambda: Permission.objects.aggregate(number=Count("id")),
        ):
            self.assertCached(ask)

    def test_no_operation(self):
        list(News.objects.all())
        self.assertAsked(lambda: list(News.objects.all()))

    def test_local_gets(self):
        country = Country.objects.create(name="Italy")
        self.assertCached(lambda: Country.objects.get(pk=country.pk))
        Country.objects.get(pk__in=[country.pk])

    def test_saving_puts_into_the_cache(self):
        author = Author.objects.create(name="Zoe")
        with self.assertNumQueries(0):
            self.assertEqual(Author.objects.get(pk=author.pk).name, "Zoe")
        author.name = "Zoë"
        author.save()
        with self.assertNumQueries(0):
            self.assertEqual(Author.objects.get(pk=author.pk).name, "Zoë")

    def test_saving_puts_into_the_cache_by_a_field(self):
        flag = Flag.objects.create(name="menu")
        with self.assertNumQueries(0):
            self.assertEqual(Flag.objects.get(name="menu"), flag)

    def test_a_locking_profile(self):
        MenuItem.objects.create(title="Home")
        self.assertCached(lambda: list(MenuItem.objects.all()))


class ManualTests(SiteTestCase):
    def test_cache(self):
        self.assertCached(lambda: list(Article.objects.filter(tags=self.tag).cache()))
        self.assertCached(lambda: list(Article.objects.cache().filter(tags=self.tag)))
        self.assertCached(lambda: Article.objects.cache().get(pk=self.article.pk))
        self.assertCached(lambda: list(self.sport.articles.cache()))

    def test_cache_of_some_operations(self):
        def page():
            articles = Article.objects.order_by("pk").cache(ops=["count"])
            return list(Paginator(articles, 1).page(1))

        self.assertEqual(page(), [self.article])
        self.assertAsked(page)

    def test_cache_of_one_operation_and_of_none(self):
        self.assertCached(Article.objects.cache(ops="count").count)
        Article.objects.cache(ops=()).count()
        self.assertAsked(Article.objects.cache(ops=()).count)

    def test_options_of_cache(self):
        self.assertCached(lambda: list(Article.objects.filter(public=True).cache(timeout=60)))
        self.assertCached(lambda: [item.pk for item in Article.objects.cache(lock=True)])

    def test_nocache(self):
        Group.objects.create(name="editors")
        groups = Group.objects.filter(name="editors").nocache()
        list(groups.filter(pk__gt=0))
        self.assertAsked(lambda: list(groups.filter(pk__gt=0)))

    def test_values_of_all_kinds(self):
        articles = Article.objects.order_by("pk").cache()
        self.assertCached(lambda: list(articles.values("title")))
        self.assertCached(lambda: list(articles.values_list("title", "pk")))
        self.assertCached(lambda: list(articles.values_list("title", flat=True)))

    def test_slices_of_a_queryset_that_changes_in_place(self):
        items = Article.objects.inplace().filter(category=self.sport).order_by("-pk")[:20]
        self.assertEqual(list(items), [self.article])

    def test_a_queryset_that_is_changed_in_place_until_it_is_to_be_cloned(self):
        changing = Article.objects.inplace().filter(category=self.sport)
        self.assertIs(changing.filter(public=True), changing)
        cloning = changing.cloning()
        self.assertIsNot(cloning.filter(photo=False), cloning)
        self.assertEqual(list(cloning), [self.article])

    def test_what_is_forbidden_cannot_be_cached_by_hand(self):
        with self.assertRaises(Exception):  # noqa: B017  # which one is not documented
            list(Secret.objects.cache())
        self.assertEqual(list(Secret.objects.all()), [])

    def test_answers_that_are_empty_are_cached(self):
        self.assertCached(lambda: list(Article.objects.filter(title="none").cache()))
        self.assertCached(lambda: Article.objects.filter(title="none").cache().first())


class GranularityTests(SiteTestCase):
    def assertKept(self, ask, change):
        self.assertCached(ask)
        change()
        with self.assertNumQueries(0):
            ask()

    def assertDropped(self, ask, change):
        self.assertCached(ask)
        change()
        self.assertAsked(ask)

    def add(self, **values):
        return lambda: Article.objects.create(**{"title": "More", "category": self.arts} | values)

    def test_a_row_that_does_not_match_drops_nothing(self):
        self.assertKept(lambda: list(Article.objects.filter(category=self.sport).cache()), self.add())
        self.assertKept(lambda: list(Article.objects.filter(title__in=["A", "B"]).cache()), self.add())
        self.assertKept(
            lambda: list(Article.objects.filter(author__isnull=True).cache()), self.add(author=self.user)
        )

    def test_a_row_that_matches_drops_what_it_matches(self):
        self.assertDropped(lambda: list(Article.objects.filter(category=self.arts).cache()), self.add())
        self.assertDropped(lambda: list(Article.objects.filter(title__in=["More", "B"]).cache()), self.add())
        self.assertDropped(lambda: list(Article.objects.filter(author__isnull=True).cache()), self.add())

    def test_other_conditions_are_dropped_by_any_row(self):
        self.assertDropped(lambda: list(Article.objects.filter(pk__gt=100).cache()), self.add())
        self.assertDropped(lambda: list(Article.objects.filter(text="none").cache()), self.add())
        self.assertDropped(lambda: list(Article.objects.cache()[:1]), self.add())

    def test_a_row_that_moves_drops_where_it_was_and_where_it_is(self):
        def move(category):
            self.article.category = category
            self.article.save()

        for category in (self.sport, self.arts):
            ask = Article.objects.filter(category=category).cache().count
            self.assertDropped(ask, lambda: move(self.arts))
            self.assertDropped(ask, lambda: move(self.sport))

    def test_unions_and_subqueries(self):
        union = lambda: list(
            Article.objects.filter(category=self.sport)
            .union(Article.objects.filter(category=self.arts))
            .cache()
        )
        self.assertDropped(union, self.add())
        asked = lambda: list(
            Article.objects.filter(category__in=type(self.sport).objects.filter(title="Arts")).cache()
        )
        self.assertDropped(asked, self.add())

    def test_mass_updates_drop_nothing_unless_asked(self):
        ask = lambda: list(Article.objects.filter(category=self.sport).cache())
        self.assertKept(ask, lambda: Article.objects.update(photo=False))
        self.assertDropped(
            ask, lambda: Article.objects.filter(category=self.sport).invalidated_update(photo=True)
        )
        self.assertDropped(ask, lambda: invalidate_model(Article))
