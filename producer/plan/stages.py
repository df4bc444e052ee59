"""The stretches of a job's life, by the instants between which they lie. Pure."""

STAGES = {
    "sojourn": ("due_at", "finished_at"),
    "sojourn_from_sent": ("sent_at", "finished_at"),
    "queue_wait": ("sent_at", "started_at"),
    "broker_wait": ("sent_at", "received_at"),
    "slot_wait": ("received_at", "started_at"),
    "service": ("started_at", "finished_at"),
    "publish_lag": ("due_at", "sent_at"),
}
