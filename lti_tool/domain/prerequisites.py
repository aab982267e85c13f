"""Which badge asks for which first, and whether that goes round in a circle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Asks = Callable[[str], Sequence[str]]  # a badge's slug → the slugs of what it asks for first


def circle(slug: str, asks: Asks) -> tuple[str, ...]:
    """Return the way from a badge back to itself, as (a, b, a); empty where there is none."""
    seen: set[str] = set()
    ways: list[tuple[str, ...]] = [(slug,)]
    while ways:
        way = ways.pop()
        for asked in asks(way[-1]):
            if asked == slug:
                return (*way, slug)
            if asked not in seen:
                seen.add(asked)
                ways.append((*way, asked))
    return ()


def in_order(asked: Mapping[str, Sequence[str]]) -> list[str]:
    """Return badges so that what is asked for first comes first; those in a circle come as they are given."""
    ordered: list[str] = []
    begun: set[str] = set()

    def visit(slug: str) -> None:
        if slug in begun or slug not in asked:
            return
        begun.add(slug)
        for first in asked[slug]:
            visit(first)
        ordered.append(slug)

    for slug in asked:
        visit(slug)
    return ordered
