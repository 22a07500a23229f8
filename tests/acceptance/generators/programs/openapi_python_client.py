# mypy: ignore-errors
# The client is generated when the test runs.
import sys

from generated import AuthenticatedClient
from generated.api.notifications import create_notification, list_notifications
from generated.models import NotificationInput, NotificationInputMetadata, NotificationType, Priority

base_url, key, recipient = sys.argv[1:]
metadata = NotificationInputMetadata.from_dict({"by": "openapi-python-client"})
notification = NotificationInput(type_=NotificationType.EMAIL, recipient=recipient, message="Hello", metadata=metadata)
with AuthenticatedClient(base_url=base_url, token=key, raise_on_unexpected_status=True) as client:
    sent = create_notification.sync(client=client, body=notification, idempotency_key="openapi-python-client")
    found = list_notifications.sync(client=client, priority=Priority.NORMAL, metadata=["by=openapi-python-client"])
print(sent.id, *(item.id for item in found.items))  # noqa: T201
