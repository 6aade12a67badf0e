"""Which format a client gets: the `Accept` header against the formats on offer (RFC 9110, 12.5.1)."""

from collections.abc import Mapping

from serving.api.problems import NotAcceptableError


def choose(accept: str, offers: Mapping[str, str]) -> str:
    """The key of `offers` that the header prefers; among equals the first.

    offers : media type by key, in the server's order of preference

    Raises
    ------
    NotAcceptableError
        If the header accepts none of them.
    """
    ranges = [_parse_range(part) for part in accept.split(",") if part.strip()] or [("*/*", 1.0)]
    qualities = {key: _quality(media_type, ranges) for key, media_type in offers.items()}
    best = max(qualities, key=lambda key: qualities[key])
    if qualities[best] <= 0:
        raise NotAcceptableError(f"Accept {accept[:80]!r} matches no format; on offer are {', '.join(offers.values())}")
    return best


def _quality(media_type: str, ranges: list[tuple[str, float]]) -> float:
    """The quality that the most specific matching range gives; 0 where none matches."""
    by_range = dict(reversed(ranges))
    for wanted in (media_type, f"{media_type.split('/', maxsplit=1)[0]}/*", "*/*"):
        if wanted in by_range:
            return by_range[wanted]
    return 0.0


def _parse_range(part: str) -> tuple[str, float]:
    """A media range without its parameters, and its quality; a quality that does not parse counts as 1."""
    media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
    try:
        return media_range, min(max(0.0, float(quality)), 1.0)
    except ValueError:
        return media_range, 1.0
