"""The options of `percolator loadtest`: names and help."""

from pathlib import Path
from typing import Annotated

import typer

Connections = Annotated[
    int, typer.Option(help="Number of clients, spread over the markets.", metavar="N", min=1)
]
Duration = Annotated[
    float, typer.Option(help="How long to publish events.", metavar="SECONDS", min=0.1)
]
Rate = Annotated[
    float, typer.Option(help="Events per second, over all markets.", metavar="N", min=0.1)
]
Ramp = Annotated[
    float, typer.Option(help="Time over which the clients connect.", metavar="SECONDS", min=0)
]
Slabs = Annotated[
    int,
    typer.Option(help="Number of markets to create, named loadtest-....", metavar="N", min=1),
]
Slab = Annotated[
    list[str] | None,
    typer.Option(help="Use this existing market instead; may be repeated.", metavar="MARKET"),
]
AllMarkets = Annotated[
    bool,
    typer.Option(
        "--all-markets",
        help="Clients follow all markets, with price:*, trades:* and funding:*, instead of one.",
    ),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Allow --slab with a NATS on another machine, where real clients may be."
    ),
]
MaxP99 = Annotated[
    float | None,
    typer.Option(
        "--max-p99-ms", help="Exit with code 3 if the p99 latency is higher.", metavar="MS", min=0
    ),
]
MaxLost = Annotated[
    int | None,
    typer.Option(
        help="Exit with code 3 if more events are lost, duplicated, out of order or altered.",
        metavar="N",
        min=0,
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(help="Also write the report as an HTML page.", metavar="FILE", dir_okay=False),
]
VerifyLimits = Annotated[
    bool,
    typer.Option(
        "--verify-limits",
        help="Instead, test each limit by exceeding it by one; takes a minute and blocks other "
        "clients for a few seconds.",
    ),
]
