"""The site's pages."""

from articles import views
from django.urls import path

urlpatterns = [
    path("news/", views.news_index),
    path("news/classes/", views.news_list),
    path("top/", views.top_articles_page),
    path("top/<int:category>/", views.top_articles_page),
    path("filed/<int:category>/", views.filed_page),
]
