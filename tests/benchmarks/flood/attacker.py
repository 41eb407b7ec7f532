"""An attacker, a process of its own.

    python -m tests.benchmarks.flood.attacker NAME PORT NATS_URL

It attacks until its input ends; then it prints what it counted.
"""

import json
import resource
import sys

from tests.benchmarks.flood import messages, places
from tests.benchmarks.flood.attack import Attack, Target

ATTACKS: dict[str, Attack] = {**messages.ATTACKS, **places.ATTACKS}


def main() -> None:
    """Run with the arguments of the command line."""
    name, port, nats_url = sys.argv[1:]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    report = ATTACKS[name].make(Target(int(port), nats_url)).run()
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
