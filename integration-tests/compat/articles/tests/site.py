"""A test case whose tests begin with an empty cache and some rows."""

from articles import blocks, views
from articles.models import Article, Category, Tag
from django.contrib.auth.models import User
from django.test import TransactionTestCase

from cacheops import invalidate_all


class SiteTestCase(TransactionTestCase):
    """Not a TestCase: inside its transaction a cache that has been written to is off, as documented."""

    databases = {"default", "replica"}

    def setUp(self):
        self.user = User.objects.create(username="editor")
        self.sport, self.arts = (Category.objects.create(title=t, slug=t.lower()) for t in ("Sport", "Arts"))
        self.tag = Tag.objects.create(name="new")
        self.article = Article.objects.create(title="Goal", category=self.sport, author=self.user, photo=True)
        self.other = Article.objects.create(title="Paint", category=self.arts, author=self.user)
        invalidate_all()
        blocks.calls.clear()
        views.calls.clear()

    def assertCached(self, ask, *, using="default"):
        """Have something asked, and be sure that asking it again costs no query and says the same."""
        first = ask()
        with self.assertNumQueries(0, using=using):
            again = ask()
        self.assertEqual(first, again)

    def assertAsked(self, ask, number=1):
        """Be sure that the database is asked, and return what it says."""
        with self.assertNumQueries(number):
            return ask()
