"""Commands that run on a simulated world instead of this machine."""

import pytest

from producer.cli import _output as output
from producer.cli._root import main
from producer.report.summary_json import from_json
from producer.rundir.reader import read_run


class Ended:
    """
    A command that has ended.

    Attributes:
        code: Its exit code.
        err: What it wrote to standard error.
        run: The run that it left.
        path: Its directory.
        summary: The summary that it printed.
    """

    def __init__(self, code, out, err, path):
        self.code, self.err, self.path = code, err, path
        self.run = read_run(path)
        self.summary = from_json(out) if out else None


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run a `poolrace` command from words to exit code, on a world."""

    def run(world, *words):
        world.take_over(monkeypatch)
        monkeypatch.setattr(output, "write_pictures", lambda *_, **__: [])  # the page has tests of its own
        with pytest.raises(SystemExit) as ended:
            main([*words, "--json", "--out", str(tmp_path / "runs")])
        (path,) = (tmp_path / "runs").iterdir()
        return Ended(ended.value.code, *capsys.readouterr(), path)

    return run
