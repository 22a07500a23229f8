"""Its settings; the tests say in the environment where the servers are."""

from __future__ import annotations

import os

import django

SECRET_KEY = "not a secret"
INSTALLED_APPS = ["notification_client.django.outbox", "tests.clients.shop"]
USE_TZ, TIME_ZONE = True, "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DEFAULT_FROM_EMAIL = "noreply@sender.example"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("SHOP_DATABASE", ""),
        "HOST": os.environ.get("SHOP_HOST", ""),
        "PORT": os.environ.get("SHOP_PORT", ""),
        "USER": "postgres",
    }
}
NOTIFICATIONS = {"url": os.environ.get("SHOP_API"), "key": os.environ.get("SHOP_KEY")}
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "notification_client.django.EmailBackend"}}
else:
    EMAIL_BACKEND = "notification_client.django.EmailBackend"
