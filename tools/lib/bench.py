"""Runs the benchmark programs and the comparison of whole daemons; writes docs/benchmarks.md.

Called by tools/bench, which builds what is measured and fetches the peers. Everything listens on
loopback ports that were free; everything that is started is stopped again, by its pid.
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bench_history
import bench_supervisor
from bench_tools import (cpu_seconds, fail, find_peer, format_time, free_port, get, start,
                         status_kilobytes, stop, table, wake_ups, written_bytes)

SCRAPE_PERIOD = 5.0  # seconds; also the daemon's own interval
WARM_UP = 15.0
SLEEPERS = 300
LATENCY_REQUESTS = 200

FEW_SOCKETS = 100  # of the machine, while whole daemons are compared
HERDS = (2000, 10000)  # processes for the reading of all processes
HERD_INTERVALS = 6
SHORT_LIVED = 100_000

CONFIG = """
[daemon]
data_dir = "{folder}/data"
[collector]
interval = "5s"
[collector.power.model]
idle_watts = 5.0
max_watts = 25.0
[http]
listen = "127.0.0.1:{port}"
"""

SERVICE = """
[[service]]
name = "demo{number}"
command = ["{server}", "--port", "${{PORT}}", "--memory", "64MiB"]
port = {port}
"""

PROCESS_EXPORTER_CONFIG = """
process_names:
  - name: "{{.Comm}}"
    cmdline: ['.+']
"""


# --- Starting and stopping ----------------------------------------------------------------------


class Subject:
    """One program that is measured, and what was seen of it."""

    def __init__(self, name, process, port, log):
        self.name, self.process, self.port, self.log = name, process, port, log
        self.cpu_per_interval, self.latencies = [], []
        self.cpu_total = self.wake_ups = self.written = self.series = self.answer_bytes = 0
        self.rss_kilobytes = 0

    @property
    def pid(self):
        return self.process.pid

    def scrape(self):
        try:
            return get(self.port, "/metrics")
        except OSError as error:
            fail(f"{self.name} does not answer /metrics: {error}\n{self.log_end()}")

    def wait_until_it_answers(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                get(self.port, "/metrics")
                return
            time.sleep(0.1)
        fail(f"{self.name} did not start; its last lines:\n{self.log_end()}")

    def log_end(self):
        return "\n".join(Path(self.log).read_text(errors="replace").splitlines()[-15:])


def start_subject(stack, name, command, port, folder):
    log_path = folder / f"{name}.log"
    log = stack.enter_context(open(log_path, "wb"))
    subject = Subject(name, start(stack, command, log), port, log_path)
    subject.wait_until_it_answers()
    return subject


def start_reader(stack, binary, backend, folder):
    """An idlewatt without services, to see what reading all processes costs it."""
    port = free_port()
    name = f"idlewatt ({backend})"
    data = folder / backend
    data.mkdir()
    path = folder / f"{backend}.toml"
    path.write_text(CONFIG.format(folder=data, port=port)
                    + f'[collector.process]\nbackend = "{backend}"\n')
    return start_subject(stack, name, [binary, "run", "--config", path], port, folder)


def start_idlewatt(stack, binary, server, folder):
    port = free_port()
    config = CONFIG.format(folder=folder, port=port)
    for number in range(1, 4):
        config += SERVICE.format(number=number, server=server, port=free_port())
    path = folder / "idlewatt.toml"
    path.write_text(config)
    return start_subject(stack, "idlewatt", [binary, "run", "--config", path], port, folder)


def start_node_exporter(stack, folder):
    port = free_port()
    program = find_peer("prometheus-node-exporter")
    command = [program, f"--web.listen-address=127.0.0.1:{port}"]
    return start_subject(stack, "node_exporter", command, port, folder)


def start_process_exporter(stack, folder):
    port = free_port()
    config = folder / "process-exporter.yml"
    config.write_text(PROCESS_EXPORTER_CONFIG)
    program = find_peer("prometheus-process-exporter")
    command = [program, f"--web.listen-address=127.0.0.1:{port}", f"--config.path={config}"]
    return start_subject(stack, "process-exporter", command, port, folder)


# --- The comparison -----------------------------------------------------------------------------


def measure_intervals(subjects, seconds):
    """Scrapes every subject each period and notes its CPU time per period."""
    begin = {s: (cpu_seconds(s.pid), wake_ups(s.pid), written_bytes(s.pid)) for s in subjects}
    last = {s: begin[s][0] for s in subjects}
    next_tick = time.monotonic()
    for _ in range(max(1, round(seconds / SCRAPE_PERIOD))):
        for subject in subjects:
            subject.scrape()
        next_tick += SCRAPE_PERIOD
        time.sleep(max(0.0, next_tick - time.monotonic()))
        for subject in subjects:
            now = cpu_seconds(subject.pid)
            subject.cpu_per_interval.append(now - last[subject])
            last[subject] = now
    for subject in subjects:
        cpu, wakes, written = begin[subject]
        subject.cpu_total = last[subject] - cpu
        subject.wake_ups = wake_ups(subject.pid) - wakes
        subject.written = written_bytes(subject.pid) - written
        subject.rss_kilobytes = status_kilobytes(subject.pid, "VmRSS")


def measure_latency(subject, requests):
    for _ in range(requests):
        seconds, body = subject.scrape()
        subject.latencies.append(seconds)
    lines = body.decode().splitlines()
    subject.series = sum(1 for line in lines if line and not line.startswith("#"))
    subject.answer_bytes = len(body)


def wait_for_quiet_sockets():
    """Connections of a benchmark before stay in TIME_WAIT for a minute, and idlewatt, which tells new
    connections of services by them, reads them all: some thousands cost it milliseconds a tick."""
    for _ in range(120):
        waiting = re.search(r"^TCP:.* tw (\d+)", Path("/proc/net/sockstat").read_text(), re.M)
        if waiting is None or int(waiting.group(1)) < FEW_SOCKETS:
            return
        time.sleep(1)


def compare(args):
    wait_for_quiet_sockets()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="idlewatt-bench-")))
        for _ in range(SLEEPERS):
            start(stack, ["sleep", "86400"], subprocess.DEVNULL)
        subjects = [
            start_idlewatt(stack, args.binary, args.server, folder),
            start_node_exporter(stack, folder),
            start_process_exporter(stack, folder),
        ]
        print(f"Comparing for {args.seconds} s, after {WARM_UP:.0f} s to warm up ...", flush=True)
        time.sleep(WARM_UP)
        measure_intervals(subjects, args.seconds)
        for subject in subjects:
            # A scrape of the peers reads every process again; fewer of them tell as much.
            is_ours = subject.name == "idlewatt"
            measure_latency(subject, LATENCY_REQUESTS if is_ours else LATENCY_REQUESTS // 5)
        return subjects, len([p for p in os.listdir("/proc") if p.isdigit()])


# --- Reading all processes ----------------------------------------------------------------------


def gauge(subject, series):
    body = subject.scrape()[1].decode()
    found = re.search(rf"^{re.escape(series)} (\S+)$", body, re.M)
    return float(found.group(1)) if found else float("nan")


def measure_herd(args, count):
    """Rows of one herd: CPU time per process and reading of each program."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="idlewatt-bench-")))
        herd = subprocess.Popen([args.folder / "process_herd", str(count)], text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        stack.callback(stop, herd)
        herd.stdout.readline()
        subjects = [start_reader(stack, args.binary, b, folder) for b in ("bpf", "proc")]
        with contextlib.suppress(SystemExit):
            subjects.append(start_process_exporter(stack, folder))
        print(f"Reading {count} processes ...", flush=True)
        time.sleep(2 * SCRAPE_PERIOD)  # new processes cost more
        processes = len([p for p in os.listdir("/proc") if p.isdigit()])
        peers = subjects[2:]
        for subject in list(peers):  # one that gives up is no reason to stop
            try:
                get(subject.port, "/metrics")
            except OSError:
                subjects.remove(subject)
        measure_intervals(subjects, HERD_INTERVALS * SCRAPE_PERIOD)
        cost = {s.name: statistics.median(s.cpu_per_interval) * 1e6 / processes for s in subjects}
        peer = cost.get("process-exporter")
        rows = []
        for subject in subjects[:2]:
            took = gauge(subject, 'idlewatt_sampler_duration_seconds{sampler="process"}')
            ratio = f"{peer / cost[subject.name]:.0f}×" if peer else ""
            rows.append([processes, subject.name, f"{cost[subject.name]:.2f}", f"{took * 1e3:.1f}",
                         f"{subject.rss_kilobytes / 1024:.1f}", ratio])
        rows.append([processes, "process-exporter", f"{peer:.1f}" if peer else "no answer", "",
                     f"{subjects[2].rss_kilobytes / 1024:.1f}" if peer else "", ""])
        return rows


def measure_short_lived(args):
    """Resident memory of the daemon before and after many processes that came and went."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="idlewatt-bench-")))
        herd = subprocess.Popen([args.folder / "process_herd", "0"], text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        stack.callback(stop, herd)
        herd.stdout.readline()
        subject = start_idlewatt(stack, args.binary, args.server, folder)
        print(f"Running {SHORT_LIVED} short-lived processes ...", flush=True)

        def churn(count):
            herd.stdin.write(f"{count}\n")
            herd.stdin.flush()
            herd.stdout.readline()
            time.sleep(2 * SCRAPE_PERIOD)
            return status_kilobytes(subject.pid, "VmRSS") / 1024

        return [churn(SHORT_LIVED // 5), churn(SHORT_LIVED)]


# --- The benchmark programs ---------------------------------------------------------------------


def run_micro_benchmarks(folder):
    """Medians of five runs each, of long ones fewer: (program, name, nanoseconds, what else)."""
    rows = []
    for program in sorted(folder.glob("*_bench")):
        print(f"Running {program.name} ...", flush=True)
        command = [program, "--benchmark_format=json", "--benchmark_repetitions=5"]
        command += ["--benchmark_report_aggregates_only=true", "--benchmark_min_time=0.2"]
        command += [f"--benchmark_filter=-^{bench_supervisor.PREFIX}"]  # they have their own table
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            fail(f"{program.name} failed:\n{done.stderr}")
        for entry in json.loads(done.stdout)["benchmarks"]:
            if entry.get("aggregate_name", "median") == "median":  # one run alone has no name
                rows.append((program.name, entry["run_name"], nanoseconds(entry), rate(entry)))
    return rows


def nanoseconds(entry):
    # Where another thread does the work, the benchmark says so in its name.
    field = "real_time" if entry["run_name"].endswith("/real_time") else "cpu_time"
    return entry[field] * {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[entry["time_unit"]]


# What Google Benchmark itself says of a run; anything else is a counter of ours.
STANDARD_FIELDS = {
    "name", "run_name", "run_type", "repetitions", "repetition_index", "threads", "iterations",
    "aggregate_name", "aggregate_unit", "real_time", "cpu_time", "time_unit", "label",
    "family_index", "per_family_instance_index", "bytes_per_second", "items_per_second",
}


def rate(entry):
    told = [f"{name} {value:,.3g}" for name, value in entry.items() if name not in STANDARD_FIELDS]
    if "bytes_per_second" in entry:
        told.append(f"{entry['bytes_per_second'] / 1e6:,.1f} MB/s")
    elif "items_per_second" in entry:
        told.append(f"{entry['items_per_second']:,.0f} items/s")
    return ", ".join(told)


# --- The page -----------------------------------------------------------------------------------


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def process_backend(binary):
    """Reading without BPF costs several times as much; figures without this row mean little."""
    sensors = subprocess.run([binary, "sensors"], capture_output=True, text=True, check=False)
    backend = re.search(r"\(backend (\w+)\)", sensors.stdout)
    return backend.group(1) if backend else "unknown"


def machine_rows(args, processes):
    cpu_info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)", cpu_info, re.M)
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    compiler = subprocess.run(["c++", "--version"], capture_output=True, text=True, check=False)
    version = subprocess.run([args.binary, "version"], capture_output=True, text=True, check=False)
    return [
        ("date", datetime.date.today().isoformat()),
        ("CPU", f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} cores"),
        ("memory", f"{int(memory.group(1)) / 2**20:.1f} GiB"),
        ("kernel", platform.release()),
        ("compiler", (compiler.stdout.splitlines() or ["unknown"])[0]),
        ("idlewatt", (version.stdout.splitlines() or ["unknown"])[0]),
        ("processes while comparing", processes),
        ("idlewatt reads them by", process_backend(args.binary)),
        ("compared for", f"{args.seconds} s, a scrape of each every {SCRAPE_PERIOD:.0f} s"),
    ]


# What a row of the comparison shows: text, value of a subject, form. Less is better.
MEASURES = [
    ("CPU per 5 s, median (ms)", lambda s: statistics.median(s.cpu_per_interval) * 1e3, "{:.1f}"),
    ("CPU per second, mean (ms)", lambda s: s.cpu_total * 1e3 / s.seconds, "{:.2f}"),
    ("resident memory (MiB)", lambda s: s.rss_kilobytes / 1024, "{:.1f}"),
    ("wake-ups per second", lambda s: s.wake_ups / s.seconds, "{:.1f}"),
    ("`/metrics` p50 (ms)", lambda s: quantile(s.latencies, 0.5) * 1e3, "{:.2f}"),
    ("`/metrics` p99 (ms)", lambda s: quantile(s.latencies, 0.99) * 1e3, "{:.2f}"),
    ("CPU per series and scrape (µs)", lambda s: statistics.median(s.cpu_per_interval) * 1e6
     / max(1, s.series), "{:.2f}"),
]
# The same without a ratio: neither more nor less of these is better.
COUNTS = [
    ("series", lambda s: s.series, "{:,}"),
    ("answer (KiB)", lambda s: s.answer_bytes / 1024, "{:.0f}"),
    ("written to disk (KiB per hour)", lambda s: s.written / 1024 * 3600 / s.seconds, "{:,.0f}"),
]


def comparison_rows(subjects):
    ours, peers = subjects[0], subjects[1:]
    rows = []
    for text, value, form in MEASURES:
        cells = [form.format(value(subject)) for subject in subjects]
        needed = [value(peer) for peer in peers]
        ratios = [f"{need / value(ours):.1f}×" if value(ours) else "" for need in [*needed, sum(needed)]]
        rows.append([text, *cells, *ratios])
    for text, value, form in COUNTS:
        rows.append([text, *[form.format(value(subject)) for subject in subjects], *[""] * (len(peers) + 1)])
    return rows


def page(args, subjects, processes, micro, herds, memory, history, supervisor):
    names = [subject.name for subject in subjects]
    parts = [
        "# Benchmarks",
        "Written by `tools/bench`; numbers of one machine, so run it on yours. Ratios above 1 "
        "mean that the peer needs more.",
        "## Machine",
        table(["what", "value"], machine_rows(args, processes)),
        "## Whole daemons",
        f"All run at the same time on the same machine with {SLEEPERS} additional processes that "
        "sleep. idlewatt supervises three demo servers, samples every 5 s, judges, and records to "
        "SQLite; the peers measure only when they are scraped. CPU time is the process's own, "
        "from its kernel clock, and does not include the supervised servers.",
        table(
            ["", *names, *[f"{name} ÷ idlewatt" for name in names[1:]], "both ÷ idlewatt"],
            comparison_rows(subjects),
        ),
        "node_exporter reads the host and no processes, process-exporter reads processes and no "
        "host; idlewatt does both, so the fair comparison is with the sum of theirs. Fewer than "
        f"{FEW_SOCKETS} connections of the machine were in TIME_WAIT: idlewatt reads these too, for "
        "they tell who was used, and 7,300 of them cost it 3 ms more per 5 s.",
    ]
    parts += [
        "## Reading all processes",
        "Real processes that sleep, the two backends of idlewatt and process-exporter at the same "
        f"time, {HERD_INTERVALS} readings. CPU time is that of the whole program for one reading, "
        "so it holds what judging, recording and a scrape cost too; the sampler alone is below.",
        table(["processes", "program", "CPU per process and reading (µs)", "a tick's reading (ms)",
               "resident (MiB)", "process-exporter needs"], herds),
        f"Resident memory before and after {SHORT_LIVED:,} processes that ended at once: "
        f"{memory[0]:.1f} MiB, {memory[1]:.1f} MiB.",
    ]
    parts += bench_history.page_parts(history)
    parts += bench_supervisor.page_parts(supervisor)
    if micro:
        rows = [(program, f"`{name}`", format_time(ns), other) for program, name, ns, other in micro]
        parts += [
            "## Parts",
            "Google Benchmark, median of five repetitions, or as many as `repeats` says: CPU time "
            "of the thread, of all threads for those whose name says `process_time`, or time on "
            "the clock for those whose name says `real_time`.",
            table(["program", "benchmark", "time", "rate and counters"], rows),
        ]
    return "\n\n".join(parts) + "\n"


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="length of the comparison")
    parser.add_argument("--output", default="docs/benchmarks.md", help="page to write")
    parser.add_argument("--build", default="build/release", help="folder with the programs")
    parser.add_argument("--skip-parts", action="store_true", help="only compare whole daemons")
    parser.add_argument("--only-supervisor", action="store_true",
                        help="measure the supervisor alone and replace its part of the page")
    args = parser.parse_args()
    folder = Path(args.build).resolve()
    args.binary, args.server = folder / "idlewatt", folder / "idlewatt-demo-server"
    needed = [folder / "supervisor_bench"] if args.only_supervisor else [args.binary, args.server]
    for program in needed:
        if not os.access(program, os.X_OK):
            fail(f"{program} is not there; build it: cmake --build --preset release")
    args.folder = folder
    return args


def main():
    args = parse_arguments()
    # So that the programs that were started are stopped on kill as on Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    supervisor = bench_supervisor.measure(args)
    if args.only_supervisor:
        bench_supervisor.replace_part(Path(args.output), supervisor)
        print(f"Wrote the supervisor's part of {args.output}.")
        return
    micro = [] if args.skip_parts else run_micro_benchmarks(args.folder)
    subjects, processes = compare(args)
    herds = [row for count in HERDS for row in measure_herd(args, count)]
    memory = measure_short_lived(args)
    history = bench_history.measure(args)
    for subject in subjects:
        subject.seconds = len(subject.cpu_per_interval) * SCRAPE_PERIOD
    Path(args.output).write_text(
        page(args, subjects, processes, micro, herds, memory, history, supervisor))
    print(f"Wrote {args.output}.")


if __name__ == "__main__":
    main()
