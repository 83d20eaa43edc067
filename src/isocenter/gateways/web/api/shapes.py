"""What API answers have in common: built from the services' own values, names kept."""

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")

LIMIT_MAX = 500


class Shape(BaseModel):
    """A JSON object made from an object with attributes of the same names."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class Page(Shape, Generic[T]):
    """One page of a list. ``next`` is the ``after`` of the following page; null on the last."""

    items: list[T]
    next: str | None = None
