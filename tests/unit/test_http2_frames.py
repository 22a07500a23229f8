"""GOAWAY frames are taken out of a stream of bytes, however it is cut."""

from __future__ import annotations

from hyperframe.frame import DataFrame, Frame, GoAwayFrame, PingFrame
from hypothesis import given
from hypothesis import strategies as st

from actors.channels.push.http2_frames import FrameFilter, Goaway

frames = st.one_of(
    st.binary(max_size=40).map(lambda data: DataFrame(1, data)),
    st.binary(min_size=8, max_size=8).map(lambda data: PingFrame(0, data)),
    st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 13), st.binary(max_size=30)).map(
        lambda made: GoAwayFrame(0, last_stream_id=made[0], error_code=made[1], additional_data=made[2])
    ),
)


@given(st.lists(frames, max_size=8), st.integers(1, 50))
def test_all_frames_but_goaway_pass_unchanged_and_in_order(given: list[Frame], piece: int) -> None:
    octets = b"".join(frame.serialize() for frame in given)
    passing, filtered, passed = FrameFilter(), list[Goaway](), b""
    for start in range(0, len(octets), piece):
        for part in passing.feed(octets[start : start + piece]):
            if isinstance(part, Goaway):
                filtered.append(part)
            else:
                passed += part

    assert passed == b"".join(one.serialize() for one in given if not isinstance(one, GoAwayFrame))
    assert filtered == [
        Goaway(one.last_stream_id, one.error_code, one.additional_data) for one in given if isinstance(one, GoAwayFrame)
    ]


def test_a_malformed_goaway_is_passed_to_the_library() -> None:
    for length in (7, 16_385):
        octets = length.to_bytes(3) + b"\x07" + bytes(5) + bytes(length)
        assert b"".join(part for part in FrameFilter().feed(octets) if isinstance(part, bytes)) == octets
