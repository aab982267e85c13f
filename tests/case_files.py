"""CASE packages to test with, as sites of frameworks offer them."""

from __future__ import annotations

import json
import uuid
from typing import Any

SITE = "https://frameworks.example/uri"


def _id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def node(name: str, **values: Any) -> dict[str, Any]:
    """Return what every node has, with the values of this one."""
    return {
        "identifier": _id(name),
        "uri": f"{SITE}/{_id(name)}",
        "lastChangeDateTime": "2025-01-10T12:00:00Z",
        **values,
    }


def link(name: str) -> dict[str, str]:
    return {"title": name, "identifier": _id(name), "uri": f"{SITE}/{_id(name)}"}


def item(name: str, statement: str, **values: Any) -> dict[str, Any]:
    return node(name, fullStatement=statement, **values)


def child(name: str, parent: str, number: int) -> dict[str, Any]:
    return node(
        f"{name}<{parent}",
        associationType="isChildOf",
        originNodeURI=link(name),
        destinationNodeURI=link(parent),
        sequenceNumber=number,
    )


def level(name: str, score: float | None, **values: Any) -> dict[str, Any]:
    scored = {} if score is None else {"score": score}
    return node(f"level {name} {score}", quality=name, description=f"What {name} looks like.", **scored, **values)


def criterion(name: str, *levels: dict[str, Any], position: int = 1, of: str = "") -> dict[str, Any]:
    more = {"CFItemURI": link(of)} if of else {}
    described = f"How {name} is judged."
    return node(
        f"criterion {name}",
        category=name,
        description=described,
        position=position,
        CFRubricCriterionLevels=list(levels),
        **more,
    )


def rubric(title: str, *criteria: dict[str, Any]) -> dict[str, Any]:
    return node(f"rubric {title}", title=title, description=f"{title}, in rows.", CFRubricCriteria=list(criteria))


def package(**parts: Any) -> dict[str, Any]:
    """Return a package: a tree of four items, and a rubric whose levels stand from high to low, as many have them."""
    high_to_low = (level("Exemplary", 4), level("Accomplished", 3), level("Developing", 2), level("Beginning", 1))
    whole = {
        "CFDocument": node(
            "document",
            title="Speaking and Listening",
            creator="Hallwood University",
            description="What a speaker does.",
            language="en",
            caseVersion="1.1",
        ),
        "CFItems": [
            item("b", "Adapts the message to the audience", humanCodingScheme="SL.2", CFItemType="Standard"),
            item("a", "Speaks clearly", humanCodingScheme="SL.1", CFItemType="Standard"),
            item("a1", "Is heard at the back of the room", humanCodingScheme="SL.1.a", CFItemType="Component"),
            item("c", "Listens actively"),
        ],
        "CFAssociations": [
            child("a", "document", 1),
            child("b", "document", 2),
            child("a1", "a", 1),
            child("c", "document", 3),
        ],
        "CFRubrics": [
            rubric(
                "Oral communication",
                criterion("Organisation", *high_to_low, position=2),
                criterion("Delivery", *high_to_low, position=1, of="a"),
            )
        ],
    }
    return {**whole, **parts}


def as_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()
