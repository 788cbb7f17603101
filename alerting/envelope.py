"""A webhook's body and headers: CloudEvents 1.0 in JSON, signed by Standard Webhooks; pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from alerting.guard import DestinationRefused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from alerting.delivery import Parcel

CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"


def body(parcel: Parcel) -> str:
    """Give the event as one JSON object; its id is the receiver's idempotency key."""
    envelope = {
        "specversion": "1.0",
        "id": parcel.key,
        "source": f"/foremend/{parcel.tenant}",
        "type": parcel.event,
        "time": parcel.created_at.isoformat(),
        "datacontenttype": "application/json",
        "data": parcel.payload,
    }
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def headers(parcel: Parcel, text: str, now: datetime) -> dict[str, str]:
    """Give the headers of one try, signed with every secret so that a key can be changed.

    The id stays the same over retries; timestamp and signature are those of the try.
    """
    named = {
        "content-type": CONTENT_TYPE,
        "user-agent": "foremend",
        "webhook-id": parcel.key,
        "webhook-timestamp": str(int(now.timestamp())),
    }
    if parcel.secrets:
        named["webhook-signature"] = signatures(parcel.secrets, parcel.key, now, text)
    return named


def signatures(secrets: Sequence[str], key: str, now: datetime, text: str) -> str:
    """Give one `v1,...` signature a secret, newest first, parted by spaces.

    Raises:
        DestinationRefused: a secret is empty or not base64.
    """
    try:
        return " ".join(Webhook(secret).sign(key, now, text) for secret in secrets)
    except (ValueError, EmptyWebhookSecretError) as error:
        raise DestinationRefused("a signing secret is empty or not base64") from error


def sentence(parcel: Parcel) -> tuple[str, str]:
    """Give a title and a text for people; whoever enqueues may write the text himself."""
    told = parcel.payload
    title = f"{parcel.event.replace('_', ' ').replace('.', ' ')}: {told.get('device', '')}"
    written = told.get("text")
    if isinstance(written, str):
        return title, written
    facts = [f"{k}: {v}" for k, v in told.items() if isinstance(v, str | int | float)]
    return title, "\n".join(facts)
