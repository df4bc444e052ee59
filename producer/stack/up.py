"""Starts the stack, part by part; if one does not come up, those that were started are ended again."""

from __future__ import annotations

import errno
import shlex
import socket
from typing import TYPE_CHECKING

from producer.deadlines import until
from producer.errors import FleetError, UsageError
from producer.interrupts import held
from producer.stack import daemons, flower, passwords
from producer.stack.down import end_parts
from producer.stack.parts import BROKER, FLOWER, HOST, PARTS, PRODUCER, START_ORDER, UPSTREAM, Site
from producer.stack.settings import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from producer.fleet.processes import Child
    from producer.stack.settings import StackSettings
    from producer.stack.state import Ledger, StateFolder

READY_S = 120.0
LOOK_EVERY_S = 0.1


def bring_up(state: StateFolder, settings: StackSettings, say: Callable[[str], None]) -> tuple[Site, bool]:
    """
    Start every part of the stack that does not run, and wait until all are well.

    Those that run already are left as they are, with the settings they were started with.

    Returns:
        The stack's site, and whether Flower's login is new.

    Raises:
        FleetError: If a part does not come up, or its port is taken; what was started until then has ended.
        UsageError: If the state folder cannot be used.
    """
    state.make()
    with state.locked():
        ledger = state.read()
        missing = [part for part in PARTS if not ledger.runs(part)]
        if len(missing) == len(PARTS):
            ledger.settings = settings
        site = Site(state, ledger.settings, ledger.ports)
        if not missing:
            say("The stack runs already.")
        _report_other_settings(ledger, settings, say)
        _check_packages(missing)
        _check_ports(site, missing)
        is_new = passwords.make(state.secrets)
        if missing:
            say(f"Starting the stack; logs are in {state.shown / 'logs'}")
        _start_missing(site, ledger, missing, say)
        return site, is_new


def _report_other_settings(ledger: Ledger, settings: StackSettings, say: Callable[[str], None]) -> None:
    if differing := ledger.settings.differing(settings):
        say(f"It keeps what it was started with. To change {', '.join(differing)}: down first, then up.")


def _check_packages(missing: Sequence[str]) -> None:
    if FLOWER in missing and not flower.is_installed():
        raise UsageError(f"The {FLOWER} needs flower, which is not installed: pip install 'poolrace-tool[stack]'")


def _check_ports(site: Site, missing: Sequence[str]) -> None:
    """
    Check that the ports that the user knows are free, before anything is started.

    Raises:
        FleetError: If one is not; says how to choose another.
    """
    for part, field in ((FLOWER, "flower_port"), (PRODUCER, "metrics_port")):
        port = getattr(site.settings, field)
        if part in missing and not _is_free(port):
            raise FleetError(
                f"Port {port} is taken, and the {part} needs it. Nothing was started. Choose another: "
                f"{VARIABLES[field]}={port + 1} make up"
            )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: connections that ended a moment ago do not hold a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise FleetError(f"Port {port} of {HOST} cannot be used: {error.strerror}.") from error
    return True


def _start_missing(site: Site, ledger: Ledger, missing: Sequence[str], say: Callable[[str], None]) -> None:
    _find_ports(ledger)
    _write_variables(site)
    begun: dict[str, Child] = {}
    try:
        for group in START_ORDER:
            for part in group:
                if part in missing:
                    _start(site, ledger, part, begun)
            for part in group:
                _wait(site, part, begun)
                say(f"  {part:<16} {site.describe(part)}")
    except BaseException:
        say("It did not come up. Ending what was started:" if begun else "It did not come up.")
        end_parts(site.state, ledger, list(begun), say)
        raise


def _find_ports(ledger: Ledger) -> None:
    """Choose ports for the parts that take any: their last ones, unless others use them now."""
    for part in (BROKER, UPSTREAM):
        known = ledger.ports.get(part)
        if not ledger.runs(part) and (known is None or not _is_free(known)):
            with socket.socket() as probe:
                probe.bind((HOST, 0))
                ledger.ports[part] = int(probe.getsockname()[1])


def _write_variables(site: Site) -> None:
    """Write the variables for the user's shell: `. .poolrace/env`."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in site.broker_variables().items()]
    site.state.variables.write_text("".join(lines), encoding="utf-8")


def _start(site: Site, ledger: Ledger, part: str, begun: dict[str, Child]) -> None:
    command, env = site.command(part), site.environment(part)
    with held():  # no interrupt between starting a process and noting it
        log = site.state.begin(part)
        begun[part], ledger.daemons[part] = daemons.start(part, command, log=log, env=env, cwd=site.state.temporary)
        site.state.write(ledger)


def _wait(site: Site, part: str, begun: Mapping[str, Child]) -> None:
    """
    Wait until a part is well.

    Raises:
        FleetError: If it stays unwell, or anything that was started ends; with the end of the log.
    """

    def well() -> bool:
        is_well = site.problem(part) is None
        for child in begun.values():
            child.check()
        return is_well

    if not until(well, READY_S, every_s=LOOK_EVERY_S):
        log = site.state.log(part)
        end = f"The end of its log, {log}:\n{begun[part].tail()}" if part in begun else f"Its log: {log}"
        raise FleetError(f"The {part} is not well after {READY_S:.0f} s: {site.problem(part)}. {end}")
