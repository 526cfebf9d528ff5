"""What the parts of tools/bench share: starting, stopping and asking programs; tables."""

import contextlib
import http.client
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


def fail(text):
    sys.exit(f"tools/bench: {text}")


# --- What the kernel says about a process -------------------------------------------------------


def cpu_seconds(pid):
    """CPU time of all threads of a process, ended ones too, its children not.

    The process clock that clock_getcpuclockid(3) gives; /proc/PID/stat counts the same in steps of
    10 ms, too coarse for a daemon that needs less than that in a whole interval.
    """
    return time.clock_gettime((~pid << 3) | 2)


def status_kilobytes(pid, field):
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.M).group(1))


def wake_ups(pid):
    """Voluntary context switches of the threads that live now: /proc/PID/status is one thread."""
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        text = status.read_text()
        total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M).group(1))
    return total


def written_bytes(pid):
    text = Path(f"/proc/{pid}/io").read_text()
    return int(re.search(r"^write_bytes: (\d+)", text, re.M).group(1))


# --- Starting and stopping ----------------------------------------------------------------------


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stop(process):
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def start(stack, command, log):
    """Starts a program that is stopped when `stack` is left."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
    )
    stack.callback(stop, process)
    return process


def get(port, path):
    """One request on a connection of its own: (seconds, body)."""
    begin = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise OSError(f"{path} answered {response.status}")
    return time.perf_counter() - begin, body


def find_peer(name):
    return shutil.which(name) or fail(f"{name} is missing; tools/bench fetches it")


# --- Writing ------------------------------------------------------------------------------------


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def format_time(ns):
    for unit, scale in (("ns", 1), ("µs", 1e3), ("ms", 1e6)):
        if ns < 1000 * scale:
            return f"{ns / scale:.3g} {unit}"
    return f"{ns / 1e9:.3g} s"
