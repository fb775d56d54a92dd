"""Numbers and spans of time, as one says them."""


def spoken_count(number: int, noun: str) -> str:
    """How many of something.

    >>> spoken_count(1, "row"), spoken_count(1_200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def spoken_span(seconds: float) -> str:
    """A span of time in its two greatest units.

    >>> spoken_span(42.3), spoken_span(150), spoken_span(7_500), spoken_span(100_000)
    ('42 s', '2 min 30 s', '2 h 5 min', '1 d 3 h')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
