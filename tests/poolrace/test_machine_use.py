"""A machine is known by its kernel's start, and its use grows by what any program uses."""

import os
import platform
import time

from poolrace.machine_use import BOOT_ID, machine_use


def test_a_machine_is_known_by_its_start_which_all_its_containers_see():
    assert machine_use({BOOT_ID: "c0ffee\n"}.get).machine == "c0ffee"


def test_a_system_that_has_no_such_id_is_known_by_its_name():
    assert machine_use({}.get).machine == platform.node()


def test_what_a_process_uses_is_used_of_the_machine():
    before, own_s = machine_use(), time.process_time()
    while time.process_time() < own_s + 0.3:
        pass
    after = machine_use()
    assert after.busy_s - before.busy_s >= 0.2  # the kernel counts in steps of 10 ms
    assert after.at_s > before.at_s
    assert after.cores == os.cpu_count()
