"""Tasks about books."""

from celery import shared_task
from celery.signals import worker_init
from django.db import connection

from books.models import Book

TITLES = {"Emma": "Austen", "Persuasion": "Austen", "Middlemarch": "Eliot"}


@worker_init.connect
def prepare(**_):
    """Make the table, and fill it; the connection is closed, since processes must not share it."""
    with connection.schema_editor() as editor:
        editor.create_model(Book)
    Book.objects.bulk_create(Book(title=title, author=author) for title, author in TITLES.items())
    connection.close()


@shared_task
def titles_of(author):
    """Return the titles of an author."""
    return list(Book.objects.filter(author=author).order_by("title").values_list("title", flat=True))


@shared_task
def rename(old, new):
    """Give a book another title; return how many had the old one."""
    return Book.objects.filter(title=old).update(title=new)
