"""The fuzz targets: for each input, the possible examples and the promises that must hold.

No exception leaves a target unless a promise is broken: each input gets an answer, a close or a
rejection; afterwards nothing is held, and all counters agree.
"""

from hypothesis import strategies as st

from tests.fuzz.targets import (
    controls,
    events,
    frames,
    heads,
    hello,
    many,
    messages,
    proxies,
    queries,
)
from tests.fuzz.targets.target import Target, cuts

TARGETS = {
    "head": Target(
        st.tuples(heads.heads, cuts),
        heads.check_head,
        found=((b"GET / HTTP/1.1\r\nIf-None-Match: a\r\nIf-None-Match: b\r\n\r\n", []),),
    ),
    "hello": Target(hello.examples, hello.check_hello),
    "proxy": Target(proxies.examples, proxies.check_proxy),
    "frames": Target(
        st.tuples(st.lists(frames.frames, max_size=6), cuts),
        frames.check_frames,
        found=(([frames.many(0x81, 23), b"\xff\xff"], []),),
    ),
    "pongs": Target(controls.scripts, controls.check_pongs),
    "rate": Target(controls.bursts, controls.check_rate),
    "fragments": Target(st.tuples(controls.fragments, cuts), controls.check_fragments),
    "messages": Target(
        st.tuples(st.booleans(), st.lists(messages.steps, max_size=15)), messages.check_messages
    ),
    "many": Target(many.requests, many.check_many),
    "events": Target(
        st.lists(st.tuples(events.subjects, events.payloads), max_size=5), events.check_events
    ),
    "queries": Target(queries.texts, queries.check_query),
    "tokens": Target(events.raw_tokens, events.check_tokens),
}
