"""Where the command `poolrace` begins, before anything that takes long to import."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command. Ctrl-C ends it silently until there is something to say about what was kept."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from producer.cli._root import main as poolrace

    poolrace()


if __name__ == "__main__":
    main()
