"""A task that takes and returns models."""

from celery import Celery
from pydantic import BaseModel

app = Celery("parcels", broker="redis://127.0.0.1:6379/0")


class Parcel(BaseModel):
    """What is to be sent."""

    address: str
    weights_g: list[int]


class Label(BaseModel):
    """What is glued to it."""

    address: str
    total_g: int


@app.task(pydantic=True)
def label(parcel: Parcel, extra_g: int = 0) -> Label:
    """Write a label."""
    return Label(address=parcel.address.upper(), total_g=sum(parcel.weights_g) + extra_g)
