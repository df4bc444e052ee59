"""A user's app sees what the user has set, and nothing that is meant for Poolrace; a node of ours sees neither."""

import sys

from producer.fleet import environment
from producer.fleet.environment import app_environment, inherited_environment, interpreter, source_path

GIVEN = {
    "PATH": "/bin",
    "DATABASE_URL": "x",
    "CELERY_BROKER_URL": "redis://theirs/0",
    "POOLRACE_BROKER": "redis://:secret@host/0",
    "MY_POOLRACE_": "kept",
}


def test_an_app_sees_the_environment_without_what_is_meant_for_poolrace():
    assert app_environment(GIVEN) == {
        "PATH": "/bin",
        "DATABASE_URL": "x",
        "CELERY_BROKER_URL": "redis://theirs/0",
        "MY_POOLRACE_": "kept",
    }


def test_a_node_of_ours_does_not_see_the_broker_of_somebody_else():
    assert inherited_environment(GIVEN) == {"PATH": "/bin", "DATABASE_URL": "x", "MY_POOLRACE_": "kept"}


def test_the_environment_itself_is_left_as_it_is():
    environ = {"POOLRACE_BROKER": "x"}
    app_environment(environ)["ADDED"] = "1"
    inherited_environment(environ)["ADDED"] = "1"
    assert environ == {"POOLRACE_BROKER": "x"}
    assert app_environment({}) == {}


def test_a_lane_without_a_python_runs_on_ours_and_needs_no_path():
    assert interpreter("") == sys.executable
    assert source_path("") == {}


def test_another_python_finds_our_packages_in_a_checkout_and_not_in_an_installation(tmp_path, monkeypatch):
    for folder, found in [("src", {"PYTHONPATH": str(tmp_path / "src")}), ("site-packages", {})]:
        monkeypatch.setattr(environment, "__file__", str(tmp_path / folder / "producer" / "fleet" / "environment.py"))
        assert interpreter("/opt/python") == "/opt/python"
        assert source_path("/opt/python") == found


def test_a_path_is_as_seen_from_here_since_nodes_run_elsewhere_and_links_are_kept(tmp_path, monkeypatch):
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for named in ("venv/bin/python", "./venv/bin/python", "~/venv/bin/python"):
        assert interpreter(named) == str(tmp_path / "venv" / "bin" / "python")
    assert interpreter("python3.13") == "python3.13"
