"""Views that are cached."""

from articles.models import News
from articles.tests.site import SiteTestCase
from articles.views import calls, filed_page, top_articles_page


class ViewTests(SiteTestCase):
    def get(self, path):
        response = self.client.get(path)
        self.assertEqual(response.status_code, 200)
        return response.content.decode().strip()

    def test_a_view_of_a_model(self):
        News.objects.create(title="Rain")
        self.assertEqual([self.get("/news/"), self.get("/news/")], ["Rain", "Rain"])
        self.assertEqual(len(calls), 1)
        News.objects.create(title="Sun")
        self.assertEqual(self.get("/news/"), "Rain, Sun")

    def test_more_to_tell_pages_apart_by(self):
        self.assertEqual(self.get("/news/?staff=1"), ", for staff")
        self.assertEqual(self.get("/news/?staff=2"), "")
        self.assertEqual(self.get("/news/?staff=1"), ", for staff")
        self.assertEqual(len(calls), 2)

    def test_a_class(self):
        News.objects.create(title="Rain")
        self.assertEqual([self.get("/news/classes/")] * 2, ["<p>Rain</p>"] * 2)
        self.get("/news/classes/")
        self.assertEqual(calls, ["NewsIndex"])
        News.objects.create(title="Sun")
        self.assertEqual(self.get("/news/classes/"), "<p>Rain</p><p>Sun</p>")

    def test_a_view_for_a_time(self):
        path = f"/top/{self.sport.pk}/"
        self.assertEqual(self.get(path), "<p>Goal</p>")
        self.article.delete()
        self.assertEqual(self.get(path), "<p>Goal</p>")
        top_articles_page.invalidate("http://testserver" + path, category=self.sport.pk)
        self.assertEqual(self.get(path), "")

    def test_a_view_for_a_time_with_no_argument(self):
        self.assertEqual(self.get("/top/"), "<p>Goal</p><p>Paint</p>")
        self.article.delete()
        top_articles_page.invalidate("http://testserver/top/")
        self.assertEqual(self.get("/top/"), "<p>Paint</p>")

    def test_a_view_in_a_file(self):
        path = f"/filed/{self.sport.pk}/"
        filed_page.invalidate("http://testserver" + path, category=self.sport.pk)
        self.assertEqual(self.get(path), "Goal")
        self.article.delete()
        self.assertEqual(self.get(path), "Goal")
        filed_page.invalidate("http://testserver" + path, category=self.sport.pk)
        self.assertEqual(self.get(path), "")

    def test_only_reading_is_cached(self):
        self.client.post("/news/")
        self.client.post("/news/")
        self.assertEqual(len(calls), 2)
