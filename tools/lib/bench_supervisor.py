"""The supervisor's own figures: what supervisor_bench measures, beside goals and peers."""

import datetime
import json
import os
import re
import subprocess

from bench_tools import fail, table

TITLE = "## Supervisor"
PREFIX = "BM_Supervisor"  # of its cases, and of those of the peers


def measure(args):
    """What the cases of the supervisor say, and the load of the machine before them."""
    print("Measuring the supervisor ...", flush=True)
    load = os.getloadavg()[0]
    command = [args.folder / "supervisor_bench", "--benchmark_format=json",
               f"--benchmark_filter=^{PREFIX}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(f"supervisor_bench failed:\n{done.stderr}")
    return Figures(json.loads(done.stdout)["benchmarks"], load)


class Figures:
    """What the cases say, in the units of the page."""

    def __init__(self, cases, load):
        self.cases = {self.plain(case["name"]): case for case in cases}
        self.load = load

    @staticmethod
    def plain(name):
        """Without what says how it is measured: iterations:3, manual_time, real_time."""
        return re.sub(r"/(iterations:\d+|manual_time|real_time)", "", name)

    def get(self, name, field):
        """None where a case could not be run, such as one that needs cgroups."""
        case = self.cases.get(name, {})
        return None if case.get("error_occurred") else case.get(field)

    def megabytes(self, name):
        rate = self.get(name, "bytes_per_second")
        return None if rate is None else rate / 1e6


def form(value, pattern="{:,.2f}"):
    return "not measured" if value is None else pattern.format(value)


def ratio(ours, theirs):
    return f"{theirs / ours:.2f}×" if ours and theirs else ""


def row(what, ours, goal, peer, theirs, pattern="{:,.2f}", more_is_better=False):
    ours_to_theirs = (theirs, ours) if more_is_better else (ours, theirs)
    return [what, form(ours, pattern), goal, peer, form(theirs, pattern), ratio(*ours_to_theirs)]


def crash_rows(figures):
    rows = []
    for field, text in (("p50_ms", "median"), ("p99_ms", "99 %"), ("slowest_ms", "slowest")):
        ours = figures.get("BM_Supervisor_CrashKnown", field)
        for peer, name in (("a loop of epoll and waitpid", "PidfdCrashKnown"),
                           ("runsv", "RunsvCrashKnown_Large")):
            theirs = figures.get(f"BM_SupervisorPeer_{name}", field)
            if theirs is not None:
                rows.append(row(f"crash known, {text} (ms)", ours, "≤ 50", peer, theirs))
    return rows


def rows_of(figures):
    rows = crash_rows(figures)
    rows.append(row("100 services of 1 s, all ready (ms)",
                    figures.get("BM_Supervisor_StartAll/services:100", "real_time"),
                    "≤ 1,200 + 100 spawns", "posix_spawn in a loop",
                    figures.get("BM_SupervisorPeer_PosixSpawnAll/services:100", "real_time"),
                    "{:,.0f}"))
    spawn = figures.get("BM_SupervisorPeer_PosixSpawn", "real_time")
    for cgroup, text in ((0, "until it runs"), (1, "until it runs, in a cgroup")):
        ours = figures.get(f"BM_Supervisor_Spawn/cgroup:{cgroup}", "real_time")
        rows.append(row(f"one process, {text} (µs)", ours, "", "posix_spawn", spawn, "{:,.0f}"))
    rows.append(row("start and stop, a second",
                    figures.get("BM_Supervisor_Cycles_Large/cycles:10000", "items_per_second"), "",
                    "posix_spawn, kill, waitpid",
                    figures.get("BM_SupervisorPeer_PosixSpawnCycles", "items_per_second"),
                    "{:,.0f}", more_is_better=True))
    for compress, text in ((0, ""), (1, ", backups compressed")):
        ours = figures.megabytes(f"BM_Supervisor_Flood/compress:{compress}")
        rows.append(row(f"flood taken{text} (MB/s)", ours, "≥ 500, or the loss is counted",
                        "cat FIFO > file", figures.megabytes("BM_SupervisorPeer_CatFlood"),
                        "{:,.0f}", more_is_better=True))
    return rows


def growth_rows(figures):
    cycles = "BM_Supervisor_Cycles_Large/cycles:10000"
    idle = "BM_Supervisor_Idle_Large/services:200/ms:10000"
    return [
        ["descriptors before 10,000 cycles",
         form(figures.get(cycles, "descriptors_before"), "{:.0f}"), ""],
        ["descriptors after them", form(figures.get(cycles, "descriptors_after"), "{:.0f}"),
         "as before"],
        ["zombies after them", form(figures.get(cycles, "zombies"), "{:.0f}"), "0"],
        ["resident memory before them (MiB)", form(figures.get(cycles, "resident_mib_before")), ""],
        ["resident memory after them (MiB)", form(figures.get(cycles, "resident_mib_after")),
         "as before"],
        ["wake-ups of the loop in 10 s, 200 idle services",
         form(figures.get(idle, "wake_ups"), "{:.0f}"), "0"],
        ["CPU time of the loop in them (ms)", form(figures.get(idle, "loop_cpu_ms"), "{:.3f}"),
         "0"],
        ["bytes of a flood that were dropped",
         form(figures.get("BM_Supervisor_Flood/compress:0", "dropped_bytes"), "{:,.0f}"), "0"],
    ]


def replace_part(page, figures):
    """Puts the part in the place of the one in the page, or before that of the programs."""
    text = page.read_text()
    part = "\n\n".join(page_parts(figures)) + "\n\n"
    found = re.search(rf"^{TITLE}\n.*?(?=^## |\Z)|(?=^## Parts\n)|\Z", text, re.M | re.S)
    page.write_text((text[:found.start()] + part + text[found.end():]).rstrip() + "\n")


def page_parts(figures):
    return [
        TITLE,
        f"Of {datetime.date.today().isoformat()}; the load of the machine before was "
        f"{figures.load:.1f}. The class in a program that does nothing else, with its loop thread; the peers one after "
        "the other in the same program. A crash is a `kill -9` from outside, known once another "
        "thread has got the change of state; of runsv, once its status file is replaced. The flood "
        "is cat of a file of lines in the page cache; idlewatt rotates its log and keeps the last "
        "lines for readers, cat only copies. A ratio above 1 means that the peer needs "
        "more, or does less.",
        table(["what", "idlewatt", "goal", "peer", "peer's", "ratio"], rows_of(figures)),
        table(["what is left, and what it costs to wait", "idlewatt", "goal"],
              growth_rows(figures)),
    ]
