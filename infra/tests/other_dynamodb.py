"""divvy against moto, a DynamoDB of other authors than the emulator that the Rust tests use and than
ministack. boto3 reads what divvy has stored, counts by a query of its own, and changes trips as another
program would.

moto delivers no stream to a function: counts are made by `divvy refresh`.
"""

import json
import pathlib
import tempfile
import time

from tests.helpers import City, Server, counts, divvy, step

INDEX = "from_station_id-index"
# Reports that have the same rows on every store. They have no times of their own.
REPORTS = ["hours", "weekdays", "durations", "riders", "routes", "balance", "quality"]
# An archive that no ledger has.
UNKNOWN_ARCHIVE = "0123456789abcdef"
FOREIGN_TRIP = "a-trip-of-another-program"


class Moto(Server):
    """The service; its program is in an environment of its own."""

    name = "moto"
    health = "/moto-api/data.json"

    def command(self):
        return ["moto_server", "--host", "127.0.0.1", "--port", str(self.port)], {}


class Store:
    """The tables of a layout, as divvy and as boto3 see them."""

    def __init__(self, moto, city, layout):
        self.city = city
        self.layout = layout
        self.dynamodb = moto.client("dynamodb")
        self.url = moto.store(layout)

    def table(self, name):
        return f"{self.layout}-{name}"

    def divvy(self, *arguments, expect=(0,)):
        return divvy(self.city.program, *arguments, "--store", self.url, expect=expect)

    def all(self, operation, **request):
        pages = self.dynamodb.get_paginator(operation).paginate(**request)
        return list(pages.search("Items[]"))

    def archives(self):
        """The tags of the loaded archives: the start of the hashes of their content."""
        entries = self.all(
            "query", TableName=self.table("LoadLedger"), KeyConditionExpression="archive = :archives",
            ExpressionAttributeValues={":archives": {"S": "#archives"}},
        )
        return {entry["part"]["S"][:16] for entry in entries}

    def entries(self, station):
        """The entries of the index for a station, which must be sorted by their start."""
        entries = self.all(
            "query", TableName=self.table("TripData"), IndexName=INDEX,
            KeyConditionExpression="from_station_id = :station",
            ExpressionAttributeValues={":station": {"S": station}},
        )
        starts = [entry["started_at"]["S"] for entry in entries]
        assert starts == sorted(starts), starts
        return entries

    def is_of(self, entry, archives):
        """Whether an entry counts: it is of a loaded archive, or of none."""
        if self.layout == "rows":
            archive = entry.get("archive", {}).get("S")
            return archive is None or archive in archives
        if entry["trip_id"]["S"] == FOREIGN_TRIP:
            return True
        # station#month#archive-generation#part
        _, _, tag, _ = entry["trip_id"]["S"].rsplit("#", 3)
        return tag.partition("-")[0] in archives

    def by_index(self, station):
        """The number of trips from a station, by the index."""
        archives = self.archives()
        found = [entry for entry in self.entries(station) if self.is_of(entry, archives)]
        return sum(int(entry.get("n", {"N": "1"})["N"]) for entry in found)

    def stored_counts(self):
        """FromStationCounts."""
        items = self.all("scan", TableName=self.table("FromStationCounts"))
        return {item["from_station_id"]["S"]: int(item["from_count"]["N"]) for item in items}


def loaded(store):
    """Load, poll, refresh, check; every report must be the embedded store's."""
    city = store.city
    city.load(store.url, "--layout", store.layout)
    store.divvy("poll", str(city.folder / "feed"), "--quiet")
    store.divvy("refresh", "--quiet")
    checked, _ = store.divvy("check")
    print(checked, end="")
    assert "each stored once" in checked, checked
    assert counts(city.program, store.url) == city.counts
    for report in REPORTS:
        command = ["report", report, "--quiet", "--format", "json"]
        here, _ = store.divvy(*command)
        embedded, _ = divvy(city.program, *command, "--store", city.embedded)
        assert json.loads(here) == json.loads(embedded), report
    print(f"from-counts, {', '.join(REPORTS)}: equal to the embedded store's")


def read_by_boto3(store):
    """Trips, entries of the index and counts, as another program finds them."""
    trips = store.all("scan", TableName=store.table("TripData"))
    # Without an origin, a trip is in no index and no count.
    trips = [trip for trip in trips if "from_station_id" in trip]
    n = sum(int(trip.get("n", {"N": "1"})["N"]) for trip in trips)
    assert n == sum(store.city.counts.values()), n
    (station, most) = max(store.city.counts.items(), key=lambda found: found[1])
    (entry, *_) = store.entries(station)
    projected = {"rows": "archive", "packed": "n"}[store.layout]
    assert sorted(entry) == sorted(["trip_id", "from_station_id", "started_at", projected]), entry
    stored = store.stored_counts()
    assert stored == store.city.counts
    started = {trip["from_station_id"]["S"] for trip in trips}
    for each in started:
        assert store.by_index(each) == stored[each], each
    print(f"boto3: {n} trips with an origin in {len(trips)} items; the index has the count of each of {len(started)} stations")
    return station, most


def changed_by_boto3(store, station, most):
    """A trip of no archive counts, one of an unfinished load does not; a deleted one is missed for a
    quarter of an hour, and then accepted with a warning."""
    dynamodb, table = store.dynamodb, store.table("TripData")
    trip = {
        "trip_id": {"S": FOREIGN_TRIP}, "from_station_id": {"S": station},
        "started_at": {"S": "2024-06-15T12:00:00-05:00"},
    }
    dynamodb.put_item(TableName=table, Item=trip)
    unfinished = {
        "rows": {**trip, "trip_id": {"S": "a-trip-of-a-killed-load"}, "archive": {"S": UNKNOWN_ARCHIVE}},
        "packed": {**trip, "trip_id": {"S": f"{station}#2024-06#{UNKNOWN_ARCHIVE}#000"}, "n": {"N": "7"}},
    }
    dynamodb.put_item(TableName=table, Item=unfinished[store.layout])
    store.divvy("refresh", "--all", "--quiet")
    assert store.stored_counts() == {**store.city.counts, station: most + 1}
    assert store.by_index(station) == most + 1
    checked, said = store.divvy("check")
    assert f"1 trip of no archive, which another program has put into the table, at station {station}" in checked + said
    assert f"never finished (archive {UNKNOWN_ARCHIVE})" in checked + said, (checked, said)
    print(f"a trip of no archive counts ({most} + 1), and check names station {station}; one of an unfinished load does not")

    archives = store.archives()
    own = [entry for entry in store.entries(station) if store.is_of(entry, archives)]
    victim = next(entry for entry in own if entry["trip_id"]["S"] != FOREIGN_TRIP)
    dynamodb.delete_item(TableName=table, Key={"trip_id": victim["trip_id"]})
    left = most + 1 - int(victim.get("n", {"N": "1"})["N"])
    assert store.by_index(station) == left
    _, said = store.divvy("refresh", "--all", expect=[1])
    assert f"{station} could not be counted" in said, said
    assert store.stored_counts()[station] == most + 1, "the count stays meanwhile"
    since_an_hour(store, station)
    _, said = store.divvy("refresh")
    assert f"from_count of {station} is {left}, as counted by the index" in said, said
    assert store.stored_counts()[station] == store.by_index(station) == left
    said = "".join(store.divvy("check", expect=[2]))
    assert "trips are there, and the ledger has" in said, said
    print(f"a deleted item: uncounted at first; after the wait {left}, as the index has it; check finds it")


def since_an_hour(store, station):
    """Makes the record of the index that differs an hour older, instead of waiting."""
    table, key = store.table("LoadLedger"), {"archive": {"S": "#behind"}, "part": {"S": station}}
    item = store.dynamodb.get_item(TableName=table, Key=key)["Item"]
    lag = json.loads(item["said"]["S"])
    lag["since"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
    item["said"] = {"S": json.dumps(lag, separators=(",", ":"))}
    store.dynamodb.put_item(TableName=table, Item=item)


def end_to_end(binaries):
    with tempfile.TemporaryDirectory() as folder:
        # Few: moto looks at every item of the table for each query of the index.
        city = City(binaries / "divvy", pathlib.Path(folder), trips=200, stations=40)
        with Moto(folder) as moto:
            for layout in ["rows", "packed"]:
                step(f"divvy against moto, layout {layout}: load, poll, refresh, check, reports; boto3")
                store = Store(moto, city, layout)
                loaded(store)
                changed_by_boto3(store, *read_by_boto3(store))
