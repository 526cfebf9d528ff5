"""The part of tools/bench about history: size and speed beside Prometheus and VictoriaMetrics.

The same made-up history is given to all: bench/storage/generated_machine.h says what is in it.
"""

import contextlib
import datetime
import http.client
import json
import os
import sqlite3
import statistics
import subprocess
import tempfile
import time
import urllib.parse
from pathlib import Path

from bench_tools import (cpu_seconds, fail, find_peer, format_time, free_port, get, start,
                         status_kilobytes, table)

INTERVAL = 5  # seconds between two points
BEGIN = 1_763_600_000  # of the first point, as GeneratedMachine has it
SERVICES = 6
LENGTHS = {"6 h": 6, "48 h": 48, "14 d": 14 * 24}  # hours
# Of this one everything is told, of the others the size.
MAIN_LENGTH = "48 h"

QUERY_HOURS = 24
QUERY_METRIC = "idlewatt_power_watts"
QUERY_LABELS = {"source": "hwmon", "domain": "system"}
QUERIES = 20

# Longer than any of the histories, so that Prometheus has one block, which suits it best.
ONE_BLOCK = "--max-block-duration=8760h"

BODIES = """
SELECT (SELECT total(length(body)) FROM frames) + (SELECT total(length(body)) FROM chunks)
     + (SELECT total(length(body)) FROM chunk_times)
"""

CONFIG = """
[daemon]
data_dir = "{folder}"
[storage]
raw_retention = "100y"
rollup_retention = "100y"
max_size = "100GiB"
[http]
listen = "127.0.0.1:{port}"
"""


class Stored:
    """One history in one program: its bytes on disk, and what storing it took."""

    def __init__(self, name, samples):
        self.name, self.samples = name, samples
        self.bytes = self.data_bytes = 0  # of all files; of the compressed samples alone
        self.wall = self.cpu = self.peak_megabytes = 0.0
        self.query_seconds = self.answer_bytes = 0

    def per_sample(self, size=None):
        return (self.bytes if size is None else size) / self.samples


class Data:
    """A history as text, made anew for each who reads it: two such files fill a disk."""

    def __init__(self, args, folder, hours):
        self.program, self.folder = args.folder / "history_data", folder
        self.points = hours * 3600 // INTERVAL
        self.samples = 0

    @contextlib.contextmanager
    def file(self, form):
        path = self.folder / f"history.{form}"
        with open(path, "wb") as out:
            command = [self.program, form, str(self.points), str(SERVICES)]
            subprocess.run(command, stdout=out, check=True)
        try:
            yield path
        finally:
            path.unlink()

    def count(self, path):
        """Notes how many samples the file has: a line is one, unless it is a remark."""
        command = ["grep", "-vc", "^#", path]
        self.samples = int(subprocess.run(command, capture_output=True, check=True).stdout)


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def run_measured(stored, command):
    """Runs a program to its end and notes what it took."""
    with tempfile.TemporaryFile() as log:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        stored.wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            log.seek(0)
            fail(f"{stored.name} could not import:\n{log.read().decode(errors='replace')[-2000:]}")
    stored.cpu = usage.ru_utime + usage.ru_stime
    stored.peak_megabytes = usage.ru_maxrss / 1024


def wait_until_ready(process, port, path, name):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            get(port, path)
            return
        time.sleep(0.05)
    fail(f"{name} did not start")


# --- Storing ------------------------------------------------------------------------------------


def store_in_idlewatt(args, data, source, folder):
    stored = Stored("idlewatt", data.samples)
    folder.mkdir()
    command = [args.binary, "import", "--format", "openmetrics", source]
    run_measured(stored, [*command, "--db", folder / "history.db"])
    stored.bytes = size_of(folder)
    with contextlib.closing(sqlite3.connect(folder / "history.db")) as db:
        stored.data_bytes = db.execute(BODIES).fetchone()[0]
    return stored


def store_in_prometheus(data, source, folder, *options):
    name = "Prometheus" if options else "Prometheus, 2 h blocks"
    stored = Stored(name, data.samples)
    command = [find_peer("promtool"), "tsdb", "create-blocks-from", *options, "openmetrics"]
    run_measured(stored, [*command, source, folder])
    stored.bytes = size_of(folder)
    stored.data_bytes = sum(size_of(chunks) for chunks in folder.glob("*/chunks"))
    return stored


def post_file(port, path, file):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    with contextlib.closing(connection), open(file, "rb") as body:
        connection.request("POST", path, body=body)
        response = connection.getresponse()
        response.read()
        if response.status >= 300:
            fail(f"{path} answered {response.status}")


def start_victoria(stack, folder):
    port = free_port()
    process = start(stack, [find_peer("victoria-metrics"), f"-storageDataPath={folder}",
                            f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=100y"],
                    subprocess.DEVNULL)
    wait_until_ready(process, port, "/health", "victoria-metrics")
    return process, port


def store_in_victoria(data, source, folder):
    """Size after everything was merged into as few parts as it makes."""
    stored = Stored("VictoriaMetrics", data.samples)
    with contextlib.ExitStack() as stack:
        process, port = start_victoria(stack, folder)
        wall, cpu = time.perf_counter(), cpu_seconds(process.pid)
        post_file(port, "/api/v1/import/prometheus", source)
        get(port, "/internal/force_flush")
        get(port, "/internal/force_merge")
        wait_until_merged(port)
        stored.wall = time.perf_counter() - wall
        stored.cpu = cpu_seconds(process.pid) - cpu
        stored.peak_megabytes = status_kilobytes(process.pid, "VmHWM") / 1024
    stored.bytes, stored.data_bytes = size_of(folder), size_of(folder / "data")
    return stored


def wait_until_merged(port):
    """The forced merge goes on after its request was answered."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        lines = get(port, "/metrics")[1].decode().splitlines()
        active = [line for line in lines if line.startswith(("vm_active_merges{",
                                                             "vm_active_force_merges"))]
        if active and all(line.split()[-1] == "0" for line in active):
            return
        time.sleep(0.05)
    fail("victoria-metrics did not end its merge")


# --- Asking -------------------------------------------------------------------------------------


def time_queries(stored, port, path, points_of, wanted):
    """Median of several requests; each must give as many points as were stored."""
    seconds = []
    for _ in range(QUERIES):
        took, body = get(port, path)
        seconds.append(took)
    found = points_of(body)
    if found != wanted:
        fail(f"{stored.name} gave {found} points of {wanted}")
    stored.query_seconds, stored.answer_bytes = statistics.median(seconds), len(body)


def window(data):
    """Begin and end of what is asked for: the middle of the history, both ends included."""
    begin = BEGIN + (data.points // 2) * INTERVAL - QUERY_HOURS * 1800
    return begin, begin + QUERY_HOURS * 3600 - 1


def selector():
    labels = ",".join(f'{name}="{value}"' for name, value in QUERY_LABELS.items())
    return "{" + labels + "}"


def ask_idlewatt(args, stored, data, folder):
    begin, end = (datetime.datetime.fromtimestamp(t, datetime.timezone.utc).isoformat()
                  for t in window(data))
    query = {"metric": QUERY_METRIC, "match": selector(), "since": begin.replace("+00:00", "Z"),
             "until": end.replace("+00:00", "Z")}
    with contextlib.ExitStack() as stack:
        port = free_port()
        config = folder.parent / "history.toml"
        config.write_text(CONFIG.format(folder=folder, port=port))
        process = start(stack, [args.binary, "run", "--config", config], subprocess.DEVNULL)
        wait_until_ready(process, port, "/-/ready", "idlewatt")
        path = "/api/v1/range?" + urllib.parse.urlencode(query)
        time_queries(stored, port, path, lambda body: len(json.loads(body)["series"][0]["points"]),
                     QUERY_HOURS * 3600 // INTERVAL)


def instant_query(data):
    """What Prometheus and VictoriaMetrics call the raw values of a stretch of time."""
    query = f"{QUERY_METRIC}{selector()}[{QUERY_HOURS}h]"
    return "/api/v1/query?" + urllib.parse.urlencode({"query": query, "time": window(data)[1]})


def matrix_points(body):
    return len(json.loads(body)["data"]["result"][0]["values"])


def ask_prometheus(stored, data, folder):
    with contextlib.ExitStack() as stack:
        port = free_port()
        config = folder.parent / "prometheus.yml"
        config.write_text("global: {}\n")
        process = start(stack, [find_peer("prometheus"), f"--config.file={config}",
                                f"--storage.tsdb.path={folder}",
                                "--storage.tsdb.retention.time=100y",
                                f"--web.listen-address=127.0.0.1:{port}"], subprocess.DEVNULL)
        wait_until_ready(process, port, "/-/ready", "prometheus")
        time_queries(stored, port, instant_query(data), matrix_points,
                     QUERY_HOURS * 3600 // INTERVAL)


def ask_victoria(stored, data, folder):
    with contextlib.ExitStack() as stack:
        _, port = start_victoria(stack, folder)
        time_queries(stored, port, instant_query(data), matrix_points,
                     QUERY_HOURS * 3600 // INTERVAL)


# --- All of it ----------------------------------------------------------------------------------


def measure_length(args, name, hours):
    """The history of so many hours in every program: a list of Stored, ours first."""
    with tempfile.TemporaryDirectory(prefix="idlewatt-bench-") as temporary:
        folder = Path(temporary)
        data = Data(args, folder, hours)
        print(f"Storing a history of {name} ...", flush=True)
        with data.file("openmetrics") as source:
            data.count(source)
            ours = store_in_idlewatt(args, data, source, folder / "idlewatt")
            all_stored = [ours, store_in_prometheus(data, source, folder / "blocks", ONE_BLOCK)]
            if name == MAIN_LENGTH:
                all_stored.append(store_in_prometheus(data, source, folder / "blocks-2h"))
        with data.file("victoria") as source:
            all_stored.insert(2, store_in_victoria(data, source, folder / "victoria"))
        if name == MAIN_LENGTH:
            ask_idlewatt(args, ours, data, folder / "idlewatt")
            ask_prometheus(all_stored[1], data, folder / "blocks")
            ask_victoria(all_stored[2], data, folder / "victoria")
        return all_stored


def measure(args):
    return {name: measure_length(args, name, hours) for name, hours in LENGTHS.items()}


def size_rows(lengths):
    rows = []
    for name, (ours, *peers) in lengths.items():
        for stored in (ours, *peers):
            ratios = [f"{stored.bytes / ours.bytes:.2f}×", f"{ours.bytes / stored.bytes:.2f}"]
            rows.append([name, f"{stored.samples:,}", stored.name, f"{stored.per_sample():.3f}",
                         f"{stored.per_sample(stored.data_bytes):.3f}",
                         *(["", ""] if stored is ours else ratios)])
    return rows


def speed_rows(all_stored):
    rows = []
    for stored in all_stored:
        asked = [format_time(stored.query_seconds * 1e9), f"{stored.answer_bytes / 1024:.0f}"]
        rows.append([stored.name, f"{stored.wall:.1f}", f"{stored.cpu:.1f}",
                     f"{stored.samples / stored.wall:,.0f}", f"{stored.samples / stored.cpu:,.0f}",
                     f"{stored.peak_megabytes:.0f}",
                     *(asked if stored.query_seconds else ["", ""])])
    return rows


def page_parts(lengths):
    series = lengths[MAIN_LENGTH][0].samples // (LENGTHS[MAIN_LENGTH] * 3600 // INTERVAL)
    return [
        "## History",
        f"The same made-up machine for all, {series} series every {INTERVAL} s: temperatures, fans, "
        "watts, joules, CPU seconds, and memory, threads, descriptors, bytes and requests of "
        f"{SERVICES} services, in the grain of real sensors, with busy and idle times. Bytes are "
        "those of all files of the stopped program, and of the compressed samples alone. For "
        "idlewatt all files are one database with its indexes, and with roll-ups, which the peers "
        "do not have. Prometheus is what promtool makes of the text: one block, the smallest it "
        "can be, and once the usual ones of 2 h. VictoriaMetrics was told to merge. Its folder has "
        "a part of fixed size, which counts less the longer the history is.",
        table(["history", "samples", "program", "bytes a sample", "samples alone",
               "peer ÷ idlewatt", "idlewatt ÷ peer"], size_rows(lengths)),
        f"The history of {MAIN_LENGTH}. Import is from text, parsing included; VictoriaMetrics gets "
        "it over HTTP, and promtool parses it once for each block. The query is for the raw values "
        f"of one series over {QUERY_HOURS} h, {QUERY_HOURS * 3600 // INTERVAL:,} points, which the "
        f"server of each program gives as JSON over HTTP: the median of {QUERIES} requests, one at "
        "a time. Without HTTP and JSON it is `BM_RangeQuery_OneSeries_Large` below.",
        table(["program", "import (s)", "import CPU (s)", "samples a second",
               "samples a CPU second", "memory at most (MiB)", "query", "answer (KiB)"],
              speed_rows(lengths[MAIN_LENGTH])),
    ]
