"""The options of `percolator loadtest`: what each is called and means."""

from pathlib import Path
from typing import Annotated

import typer

Connections = Annotated[
    int, typer.Option(help="Clients, spread over the markets.", metavar="N", min=1)
]
Duration = Annotated[
    float, typer.Option(help="How long events are published.", metavar="SECONDS", min=0.1)
]
Rate = Annotated[
    float, typer.Option(help="Events a second, over all markets.", metavar="N", min=0.1)
]
Ramp = Annotated[
    float, typer.Option(help="Time over which the clients come in.", metavar="SECONDS", min=0)
]
Slabs = Annotated[
    int,
    typer.Option(
        help="Markets of the test's own, whose names begin with loadtest-.", metavar="N", min=1
    ),
]
Slab = Annotated[
    list[str] | None,
    typer.Option(help="A market to use instead; may be repeated.", metavar="SLAB"),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Send made-up events to a --slab on a NATS that is not on loopback."
    ),
]
MaxP99 = Annotated[
    float | None,
    typer.Option(
        "--max-p99-ms", help="Exit with 3 where the p99 latency is longer.", metavar="MS", min=0
    ),
]
MaxLost = Annotated[
    int | None,
    typer.Option(
        help="Exit with 3 where more events were lost, doubled, out of order or altered.",
        metavar="N",
        min=0,
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(help="Write the report as a page to look at.", metavar="FILE", dir_okay=False),
]
VerifyLimits = Annotated[
    bool,
    typer.Option(
        "--verify-limits",
        help="Instead of a load, walk up to each limit of the gateway and one past it: takes a "
        "minute, and keeps others out for some seconds.",
    ),
]
