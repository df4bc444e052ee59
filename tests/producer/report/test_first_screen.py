"""The first screen: the answer on 30 lines of 100 columns, whatever was raced and however it came out."""

import io
import re
from dataclasses import replace
from pathlib import PurePath

import msgspec
import pytest
from nouns import verdict

from poolrace.pools import gives_up
from producer.analysis.recommendation import NOT_VALID, Recommendation
from producer.analysis.summary import summarise
from producer.plan.lanes import parse_lanes
from producer.plan.run_settings import AppSettings
from producer.report.document import document
from producer.report.first_screen import Cut, answer, closing, first_screen, headline, short
from producer.report.kinds import KINDS
from producer.report.parts import Prose, Table
from producer.report.terminal import SCREEN_WIDTH, show_first
from producer.rundir.reader import read_run

LINES = 30
"""Of the whole screen, the line that says where the page is included."""

DEFAULT = ("cpu", "native", "io", "mixed")
PATH = PurePath("runs") / "2026-11-23T18-16-48Z-race-8c53a3"
WHY = "1.37 to 2.86 times as many as prefork, a quarter of the memory"
WARNING = (
    "Other programs used 0.8 of 2 cores while it ran: its figures are those of a busy machine. Close them and run it "
    "again, or use a machine that has nothing else to do, which is the only way to narrow intervals."
)
PROBLEM = f"Of 4000 jobs not all came to one end: {', '.join(f'{n} lost' for n in range(40))}.\n  the end of a log"
ROOM = Cut(rows=9, lines=9, warnings=9)
OPEN_WHY = "any lane may do 61 % less than the other"


def chosen(lane="threads", *, sure="settled", why=WHY, pool=None, app="YOUR_APP", **others):
    """A recommendation of a lane with eight slots."""
    pool = pool or lane
    return Recommendation(
        lane=lane,
        why=why,
        sure=sure,
        pool=pool,
        concurrency=8,
        nodes=1,
        transport="stock",
        command=f"celery -A {app} worker -P {pool} -c 8 --prefetch-multiplier 4 -n {pool}@%h",
        gives_up=gives_up(pool),
        memory_ratio=5.0 if pool == "prefork" else 0.2,
        **others,
    )


NOTHING = Recommendation(lane=None, why=OPEN_WHY, advice="Take the race on, or use a quieter machine")
BOTH = (chosen("prefork"), chosen("threads"))


@pytest.fixture
def raced(run_maker):
    """Makes summaries of races with these workloads, which are recommended these lanes in turn."""
    (read,) = [read_run(run_maker())]

    def raced(names=DEFAULT, recommended=BOTH, *, verdicts=None, warnings=(), problems=(), lanes=None, app=None):
        whole = summarise(read)
        (sleep,) = whole.workloads
        found = (verdict("open"), verdict("open", measure="latency")) if verdicts is None else verdicts
        workloads = [
            replace(sleep, workload=name, recommendation=recommended[n % len(recommended)], verdicts=found)
            for n, name in enumerate(names)
        ]
        settings = replace(whole.settings, app=app, lanes=tuple(lanes or whole.settings.lanes))
        return replace(
            whole, workloads=tuple(workloads), settings=settings, warnings=tuple(warnings), problems=tuple(problems),
            valid=not problems,
        )  # fmt: skip

    return raced


def screen(summary):
    """What a first screen prints off a terminal, line by line, and where the page is, as a race does after it."""
    stream = io.StringIO()
    show_first(lambda cut: first_screen(summary, PATH, cut), stream)
    return [*stream.getvalue().splitlines(), f"Page: {PATH / 'report.html'}"]


def checked(lines):
    """The same lines, that are few and short and end in no space."""
    assert len(lines) <= LINES, "\n".join(lines)
    assert max(map(len, lines)) <= SCREEN_WIDTH, "\n".join(lines)
    assert [line for line in lines if line != line.rstrip()] == []
    return lines


def row(lines, workload):
    """The cells of a workload, whose row is one line."""
    (found,) = [line for line in lines if line.startswith(f"{workload} ")]
    return re.split(r" {2,}", found)


@pytest.mark.parametrize("warnings", [0, 1, 5])
@pytest.mark.parametrize(
    "recommended",
    [
        BOTH,
        (chosen("prefork"),),
        (
            chosen("prefork", sure="likely", why="at worst 5.7 % slower"),
            chosen(sure="open", why="at worst 30 % slower"),
        ),
        (NOTHING,),
        (NOTHING, *BOTH),
    ],
    ids=["both pools", "one pool", "likely and open", "everything open", "one open"],
)
def test_a_default_race_is_on_one_screen(raced, recommended, warnings):
    lines = checked(screen(raced(recommended=recommended, warnings=[WARNING] * warnings)))
    for number, name in enumerate(DEFAULT):
        each = recommended[number % len(recommended)]
        run, slots = (each.pool, "8") if each.lane else ("none", "-")
        assert row(lines, name) == [name, run, slots, each.sure, each.why]
    assert [line.strip() for line in lines if line.startswith("    celery")] == list(
        dict.fromkeys(each.command for each in recommended if each.command)
    )
    assert sum("Other programs used" in line for line in lines) >= min(warnings, 1)
    given_up = [line for line in lines if line.startswith("What you give up with")]
    assert len(given_up) == len({each.pool for each in recommended if each.pool})
    assert f"    poolrace race --continue {PATH}" in lines
    assert f"  Run directory: {PATH}" in lines


def test_three_lanes_are_on_one_screen_and_lanes_of_one_pool_have_their_keys(raced):
    lanes = parse_lanes(["prefork:8", "threads:8", "threads:8:prefetch=1"], concurrency=8, prefetch=4, acks="early")
    why = "1.37 to 2.86 times as many as prefork, 1.40 to 3.10 times as many as threads, a fifth of the memory"
    recommended = (chosen("prefork", why=why), chosen(why=why), chosen("threads-2", pool="threads", why=why))
    recommended = (*recommended[:2], replace(recommended[2], command=f"{recommended[2].command} --other"))
    lines = checked(screen(raced(recommended=recommended, lanes=lanes, warnings=[WARNING] * 5)))
    assert row(lines, "io")[:2] == ["io", "threads-2"]
    assert "1.37 to 2.86" in row(lines, "cpu")[-1]
    assert row(lines, "cpu")[-1].endswith(", …")
    assert len([line for line in lines if line.startswith("    celery")]) == 3


TASKS = [f"a_shop_of_many_words.tasks.deliveries_and_returns.task_number_{n}" for n in range(6)]
SETTING = "task_time_limit = 30 is ignored silently: a job that hangs keeps its slot for ever."


@pytest.fixture
def own_app(app_settings):
    return replace(app_settings, shares=dict.fromkeys(TASKS, 1 / 6))


@pytest.fixture
def app_settings():
    facts = {
        "inert": {"threads": [SETTING]}, "hazards": {}, "globals": [], "broker_scheme": "redis", "backend_scheme": "",
        "queues": [], "default_queue": "celery",
    }  # fmt: skip
    plain = {"app": "shop", "folder": "shop", "facts": facts, "shares": {}, "timeout_s": 60.0, "backend": "none"}
    return msgspec.convert(plain, AppSettings)


def test_an_own_app_of_six_tasks_is_on_one_screen_the_mix_of_all_first(raced, own_app):
    app = "a_shop_of_many_words.celery_application_of_the_shop:app"
    recommended = (chosen("prefork", app=app), chosen(app=app))
    lines = screen(raced([*TASKS, "mix"], recommended, app=own_app, warnings=[WARNING] * 5))
    assert len(lines) + sum(len(line) > SCREEN_WIDTH for line in lines) <= LINES
    assert [line for line in lines if line != line.rstrip()] == []
    at = next(number for number, line in enumerate(lines) if line.startswith("workload "))
    assert lines[at + 2].startswith("mix ")
    rows = [line for line in lines if "task_number_" in line and not line.startswith("and ")]
    assert [line.split()[0][-13:] for line in rows] == [f"task_number_{n}" for n in range(len(rows))]
    (rest,) = [line for line in lines if line.startswith("and ")]
    assert rest.startswith(f"and {6 - len(rows)} more: a_shop_of_many_words")
    assert any("your setting task_time_limit = 30 is ignored silently" in line for line in lines)


def test_a_run_that_is_not_valid_says_so_first_and_recommends_nothing(raced):
    invalid = raced(recommended=(NOT_VALID,), problems=[PROBLEM] * 8, warnings=[WARNING] * 5)
    lines = checked(screen(invalid))
    at = lines.index("This run is not valid (6 of 8)")
    assert at < lines.index("What to run")
    assert lines[at - 1] == ""
    assert "the end of a log" not in "\n".join(lines)
    assert not any("celery" in line or "--continue" in line for line in lines)
    assert f"    poolrace report --full {PATH}" in lines


def test_a_run_in_which_nothing_was_measured_says_where_it_is(run_maker):
    summary = summarise(read_run(run_maker(pairs=0, machine=None, began_at=None)))
    lines = checked(screen(summary))
    assert lines[:-1] == ["Race of -: prefork against threads", "", f"  Run directory: {PATH}"]


@pytest.mark.parametrize(
    ("verdicts", "sure", "words"),
    [
        (
            [verdict("prefork"), verdict("open", measure="latency")],
            "settled",
            "1 of 2 comparisons are settled. To take",
        ),
        ([verdict("prefork")], "likely", "1 of 1 comparisons are settled. To take"),
        ([verdict("prefork"), verdict("threads", measure="latency")], "settled", None),
        ([], "open", None),
    ],
)
def test_a_race_with_something_left_to_settle_says_how_to_take_it_on(raced, verdicts, sure, words):
    summary = raced(["cpu"], [chosen(sure=sure)], verdicts=tuple(verdicts))
    found = closing(summary, PATH)
    commands = [f"poolrace report --full {PATH}"]
    if words:
        assert found.lines[-1].startswith(words)
        commands = [f"poolrace race --continue {PATH}", *commands]
    assert list(found.commands) == commands
    assert list(closing(summary, PATH, whole=True).commands) == commands[:-1]


def test_a_path_with_spaces_can_be_copied_and_the_page_is_named_if_it_is_there(raced):
    found = closing(raced(), PurePath("my runs/x"), has_page=True)
    assert list(found.lines[:2]) == ["Page: my runs/x/report.html", "Run directory: my runs/x"]
    assert found.commands[0] == "poolrace race --continue 'my runs/x'"


def test_the_headline_says_how_long_and_how_many_pairs(raced):
    (line,) = headline(raced(verdicts=(verdict(pairs=3), verdict(pairs=12)))).lines
    assert line.startswith("measured 45 s, 3 to 12 pairs a comparison, ")
    (line,) = headline(raced(verdicts=(verdict(pairs=1),))).lines
    assert line.startswith("measured 45 s, 1 pair a comparison, ")


def test_many_lanes_are_counted(raced):
    lanes = parse_lanes([f"threads:{n}" for n in range(1, 6)], concurrency=2, prefetch=4, acks="early")
    assert headline(raced(lanes=lanes)).title == "Race of 2023-11-14 22:13 UTC: 5 lanes"


def test_what_a_screen_cuts_is_whole_in_the_report(raced):
    summary = raced(["a" * 60, *DEFAULT], warnings=[WARNING] * 5)
    parts = document(summary)
    assert [part for part in parts if part in answer(summary)] == answer(summary)
    (table,) = [part for part in parts if isinstance(part, Table) and part.large]
    assert (table.rows[0][0], table.rows[0][-1]) == ("a" * 60, WHY)
    assert next(part for part in parts if part.title == "Warnings").lines == (WARNING,) * 5


def test_a_list_that_is_cut_says_how_many_there_are(raced):
    parts = first_screen(raced(warnings=[WARNING] * 5), PATH, Cut(rows=2, lines=1, warnings=2))
    titles = [part.title for part in parts]
    assert titles[3:6] == ["What you give up with prefork (1 of 3)", "What you give up with threads (1 of 6)",
                           "Warnings (2 of 5)"]  # fmt: skip
    assert parts[1].note == "and 2 more: io, mixed"


def test_with_room_for_all_nothing_is_cut_but_what_matters_less(raced):
    summary = raced(recommended=(chosen("prefork"),))
    parts = first_screen(summary, PATH, ROOM)
    assert parts[1:-1] == answer(summary)
    summary = raced(recommended=(chosen("threads"),))
    assert first_screen(summary, PATH, ROOM)[-2].title == "What you give up with threads (3 of 6)"


@pytest.mark.parametrize(
    ("text", "most", "left"),
    [
        ("as it is", 8, "as it is"),
        ("one line\nof two", 20, "one line"),
        ("does 1.4 times as many, a fifth of the memory", 44, "does 1.4 times as many, …"),
        ("words without a comma here", 20, "words without a …"),
        ("oneverylongwordwithoutanyspace", 12, "oneverylon …"),
        ("a, and a long clause that goes on", 30, "a, and a long clause that …"),
    ],
)
def test_a_text_is_cut_after_a_clause_or_else_a_word(text, most, left):
    assert short(text, most) == left
    assert len(short(text, most)) <= most


@pytest.mark.parametrize("kind", ["limit", "sweep"])
def test_a_kind_without_an_answer_of_its_own_shows_its_first_table_and_all_it_says(run_maker, kind, monkeypatch):
    monkeypatch.setitem(KINDS, kind, replace(KINDS[kind], answer=None))
    summary = summarise(read_run(run_maker(settings={"kind": kind})))
    parts = list(KINDS[kind].parts(summary))
    first = next(part for part in parts if isinstance(part, Table))
    said = [part for part in parts if isinstance(part, Prose)]
    assert answer(summary) == [part for part in parts if part == first or part in said]
    assert document(summary)[1:] == [*answer(summary), *(part for part in parts if part not in answer(summary))]
    assert not any("--continue" in command for command in closing(summary, PATH).commands)


def test_any_kind_may_have_an_answer_of_its_own(run_maker, monkeypatch):
    said = Prose(title="The limit", lines=["threads hold 14/s."])
    monkeypatch.setitem(KINDS, "limit", replace(KINDS["limit"], answer=lambda _: iter([said])))
    summary = summarise(read_run(run_maker(settings={"kind": "limit"})))
    assert first_screen(summary, PATH, ROOM)[1:-1] == answer(summary) == [said]
    assert document(summary)[1:] == [said, *KINDS["limit"].parts(summary)]
