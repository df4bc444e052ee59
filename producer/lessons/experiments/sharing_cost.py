"""What it costs to give data to another process: as a message, as a file, by fork, in shared memory."""

import mmap
import multiprocessing
import time
from typing import Any

from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Measure, Observed, Seen, Verdict, bars
from producer.lessons.lesson import not_shown, only_if, true

SIZES = {"small": 64 << 10, "large": 16 << 20}
WAYS = {"message": "a message", "file": "a file", "fork": "fork", "memory": "shared memory"}

LESSON = Lesson(
    order=5,
    vietnamese="Một process không thể chia sẻ dữ liệu với các process khác. Để chia sẻ dữ liệu giữa các process yêu "
    "cầu những cấu trúc dữ liệu đặc biệt đòi hỏi thời gian IO.",
    english="A process cannot share its data with others; to share them takes special structures and time for I/O.",
    tried="Bare Python: a process gives 64 KiB and 16 MiB to another, which adds up a byte of each page: by a message "
    "through a pipe, by a file, by fork, and in memory that both have mapped.",
    question="How many times as long as by fork does a message of 16 MiB take?",
    guessed="ratio",
    measures={
        **{f"{way}_small": Measure(title=f"64 KiB by {title}", unit="s") for way, title in WAYS.items()},
        **{f"{way}_large": Measure(title=f"16 MiB by {title}", unit="s") for way, title in WAYS.items()},
        "ratio": Measure(title="16 MiB: by a message over by fork"),
        "memory_ratio": Measure(title="16 MiB: in shared memory over by fork"),
    },
    expected=(Verdict.ONLY_IF, Verdict.ONLY_IF),
    advice="Load what all jobs only read (a model, a table) before the node forks, at import: its slots share the "
    "pages. Do not send it with each job; pass its name, as a path or a key.",
)


def observe(bench: Bench) -> Observed:
    """Give data of each size to a new process in each way."""
    while True:
        took = {f"{way}_{size}": give_s(way, bytes(SIZES[size]), bench) for size in SIZES for way in WAYS}
        fork = took["fork_large"]
        yield Seen(figures={**took, "ratio": took["message_large"] / fork, "memory_ratio": took["memory_large"] / fork})


def give_s(way: str, data: bytes, bench: Bench) -> float:
    """Give data to a forked process; return how long until it has read them, from before it was started, in seconds."""
    fork, shared, path = multiprocessing.get_context("fork"), mmap.mmap(-1, len(data)), bench.folder / "data"
    shared.write(data)
    near, far = fork.Pipe()
    take: Any = {"message": far.recv_bytes, "file": path.read_bytes, "fork": lambda: data, "memory": lambda: shared}
    process = fork.Process(target=lambda: far.send(sum(take[way]()[:: mmap.PAGESIZE])))
    began = time.perf_counter()
    if way == "file":
        path.write_bytes(data)
    process.start()
    if way == "message":
        near.send_bytes(data)
    near.recv()
    took_s = time.perf_counter() - began
    process.join()
    return took_s


def judge(found: Found) -> Judgement:
    """Judge by what a copy costs, over no copy."""
    ratio, memory = found["ratio"], found["memory_ratio"]
    if ratio.above(1.3) and memory.below(2):
        return only_if(f"the data are copied: by a message they took {ratio:.3g} times as long as by fork, which "
                       f"copies nothing that is only read; in shared memory {memory:.3g} times.")  # fmt: skip
    if memory.above(2):
        return true(f"shared memory took {memory:.3g} times as long as fork.")
    return not_shown(f"a message took {ratio:.3g} times as long as fork.")


picture = bars(LESSON, "Until a new process has read 16 MiB", *(f"{way}_large" for way in WAYS), unit="s")
