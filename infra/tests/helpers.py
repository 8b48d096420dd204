"""What all tests of the stack use: running divvy, waiting, services on free ports, an invented city."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
REGION = "us-east-1"
PREFIX = "test"
TABLES = ["StationData", "TripData", "FromStationCounts", "LoadLedger"]
# Those that ministack takes for its own account. moto takes any.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
PATIENCE_S = 120


def step(text):
    print(f"== {text}", flush=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A service on a port of its own; it ends with the block."""

    # What its messages and its log call it.
    name = ""
    # The path of a request that it answers once it is ready.
    health = "/"

    def __init__(self, folder):
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.folder = folder

    def command(self):
        """Returns the command line, and the variables beside those of this process."""
        raise NotImplementedError

    def __enter__(self):
        command, variables = self.command()
        self.log = open(pathlib.Path(self.folder) / f"{self.name}.log", "w+")
        self.process = subprocess.Popen(
            command, env={**os.environ, **variables}, cwd=self.folder,
            stdout=self.log, stderr=self.log, start_new_session=True,
        )
        until(lambda: self.answers(), f"{self.name} answers")
        return self

    def answers(self):
        try:
            urllib.request.urlopen(self.endpoint + self.health, timeout=2)
            return True
        except OSError:
            if self.process.poll() is not None:
                self.log.seek(0)
                raise SystemExit(f"{self.name} ended:\n{self.log.read()}")
            return False

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()
        self.log.close()

    def client(self, service):
        import boto3

        return boto3.client(
            service, endpoint_url=self.endpoint, region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    def store(self, prefix=PREFIX):
        """Returns the value of --store."""
        return f"dynamodb://{prefix}?region={REGION}&endpoint={self.endpoint}"


def until(holds, what, patience_s=PATIENCE_S):
    end = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > end:
            raise SystemExit(f"not within {patience_s} s: {what}")
        time.sleep(0.5)


def divvy(program, *arguments, expect=(0,)):
    """Runs a command without the AWS settings of the caller. Returns what it prints on stdout and stderr."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    done = subprocess.run(
        [str(program), *arguments], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    if done.returncode not in expect:
        raise SystemExit(f"divvy {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout, done.stderr


def counts(program, store):
    """Returns from_count by id, as the report has it."""
    rows, _ = divvy(program, "report", "from-counts", "--quiet", "--format", "json", "--store", store)
    return {row["from_station_id"]: row["from_count"] for row in json.loads(rows)}


class City:
    """An invented city: its archive of trips, its feed, and the counts of the embedded store. The feed has
    some 900 stations, or as many as `stations` says."""

    def __init__(self, program, folder, trips=3000, stations=None):
        self.program = program
        self.folder = folder / "city"
        divvy(program, "demo", "--quiet", "--trips", str(trips), "--folder", str(self.folder))
        self.archive = str(next(self.folder.glob("*.zip")))
        self.embedded = str(self.folder / "divvy-data")
        if stations:
            for name in ["station_information", "station_status"]:
                path = self.folder / "feed" / f"{name}.json"
                feed = json.loads(path.read_text())
                feed["data"]["stations"] = feed["data"]["stations"][:stations]
                path.write_text(json.dumps(feed))
            self.embedded = str(self.folder / "embedded")
            self.load(self.embedded)
            divvy(program, "poll", str(self.folder / "feed"), "--quiet", "--store", self.embedded)
        self.counts = counts(program, self.embedded)
        assert any(self.counts.values()), "the invented city has trips"

    def load(self, store, *flags):
        divvy(self.program, "load", self.archive, "--quiet", "--store", store, *flags)
