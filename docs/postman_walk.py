"""The order in which all operations can be run, and the expected answers: see postman.py."""

from __future__ import annotations

from typing import Any, NamedTuple

NOBODY = "999999999"
# Of a run alone, so that it changes nothing that was there, and may run again.
NAME, ADDRESS = "postman-{{run}}", "postman-{{run}}@example.com"


class Step(NamedTuple):
    """One request.

    `example` names the example of the body; `given` replaces fields of it, or the whole body. `query` has names of
    parameters, which get the values of their examples, or `name=value`. `keep` is a variable and the field of the
    answer that sets it. `path` names components of the document.
    """

    operation: str
    status: int = 200
    name: str = ""
    example: str = ""
    given: dict[str, Any] | str = {}  # noqa: RUF012  # never changed
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    path: dict[str, str] = {}  # noqa: RUF012  # never changed
    keep: tuple[str, str] | None = None
    method: str = ""


SEND = "createNotification"
REPORT = "To: shop@example.com\nSubject: Undelivered Mail Returned to Sender\n\nI am sorry.\n"
KEY = ("Idempotency-Key: postman-{{run}}",)
FAILED = {"recipient": ADDRESS, "failureReason": "exhausted"}
# By tag. Deletions come last, and no step cancels a notification that a worker may have sent by then.
WALK: dict[str, tuple[Step, ...]] = {
    "templates": (
        Step("putTemplate", 201, keep=("templateVersion", "version")),
        Step("listTemplates"),
        Step("getTemplate"),
        Step("listTemplateVersions"),
        Step("getTemplateVersion"),
        Step("previewTemplate"),
        Step(SEND, 201, example="template", given={"template": NAME}),
        Step(SEND, 422, "A variable is missing", "template", {"template": NAME, "variables": {}}),
        Step("deleteTemplate", 204),
    ),
    "notifications": (
        Step(SEND, 201, example="short", keep=("id", "id")),
        Step("getNotification"),
        Step("getNotification", name="Wait for its end", query=("wait=1",)),
        Step("listAttempts"),
        Step("listEvents"),
        Step("followChanges", 400, "Go on after what is no event", query=("lastEventId=first",)),
        Step(SEND, 201, example="full"),
        Step("listNotifications", query=("limit=1",), keep=("cursor", "nextCursor")),
        Step("listNotifications", name="The next page", query=("limit=1", "cursor={{cursor}}")),
        Step("listNotifications", name="What has failed of a priority", query=("status", "priority")),
        Step("listNotifications", name="Find by tag and metadata", query=("tag", "metadata")),
        Step("listNotifications", name="In a month", query=("recipient", "type", "createdFrom", "createdTo")),
        Step(SEND, 201, "Send once", "short", headers=KEY),
        Step(SEND, 201, "The same again", "short", headers=KEY),
        Step(SEND, 422, "The key for another request", "short", {"message": "Bye"}, headers=KEY),
        Step("createNotifications", 201, example="two"),
        Step("createNotifications", 200, "Send what can be stored", "two", query=("partial",)),
        Step(SEND, 201, example="mail", keep=("id", "id")),
        Step("getAttachment"),
        Step("showLimits"),
    ),
    "control": (
        Step(SEND, 201, example="later", keep=("id", "id")),
        Step("rescheduleNotification", example="later"),
        Step("cancelNotification"),
        Step("cancelNotification", 409, "Cancel it again"),
        Step("retryNotification", 409, "Retry what has not failed"),
        Step("retryNotifications", example="count", given={"filter": FAILED}),
        Step("retryNotifications", example="step", given={"filter": FAILED}),
        Step("pauseClient"),
        Step("pauseChannel"),
        Step("listPauses"),
        Step("resumeChannel"),
        Step("resumeClient"),
    ),
    "callbacks": (
        Step("createCallback", 201, example="full", keep=("callbackId", "id")),
        Step("createCallback", 422, "An endpoint inside", "short", {"url": "https://127.0.0.1/"}),
        Step("listCallbacks"),
        Step("getCallback"),
        Step("getCallbackHealth"),
        Step("testCallback", 201),
        Step("retryDeliveries"),
        Step("changeCallback", example="disable"),
        Step("testCallback", 409, "Test it while it is disabled"),
        Step("rotateCallbackSecret"),
        Step("listDeliveries", query=("status",)),
        Step("getDelivery", 404, "A delivery that is not there", path={"DeliveryId": NOBODY}),
        Step("retryDelivery", 404, "Retry one that is not there", path={"DeliveryId": NOBODY}),
        Step("deleteCallback"),
    ),
    "suppressions": (
        Step("addSuppression", 201, given={"address": ADDRESS}),
        Step("listSuppressions", query=("limit",)),
        Step("getSuppression"),
        Step(SEND, 201, "Send to a suppressed address", "short", {"recipient": ADDRESS.capitalize()}),
        Step("removeSuppression", 204),
    ),
    "data": (
        Step("addSuppression", 201, given={"address": ADDRESS}),
        Step("eraseRecipient", given={"recipient": ADDRESS}, keep=("erasureId", "id")),
        Step("getErasure"),
        Step("exportData", query=(f"recipient={ADDRESS}", "attachments")),
        Step("listAudit", query=("limit",)),
        Step("removeSuppression", 204),
    ),
    "clients": (
        Step("createClient", 201, given={"name": NAME}, keep=("clientId", "id")),
        Step("listClients"),
        Step("getClient"),
        Step("changeClient", example="limit"),
        Step("changeClient", example="disable"),
        Step("changeClient", example="enable"),
        Step("createKey", 201, keep=("keyId", "id")),
        Step("createKey", 201, "Make a key for tests", given={"name": "tests", "sandbox": True}),
        Step("listKeys"),
        Step("getKey"),
        Step("rotateKey", 201),
        Step("revokeKey"),
    ),
    "recipients": (
        Step("askUnsubscribe", 404, "A link that is not ours"),
        Step("unsubscribe", 404, "Unsubscribe by a link that is not ours"),
    ),
    "operation": (
        Step("isAlive"),
        Step("isReady"),
        Step("getMetrics"),
        Step("showHistory", query=("window", "by")),
        Step("listProviders"),
        Step("storeReport", 202, given=REPORT, headers=("Content-Type: message/rfc822",)),
        Step("listReports", query=("limit",)),
        Step("receiveWebhook", 404, "A webhook of a provider that is not there", given="{}"),
        Step("changeProvider", 404, "Switch off a provider that is not there", "disable"),
        Step("getContract"),
    ),
    "refused": (
        Step(SEND, 422, "Faults, all at once", given='{"type": "pigeon", "recipient": "nobody", "subjekt": "Hi"}'),
        Step(SEND, 422, "A sender who is not allowed", "short", {"from": "Boss <boss@elsewhere.example>"}),
        Step(SEND, 400, "No JSON", given='{"type": "email",'),
        Step(SEND, 415, "Another content type", "short", headers=("Content-Type: text/plain",)),
        Step("listNotifications", 400, "An unknown parameter", query=("colour=red",)),
        Step("listNotifications", 405, "Another method", method="DELETE"),
        Step("getNotification", 404, "Nobody's notification", path={"Id": NOBODY}),
        Step("cancelNotification", 404, "Cancel nobody's notification", path={"Id": NOBODY}),
    ),
}
