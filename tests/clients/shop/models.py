"""What it sells."""

from __future__ import annotations

from django.db import models


class Order(models.Model):
    """An order."""

    number: models.CharField[str, str] = models.CharField(max_length=20, unique=True)

    def __str__(self) -> str:
        return self.number
