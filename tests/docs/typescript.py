"""The TypeScript and JavaScript of the documentation, compiled with `tsc --strict`."""

from pathlib import Path

from tests.docs.pages import blocks
from tests.npm import install, run

LANGUAGES = ("ts", "tsx", "js")
GENERATED = "docs/api-browser.md"
"""Its blocks are parts of the types, which are compiled as a whole."""
REACT = """
declare module "react" {
  export function useEffect(effect: () => void | (() => void), changes: unknown[]): void;
  export function useState<T>(first: T): [T, (next: T | ((last: T) => T)) => void];
}
declare const React: unknown;
declare namespace JSX {
  interface Element {}
  interface IntrinsicElements {
    [name: string]: { key?: string | number; children?: unknown };
  }
}
"""
"""What the examples use of React: Debian's package has no types."""
NATS = """
declare module "@nats-io/transport-node" {
  export interface Msg { string(): string; }
  export interface NatsConnection {
    subscribe(
      subject: string, options?: { callback?: (error: Error | null, message: Msg) => void },
    ): unknown;
    close(): Promise<void>;
  }
  export function connect(
    options?: { servers?: string | string[]; maxReconnectAttempts?: number },
  ): Promise<NatsConnection>;
}
declare module "@nats-io/jetstream" {
  import type { NatsConnection } from "@nats-io/transport-node";
  export interface PubAck { stream: string; seq: number; duplicate: boolean; }
  export interface JetStreamPublishOptions {
    msgID: string;
    timeout: number;
    retries: number;
    expect: Partial<{ streamName: string; lastMsgID: string; lastSequence: number }>;
  }
  export interface JetStreamClient {
    publish(
      subject: string, payload?: Uint8Array | string, options?: Partial<JetStreamPublishOptions>,
    ): Promise<PubAck>;
  }
  export class JetStreamApiError extends Error {
    get code(): number;
    get status(): number;
  }
  export function jetstream(connection: NatsConnection): JetStreamClient;
}
"""
"""What the example of a publisher uses of the clients of NATS, which npm has and Debian has not."""
FLAGS = ("--strict", "--target", "es2022", "--lib", "es2022,dom", "--jsx", "react", "--allowJs")


def examples() -> dict[str, str]:
    """Return each example by its file's name, which its first line has, or else a number."""
    found = {}
    for number, block in enumerate(blocks()):
        if block.language in LANGUAGES and block.page != GENERATED:
            first, _, _ = block.text.partition("\n")
            named = first.startswith("// ")
            found[first[3:] if named else f"example{number}.{block.language}"] = block.text
    return found


def compiled(project: Path, resolution: str = "node16") -> Path:
    """Compile all examples in a project with the npm package; return the folder of the output.

    `resolution`: how TypeScript finds the package's types.
    """
    install(project)
    (project / "package.json").write_text('{"type": "module"}')
    (project / "react.d.ts").write_text(REACT)
    (project / "nats.d.ts").write_text(NATS)
    for name, text in examples().items():
        (project / name).write_text(text)
    module = "node16" if resolution == "node16" else "es2022"
    options = ("--moduleResolution", resolution, "--module", module, "--outDir", "out")
    run("tsc", *FLAGS, *options, "react.d.ts", "nats.d.ts", *examples(), cwd=project)
    return project / "out"
