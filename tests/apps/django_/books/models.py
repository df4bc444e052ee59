"""What the database holds."""

from django.db import models


class Book(models.Model):
    """A book."""

    title = models.CharField(max_length=100)
    author = models.CharField(max_length=100)

    def __str__(self):
        return self.title
