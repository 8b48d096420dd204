"""The stack on ministack: in both orders, its functions, its removal, and its upgrade."""

import functools
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

from tests import permissions
from tests.helpers import CREDENTIALS, PREFIX, REGION, ROOT, TABLES, City, Server, counts, divvy, step, until
from tests.template import ALARM_EMAIL, BUCKET, FUNCTIONS, resolved, shape, translated, trip_table

STACK = "divvy-test"
INDEX = "from_station_id-index"


class Ministack(Server):
    """The service, which runs the deployed functions as processes."""

    name = "ministack"
    health = "/_ministack/health"

    def command(self):
        self.proxy = permissions.Proxy(self.port)
        variables = {
            # By default it listens to everybody, and to more than is needed here.
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "TMPDIR": self.folder,
            # Where the functions send their requests.
            "AWS_ENDPOINT_URL": self.proxy.url,
        }
        return [sys.executable, "-m", "ministack"], variables

    def __exit__(self, *error):
        super().__exit__(*error)
        self.proxy.close()


def upload(ministack):
    """The zips of the functions, where the translated template looks for them."""
    s3 = ministack.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for name in FUNCTIONS.values():
        s3.upload_file(str(ROOT / "infra" / "build" / f"{name}.zip"), BUCKET, f"{name}.zip")


def deploy(ministack, template, feed, update=False, **more):
    """Creates or updates the stack."""
    cloudformation = ministack.client("cloudformation")
    parameters = {
        "Prefix": PREFIX,
        # The trips loaded here are made up, and so are the feed's stations.
        "System": "sample",
        "FeedUrl": feed,
        "PollState": "DISABLED",
        "AlarmEmail": ALARM_EMAIL,
        # ministack would describe the index with the text "4000", which no client takes for a number.
        "MaxWriteUnits": "0",
        "MaxReadUnits": "0",
        **more,
    }
    send = cloudformation.update_stack if update else cloudformation.create_stack
    send(
        StackName=STACK,
        TemplateBody=json.dumps(permissions.with_names(template)),
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
        ],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    wait_for(cloudformation, "UPDATE" if update else "CREATE")


def wait_for(cloudformation, doing):
    """Waits until CREATE, UPDATE or IMPORT of the stack is complete."""

    def done():
        stack = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
        status = stack["StackStatus"]
        # Between the start of a change set and the change.
        if status == "REVIEW_IN_PROGRESS" or status.startswith(f"{doing}_") and "IN_PROGRESS" in status:
            return False
        if status != f"{doing}_COMPLETE":
            raise SystemExit(f"the stack is {status}: {stack.get('StackStatusReason')}")
        return True

    until(done, f"{doing} of the stack is complete")


def invoke(ministack, function):
    """Invokes a function of the stack, as its schedule does."""
    answer = ministack.client("lambda").invoke(FunctionName=f"{STACK}-{function}", Payload=b"{}")
    assert "FunctionError" not in answer, answer["Payload"].read()


def invocations(ministack, function):
    """Returns the log lines of a function with metrics: one for each invocation that ended well."""
    group = f"/aws/lambda/{STACK}-{function}"
    events = ministack.client("logs").filter_log_events(logGroupName=group)["events"]
    texts = [event["message"] for event in events]
    return [json.loads(text[text.index("{"):]) for text in texts if '"_aws"' in text]


def is_quiet(ministack, rest_s=8):
    """Tells whether the Lambda behind the stream writes nothing into its log for a while."""
    logs = ministack.client("logs")

    def lines():
        group = f"/aws/lambda/{STACK}-station-stream"
        return len(logs.filter_log_events(logGroupName=group)["events"])

    before = lines()
    time.sleep(rest_s)
    return before == lines()


def remove(ministack):
    """Deletes the stack. Returns what is left of it."""
    cloudformation = ministack.client("cloudformation")
    cloudformation.delete_stack(StackName=STACK)

    def gone():
        try:
            stacks = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
        except cloudformation.exceptions.ClientError:
            return True
        return all(stack["StackStatus"] == "DELETE_COMPLETE" for stack in stacks)

    until(gone, "the stack is gone")
    return remaining(ministack)


def remaining(ministack):
    """Lists everything that a stack makes."""
    dynamodb, functions = ministack.client("dynamodb"), ministack.client("lambda")
    left = dynamodb.list_tables()["TableNames"]
    left += [each["FunctionName"] for each in functions.list_functions()["Functions"]]
    left += functions.list_event_source_mappings()["EventSourceMappings"]
    left += ministack.client("sqs").list_queues().get("QueueUrls", [])
    left += [each["logGroupName"] for each in ministack.client("logs").describe_log_groups()["logGroups"]]
    left += [each["AlarmName"] for each in ministack.client("cloudwatch").describe_alarms()["MetricAlarms"]]
    left += [each["Name"] for each in ministack.client("events").list_rules()["Rules"]]
    left += [each["Name"] for each in ministack.client("scheduler").list_schedules()["Schedules"]]
    left += [each["TopicArn"] for each in ministack.client("sns").list_topics()["Topics"]]
    kms, iam = ministack.client("kms"), ministack.client("iam")
    for key in kms.list_keys()["Keys"]:
        # A key that is to be deleted costs nothing, and no stack can delete one at once.
        state = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"]
        left += [key["KeyArn"]] * (state != "PendingDeletion")
    left += [each["RoleName"] for each in iam.list_roles()["Roles"]]
    left += [each["PolicyName"] for each in iam.list_policies(Scope="Local")["Policies"]]
    return left


class Feed:
    """A folder with a feed, on a port: its discovery file names that port."""

    def __init__(self, folder):
        self.folder = folder
        handler = functools.partial(Quiet, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        home = f"http://127.0.0.1:{self.server.server_port}"
        self.url = f"{home}/gbfs.json"
        discovery = folder / "gbfs.json"
        discovery.write_text(discovery.read_text().replace("https://gbfs.example/2.3/en", home))

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()

    def change_bikes(self):
        """Another number of bikes at each station, a minute later. Returns the number of stations."""
        path = self.folder / "station_status.json"
        status = json.loads(path.read_text())
        status["last_updated"] += 60
        for station in status["data"]["stations"]:
            station["last_reported"] += 60
            station["num_bikes_available"] += 1
        path.write_text(json.dumps(status))
        return len(status["data"]["stations"])


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_):
        pass


def expect_counts(ministack, city, store):
    """Polls once; then the deployed functions must bring the counts of the embedded store."""
    invoke(ministack, "poll")
    until(
        lambda: counts(city.program, store) == city.counts,
        f"the counts are those of the embedded store ({len(city.counts)} stations)",
    )
    print(f"{len(city.counts)} counts, equal to the embedded store's")


def expect_filtered(ministack, feed):
    """The records of a poll that changes nothing but bikes must not reach the function, nor that of a
    deletion."""
    dynamodb = ministack.client("dynamodb")
    table = f"{PREFIX}-StationData"
    until(lambda: is_quiet(ministack), "the stream is at rest")
    before = len(invocations(ministack, "station-stream"))
    changed = feed.change_bikes()
    invoke(ministack, "poll")
    (*_, polled) = invocations(ministack, "poll")
    assert polled["changed"] == changed, polled
    found = dynamodb.scan(TableName=table)["Items"]
    causes = {item.get("cause", {}).get("S") for item in found}
    assert "feed" in causes, causes
    # Behind the records of the poll: once it is handled, these were as well.
    station = {"station_id": {"S": "by-hand"}, "source": {"S": "trips"}, "cause": {"S": "load"}}
    dynamodb.put_item(TableName=table, Item=station)
    until(lambda: len(invocations(ministack, "station-stream")) > before, "a record with the cause load is handled")
    dynamodb.delete_item(TableName=table, Key={"station_id": station["station_id"]})
    until(lambda: is_quiet(ministack), "the stream is at rest")
    handled = invocations(ministack, "station-stream")[before:]
    assert [line["records"] for line in handled] == [1], handled
    # The count that was made of it has no trips, and no station any more.
    dynamodb.delete_item(TableName=f"{PREFIX}-FromStationCounts", Key={"from_station_id": station["station_id"]})
    print(f"{changed} stations changed their bikes: the function was not invoked; for one record with the cause load it was")
    print("skipped: ministack's filters never match an attribute that is missing, such as cause in records of older programs")


def expect_refresh(ministack, city, store):
    """The function refresh must bring back a count that was deleted, and make no other."""
    station = max(city.counts, key=city.counts.get)
    dynamodb = ministack.client("dynamodb")
    key = {"from_station_id": {"S": station}}
    dynamodb.delete_item(TableName=f"{PREFIX}-FromStationCounts", Key=key)
    invoke(ministack, "refresh")
    found = dynamodb.get_item(TableName=f"{PREFIX}-FromStationCounts", Key=key)["Item"]
    assert found["from_count"] == {"N": str(city.counts[station])}, found
    (*_, line) = invocations(ministack, "refresh")
    assert (line["recounts"], line["failures"], line["is_complete"]) == (1, 0, True), line
    assert counts(city.program, store) == city.counts
    print(f"the count of {station} was deleted, and is {city.counts[station]} again")


def refuses_to_delete(ministack, table):
    dynamodb = ministack.client("dynamodb")
    try:
        dynamodb.delete_table(TableName=table)
    except dynamodb.exceptions.ClientError as error:
        return "protection" in str(error)
    return False


def adopt(ministack, city):
    """Takes the tables into a new stack, as README.md does. Returns the parameters that fit them."""
    cloudformation = ministack.client("cloudformation")
    environment = {**os.environ, "AWS_ENDPOINT_URL": ministack.endpoint, **CREDENTIALS}
    command = [sys.executable, ROOT / "infra" / "adopt", PREFIX, "--region", REGION, "--into", city.folder]
    printed = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(printed, end="")
    parameters = dict(pair.split("=") for pair in printed.splitlines()[-1].split())
    adopted = json.loads((city.folder / "adopt.json").read_text())
    # Otherwise the deployment would replace the index, in one update, which CloudFormation refuses.
    expected = trip_table(translated("Retain"), parameters["TripIndex"], parameters["Layout"])
    assert shape(adopted["Resources"]["TripData"]["Properties"]) == expected, adopted
    cloudformation.create_change_set(
        StackName=STACK, ChangeSetName="adopt", ChangeSetType="IMPORT",
        TemplateBody=json.dumps(adopted),
        ResourcesToImport=json.loads((city.folder / "adopt-resources.json").read_text()),
    )
    cloudformation.get_waiter("change_set_create_complete").wait(
        StackName=STACK, ChangeSetName="adopt", WaiterConfig={"Delay": 1}
    )
    cloudformation.execute_change_set(StackName=STACK, ChangeSetName="adopt")
    wait_for(cloudformation, "IMPORT")
    return parameters


def stack_first(ministack, city, feed):
    step("the stack first: stack, load, poll, stream, counts")
    store = ministack.store()
    before = remaining(ministack)
    assert not before, before
    deploy(ministack, translated("Retain"), feed.url)
    # Its schedule begins at once.
    invoke(ministack, "refresh")
    # Only the deployed function refreshes counts here.
    city.load(store)
    until(lambda: invocations(ministack, "station-stream"), "the load invokes the function")
    expect_counts(ministack, city, store)

    step("polls that change bikes alone; a count that is missing")
    expect_filtered(ministack, feed)
    expect_refresh(ministack, city, store)

    step("removal, the tables kept")
    # An invocation that ends after the removal would bring its log group back: here, where
    # nothing holds it to its role, which may not make one.
    until(lambda: is_quiet(ministack), "the stream is at rest")
    left = remove(ministack)
    tables = sorted(f"{PREFIX}-{table}" for table in TABLES)
    assert sorted(map(str, left)) == tables, f"not the tables alone are left: {left}"
    assert counts(city.program, store) == city.counts, "the tables are as they were"
    print("the tables outlive the stack")

    step("the kept tables in a new stack")
    parameters = adopt(ministack, city)
    assert (parameters["TripIndex"], parameters["Layout"]) == ("counted", "rows"), parameters
    deploy(ministack, translated("Retain"), feed.url, update=True, **parameters)
    expect_counts(ministack, city, store)
    until(lambda: is_quiet(ministack), "the stream is at rest")
    assert sorted(map(str, remove(ministack))) == tables

    step("removal of the kept tables")
    dynamodb = ministack.client("dynamodb")
    for name in tables:
        assert refuses_to_delete(ministack, name), f"{name} is not protected"
        dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
        dynamodb.delete_table(TableName=name)
    left = remaining(ministack)
    assert not left, f"something is left: {left}"
    print("each table is protected until its protection is removed; after them nothing is left")


def tables_first(ministack, city, feed):
    """Tables in the layout of blocks, with the index of an older program, are adopted as they are, and
    then upgraded."""
    step("the tables first: load, import of the tables, stack, poll, stream, counts")
    store = ministack.store()
    city.load(store, "--layout", "packed")
    assert not any(counts(city.program, store).values()), "nothing has counted yet"
    make_older(ministack.client("dynamodb"))

    parameters = adopt(ministack, city)
    assert (parameters["TripIndex"], parameters["Layout"]) == ("compared", "packed"), parameters
    deploy(ministack, translated("Retain"), feed.url, update=True, **parameters)
    assert refuses_to_delete(ministack, f"{PREFIX}-TripData"), "an adopted table is protected"
    expect_counts(ministack, city, store)

    step("upgrade of the index of a stack, in two updates")
    upgrade(ministack, city, feed, parameters)

    step("removal, the tables with the stack")
    until(lambda: is_quiet(ministack), "the stream is at rest")
    parameters["TripIndex"] = "counted"
    deploy(ministack, translated("Delete"), feed.url, update=True, **parameters,
           Tables="Delete", DeletionProtection="false")
    left = remove(ministack)
    assert not left, f"something is left: {left}"
    print("nothing is left")


def make_older(dynamodb):
    """Gives TripData the index that divvy made before December 2026, and takes from its blocks what only
    the new one needs."""
    table = f"{PREFIX}-TripData"
    dynamodb.update_table(TableName=table, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": INDEX}}])
    dynamodb.update_table(
        TableName=table,
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ["trip_id", "from_station_id"]
        ],
        GlobalSecondaryIndexUpdates=[{"Create": {
            "IndexName": INDEX,
            "KeySchema": [{"AttributeName": "from_station_id", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["n"]},
        }}],
    )
    blocks = dynamodb.get_paginator("scan").paginate(TableName=table)
    for block in blocks.search("Items[]"):
        assert "block" in block and "started_at" in block, sorted(block)
        dynamodb.update_item(
            TableName=table, Key={"trip_id": block["trip_id"]}, UpdateExpression="REMOVE started_at"
        )


def upgrade(ministack, city, feed, parameters):
    """The upgrade of a stack, as README.md has it."""
    store = ministack.store()
    dynamodb = ministack.client("dynamodb")

    def now():
        return shape(dynamodb.describe_table(TableName=f"{PREFIX}-TripData")["Table"])

    def update(trip_index):
        values = {**parameters, "TripIndex": trip_index}
        deploy(ministack, translated("Retain"), feed.url, update=True, **values)
        expected = trip_table(translated("Retain"), trip_index, parameters["Layout"])
        # In one update an index is created or deleted, not both.
        assert now() == expected, (now(), expected)

    _, said = divvy(city.program, "refresh", "--store", store)
    assert "divvy upgrade makes the new one" in said, said
    _, said = divvy(city.program, "upgrade", "--store", store)
    assert "TripIndex=none" in said and f"the stack {STACK}" in said, said
    update("none")
    _, said = divvy(city.program, "load", city.archive, "--store", store, expect=[2])
    assert "index" in said and "divvy upgrade" in said, said
    update("counted")
    _, said = divvy(city.program, "upgrade", "--store", store)
    assert "has the form of this divvy" in said, said
    _, said = divvy(city.program, "refresh", "--all", "--store", store)
    assert "warning" not in said, said
    expect_counts(ministack, city, store)
    checked, _ = divvy(city.program, "check", "--store", store)
    print(checked, end="")
    # The functions describe the tables when they start: those of before have ended.
    expect_refresh(ministack, city, store)


def end_to_end(binaries):
    subprocess.run([ROOT / "infra" / "package", "--built", binaries], check=True)
    with tempfile.TemporaryDirectory() as folder:
        city = City(binaries / "divvy", pathlib.Path(folder))
        with Ministack(folder) as ministack, Feed(city.folder / "feed") as feed:
            upload(ministack)
            stack_first(ministack, city, feed)
            tables_first(ministack, city, feed)
            step("permissions of the functions")
            roles = resolved(translated("Retain"), {})
            permissions.check(roles, PREFIX, ministack.proxy.requests)
