from hypothesis import given
from hypothesis import strategies as st

from serving.api.pictures import PictureCache


def test_what_was_not_asked_for_longest_goes_first() -> None:
    cache = PictureCache(max_bytes=20)
    cache.put("a", b"1" * 8)
    cache.put("b", b"2" * 8)
    assert cache.get("a") == b"1" * 8
    cache.put("c", b"3" * 8)
    assert cache.get("b") is None
    assert cache.get("a") is not None
    assert cache.get("c") is not None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30))))
def test_it_never_holds_more_than_it_may(puts: list[tuple[int, int]]) -> None:
    cache = PictureCache(max_bytes=40)
    last: dict[int, bytes] = {}
    for key, length in puts:
        cache.put(key, b"x" * length)
        last[key] = b"x" * length
        assert cache.get(key) == last[key]
    kept = [content for key in last if (content := cache.get(key)) is not None]
    assert cache.size == sum(map(len, kept)) <= 40
