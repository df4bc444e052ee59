"""Where the command `poolrace` begins, before anything that takes long to import."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command. Ctrl-C ends it without a word until it can be told what was kept."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from producer.cli import root

    root.main()


if __name__ == "__main__":
    main()
