"""What the page sends: every field is checked before anything else looks at it, and unknown ones are refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from tallymark.marking.team import Role

MOST_EVENTS = 200
MOST_POINTS = 20_000
_FAR = 100_000.0

Key = Annotated[str, Field(pattern=r"^[0-9a-f]{20}$")]
Coordinate = Annotated[float, Field(ge=-_FAR, le=_FAR, allow_inf_nan=False)]
Point = tuple[Coordinate, Coordinate]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Enter(_Message):
    """The token of the address that the command line printed."""

    token: Annotated[str, Field(max_length=200)]


class Login(_Message):
    """Who wants to come in."""

    user: Annotated[str, Field(max_length=100)]
    password: Annotated[str, Field(max_length=500)]


class NewAccount(_Message):
    """Who may come in from now on."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    role: Role


class AccountChange(_Message):
    """What an admin does to an account: another role, a new password, blocked, let in again."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    act: Literal["role", "password", "block", "unblock"]
    role: Role = "annotator"


class Event(_Message):
    """Something that happened on the page, named by the page, so that it may be sent twice."""

    id: UUID
    case: Key


class Drawn(Event):
    """A stroke. ``structure`` counts from 0; the number of structures stands for "none of these"."""

    kind: Literal["stroke", "erase", "diameter"]
    structure: Annotated[int, Field(ge=0, le=255)] = 0
    points: Annotated[list[Point], Field(min_length=1, max_length=MOST_POINTS)]
    width: Annotated[float, Field(gt=0, le=5000, allow_inf_nan=False)]
    plane: Annotated[int, Field(ge=0, le=100_000)] | None = None
    filled: bool = False


class NothingHere(Event):
    """The image shows none of the structures."""

    kind: Literal["nothing"]


class TakenBack(Event):
    """A mark is taken back, or counts again."""

    kind: Literal["retract", "restore"]
    target: UUID


class Visited(Event):
    """An image was left."""

    kind: Literal["visit"]
    outcome: Literal["done", "skip", "unsure"]
    seconds: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
    reason: Annotated[str, Field(max_length=500)] = ""
    model: Literal["none", "blind", "hidden", "shown"] = "none"
    judgement: Literal["", "right", "fix"] = ""
    warned: bool = False


class Adopted(Event):
    """The model's outline of a structure becomes a mark, to be corrected."""

    kind: Literal["model"]
    structure: Annotated[int, Field(ge=0, le=255)] = 0


class Judged(Event):
    """A reviewer accepts somebody's marks on an image, or sends them back."""

    kind: Literal["verdict"]
    of: Annotated[str, Field(min_length=1, max_length=100)]
    outcome: Literal["accepted", "returned"]
    reason: Annotated[str, Field(max_length=500)] = ""


AnyEvent = Annotated[Drawn | NothingHere | TakenBack | Visited | Adopted | Judged, Field(discriminator="kind")]


class Events(_Message):
    """Some events in the order in which they happened; each is judged by itself, so that one cannot hold up others."""

    events: Annotated[list[dict[str, Any]], Field(max_length=MOST_EVENTS)]


class Ask(_Message):
    """Which images to mark next, besides those that the page has already."""

    count: Annotated[int, Field(ge=1, le=20)] = 5
    without: Annotated[list[Key], Field(max_length=500)] = []
    review: bool = False
