"""What the benchmarks share: a world of files, servers that are started, asked and stopped, and tables.

Nothing here touches anything but loopback and a temporary directory, and only processes that were started
here are stopped.
"""

import math
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
os.environ["PATH"] += ":/usr/sbin:/sbin"

START_SECONDS = 60
STOP_SECONDS = 10


def install(*commands):
    """Sees to it that these commands are there."""
    subprocess.run([ROOT / "tools/install", *commands], check=True)


def build(*what):
    """Builds for release and returns the directory of the binaries."""
    subprocess.run(["cargo", "build", "--release", "--quiet", *what], cwd=ROOT, check=True)
    return TARGET / "release"


@contextmanager
def directory():
    """A temporary directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="windrose-bench-") as path:
        yield Path(path)


def free_port():
    """A port of loopback that is free for UDP and TCP at this moment."""
    while True:
        with socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind(("127.0.0.1", 0))
            try:
                tcp.bind(udp.getsockname())
            except OSError:
                continue
            return udp.getsockname()[1]


# Zones


def zone_file(records):
    """A master file of example.org with these lines below its apex."""
    apex = ["$ORIGIN example.org.", "$TTL 300", "@ SOA ns1 hostmaster 1 3600 600 86400 60", "@ NS ns1", "@ NS ns2"]
    return "\n".join([*apex, "ns1 A 127.0.0.1", "ns2 A 127.0.0.2", *records, ""])


NEAREST_OF_TWO = """
zone = "example.org"
[regions.eu]
at = [50.11, 8.68]
clients = ["net:198.18.0.0/15", "net:127.0.0.0/8"]
[regions.us]
at = [39.04, -77.49]
default = true
[monitors.web]
type = "tcp"
port = 80
[endpoints.fra]
region = "eu"
ipv4 = "192.0.2.10"
monitors = ["web"]
[endpoints.iad]
region = "us"
ipv4 = "198.51.100.10"
monitors = ["web"]
[pools.www]
policy = "nearest"
members = ["fra", "iad"]
"""


def steering(names):
    """A steering file: names s0000, s0001, ... of a pool of two endpoints, the nearer of which is answered."""
    return NEAREST_OF_TWO + "".join(f'[names."s{number:04}"]\npool = "www"\n' for number in range(names))


def records(names):
    """Lines of a master file: names n0000, n0001, ... with one address each."""
    return [f"n{number:04} A {address(number)}" for number in range(names)]


def address(number):
    """The nth address of 10.0.0.0/8."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def windrose_files(path, port, records, steering="", probe=False, databases=(), more=""):
    """Writes a configuration and the zone example.org, and returns the path of the configuration."""
    zones = path / "zones"
    zones.mkdir(parents=True)
    (zones / "example.org.zone").write_text(zone_file(records))
    if steering:
        (zones / "example.org.toml").write_text(steering)
    config = path / "windrose.toml"
    config.write_text(
        f'zones = "zones"\nstate = "state"\n'
        f'[dns]\nlisten = ["127.0.0.1:{port}"]\nworkers = 1\n'
        f"[probe]\nenabled = {str(probe).lower()}\n"
        f"[geo]\ndatabases = {[str(database) for database in databases]}\n"
        f"{more}"
    )
    return config


# Servers


class Server:
    """A process that answers DNS on a port of loopback, pinned to a core if one is given."""

    def __init__(self, command, port, core=None, log=None):
        pinned = ["taskset", "-c", str(core)] if core is not None else []
        self.command, self.port, self.log = command, port, log
        self.started = time.monotonic()
        with open(log, "wb") if log else open(os.devnull, "wb") as output:
            self.process = subprocess.Popen([*pinned, *map(str, command)], stdout=output, stderr=output)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def wait_for(self, name):
        """Waits for the first answer to this name and returns the seconds since the start."""
        while True:
            if ask(self.port, name, timeout=0.05):
                return time.monotonic() - self.started
            if self.process.poll() is not None or time.monotonic() - self.started > START_SECONDS:
                log = Path(self.log).read_text(errors="replace") if self.log else ""
                sys.exit(f"{' '.join(map(str, self.command))} does not answer:\n{log}")

    def cpu_seconds(self):
        """User and system time of the process and all its descendants, to the nanosecond."""
        return sum(
            int(stat.read_text().split()[0])
            for pid in descendants(self.process.pid)
            for stat in Path(f"/proc/{pid}/task").glob("*/schedstat")
        ) / 1e9

    def peak_megabytes(self):
        """The most memory it ever had, in megabytes (10^6)."""
        return self.memory("VmHWM")

    def resident_megabytes(self):
        """The memory it has, in megabytes (10^6)."""
        return self.memory("VmRSS")

    def memory(self, what):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(what))
        return int(line.split()[1]) * 1024 / 1e6


def descendants(pid):
    """A process, its children, theirs, and so on."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            found.extend(map(int, children.read_text().split()))
    return found


# Questions


def query(name, identity, subnet=None):
    """A query for the A records of a name; with an IPv4 subnet, for a client in it (RFC 7871)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    header = struct.pack("!6H", identity, 0, 1, 0, 0, 1 if subnet else 0)
    question = header + labels + b"\0" + struct.pack("!2H", A, 1)
    if subnet is None:
        return question
    client = subnet.network_address.packed[: (subnet.prefixlen + 7) // 8]
    option = struct.pack("!3H2B", CLIENT_SUBNET, 4 + len(client), 1, subnet.prefixlen, 0) + client
    return question + b"\0" + struct.pack("!2HIH", OPT, 1232, 0, len(option)) + option


def ask(port, name, timeout=1.0, host="127.0.0.1"):
    """The addresses that a server answers with; nothing if it does not answer or has none."""
    return addresses(exchange(port, query(name, random.randrange(1 << 16)), timeout, host))


def ask_for(client, port, name):
    """The addresses that a server answers a client's subnet with, and their scope, if it says one."""
    reply = exchange(port, query(name, random.randrange(1 << 16), client))
    return addresses(reply), scope(reply)


def exchange(port, question, timeout=1.0, host="127.0.0.1"):
    """The reply to a question; empty if none came in time."""
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.settimeout(timeout)
        udp.connect((host, port))
        try:
            udp.send(question)
            reply = udp.recv(4096)
        except OSError:
            time.sleep(0.005)
            return b""
    return reply if len(reply) >= 12 and reply[:2] == question[:2] else b""


def addresses(reply):
    """The IPv4 addresses in the answer section."""
    answers = records_of(reply)[: struct.unpack("!H", reply[6:8])[0]] if reply else []
    return [socket.inet_ntoa(data) for kind, data in answers if kind == A]


def scope(reply):
    """The scope prefix in the client subnet option; nothing if there is none."""
    for kind, options in records_of(reply) if reply else []:
        while kind == OPT and options:
            code, length = struct.unpack("!2H", options[:4])
            if code == CLIENT_SUBNET:
                return options[7]
            options = options[4 + length :]
    return None


def records_of(reply):
    """Type and data of every record of a reply with one question."""
    at, found = after_name(reply, 12) + 4, []
    for _ in range(sum(struct.unpack("!3H", reply[6:12]))):
        start = after_name(reply, at)
        kind, length = struct.unpack("!H6xH", reply[start : start + 10])
        at = start + 10 + length
        found.append((kind, reply[start + 10 : at]))
    return found


def after_name(reply, at):
    """Where the name ends that starts here."""
    while 0 < reply[at] < 0xC0:
        at += 1 + reply[at]
    return at + (2 if reply[at] else 1)


# Types, and the EDNS option for client subnets.
A, OPT = 1, 41
CLIENT_SUBNET = 8


# Results


def percentile(values, percent):
    """The smallest value that so many percent do not exceed."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def table(header, rows):
    """Prints a table that can be pasted into docs/BENCHMARKS.md."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*cells)]
    cells.insert(1, ["-" * width for width in widths])
    for row in cells:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
    print()


class Bars:
    """What must be reached; remembers whether it was."""

    def __init__(self):
        self.rows = []

    def at_most(self, what, value, bar, unit=""):
        """The value must not be more than the bar."""
        verdict = "pass" if value <= bar else "FAIL"
        self.rows.append((what, f"{value:.2f}{unit}", f"<= {bar}{unit}", verdict))

    def finish(self):
        """Prints them all; the exit status is 1 if one was missed."""
        if self.rows:
            table(("bar", "measured", "wanted", "verdict"), self.rows)
        sys.exit(any(row[3] == "FAIL" for row in self.rows))


class Busy:
    """How busy the whole machine is, from when this is made."""

    def __init__(self):
        self.before = self.ticks()

    def percent(self):
        idle, all_of_them = (now - before for now, before in zip(self.ticks(), self.before))
        return 100 * (1 - idle / max(1, all_of_them))

    @staticmethod
    def ticks():
        """Of all processors since the start: idle, and all."""
        ticks = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
        return ticks[3] + ticks[4], sum(ticks)


def machine():
    """Prints where this was measured."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), os.uname().machine)
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} x {model}, Linux {os.uname().release}, load {load:.1f} before\n", flush=True)
