"""Checks of the template without any service: cfn-lint, checkov, and what the defaults mean."""

import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from tests.helpers import REGION, ROOT, TABLES

TEMPLATE = ROOT / "infra" / "template.yaml"
BUCKET = "divvy-test-code"
# The name of each function's zip, by its resource.
FUNCTIONS = dict(
    re.findall(r"^  (\w+):\n    Type: AWS::Serverless::Function\n(?:    .*\n|\n)*?      CodeUri: build/(.+)\.zip",
               TEMPLATE.read_text(), re.MULTILINE)
)
# Every resource of the template: alarms by mail are the only ones that the defaults leave out.
ALARM_EMAIL = "operator@example.com"


def lint(*paths, flags=()):
    """Holds templates to cfn-lint."""
    run = "import sys; from cfnlint.runner import main; sys.exit(main())"
    subprocess.run([sys.executable, "-c", run, *map(str, paths), *flags], check=True)


@functools.cache
def translated(tables):
    """The template as CloudFormation sees it: what AWS::LanguageExtensions and the SAM transform
    make of it. `tables` is what becomes of the tables."""
    from cfnlint.decode.cfn_yaml import load
    from samtranslator.translator.transform import transform

    class Policies:
        """The managed policies that a template may name. Ours names none."""

        @staticmethod
        def load():
            return {}

    template = json.loads(json.dumps(load(str(TEMPLATE))))
    # The extension in use: a parameter in a deletion policy.
    for resource in template["Resources"].values():
        if resource.get("DeletionPolicy") == {"Ref": "Tables"}:
            resource["DeletionPolicy"] = tables
    template["Transform"] = ["AWS::Serverless-2016-10-31"]
    for resource, name in FUNCTIONS.items():
        code = {"Bucket": BUCKET, "Key": f"{name}.zip"}
        template["Resources"][resource]["Properties"]["CodeUri"] = code
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    return transform(template, {}, Policies())


def resolved(template, given):
    """The translated template with the values of its parameters, its conditions decided."""
    parameters = {name: entry.get("Default") for name, entry in template["Parameters"].items()}
    parameters.update(given)
    conditions = template["Conditions"]

    def holds(condition):
        (kind, of), = condition.items()
        if kind == "Condition":
            return holds(conditions[of])
        if kind == "Fn::Equals":
            first, second = map(value, of)
            return str(first) == str(second)
        return {"Fn::Not": lambda: not holds(of[0]), "Fn::And": lambda: all(map(holds, of)),
                "Fn::Or": lambda: any(map(holds, of))}[kind]()

    absent = {"Ref": "AWS::NoValue"}

    def value(node):
        if isinstance(node, list):
            return [item for item in map(value, node) if item != absent]
        if not isinstance(node, dict):
            return node
        if "Fn::If" in node:
            name, then, otherwise = node["Fn::If"]
            return value(then if holds(conditions[name]) else otherwise)
        if node.get("Ref") in parameters:
            return parameters[node["Ref"]]
        items = {key: value(item) for key, item in node.items()}
        return {key: item for key, item in items.items() if item != absent}

    resources = {
        name: value(resource)
        for name, resource in template["Resources"].items()
        if "Condition" not in resource or holds(conditions[resource["Condition"]])
    }
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}


def check_security(template):
    """Holds the resources of a template to checkov. infra/checkov.yaml says what it leaves out."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "template.json"
        path.write_text(json.dumps(template, indent=1))
        config = ROOT / "infra" / "checkov.yaml"
        subprocess.run(["checkov", "--config-file", str(config), "--file", str(path)], check=True)


def check_protection(template):
    """What a table of a deployed stack is protected by, which ministack does not show."""
    for name in TABLES:
        table = template["Resources"][name]["Properties"]
        assert table["DeletionProtectionEnabled"] is True, name
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}, name
        assert table["OnDemandThroughput"] == {
            "MaxWriteRequestUnits": 4000, "MaxReadRequestUnits": 12000,
        }, name


def check_free(template):
    """The free path: 25 provisioned units of each kind, ten alarms, and nothing that always costs."""
    units = {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0}
    for name in TABLES:
        table = template["Resources"][name]["Properties"]
        assert not {"OnDemandThroughput", "SSESpecification", "ContributorInsightsSpecification"} & set(table)
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": False}
        for each in [table, *table.get("GlobalSecondaryIndexes", [])]:
            for kind in units:
                units[kind] += each["ProvisionedThroughput"][kind]
    assert units == {"ReadCapacityUnits": 25, "WriteCapacityUnits": 25}, units
    types = [resource["Type"] for resource in template["Resources"].values()]
    assert types.count("AWS::CloudWatch::Alarm") == 10, types
    assert "AWS::KMS::Key" not in types


def trip_table(template, trip_index, layout="rows"):
    """Returns the properties of TripData that name attributes, with a value of TripIndex."""
    table = resolved(template, {"TripIndex": trip_index, "Layout": layout})["Resources"]["TripData"]
    return shape(table["Properties"])


def shape(table):
    """Returns the properties of a table that name attributes, in any order of the definitions."""
    return {
        "attributes": sorted(each["AttributeName"] for each in table["AttributeDefinitions"]),
        "indexes": [
            {key: each[key] for key in ("IndexName", "KeySchema", "Projection")}
            for each in table.get("GlobalSecondaryIndexes", [])
        ],
    }


def check_index(template):
    """TripData with each value of TripIndex: cfn-lint's rule that template.yaml has to leave out, and
    one creation or deletion of an index in each step of an upgrade."""
    for layout, projected in [("rows", "archive"), ("packed", "n")]:
        counted, none, compared = (
            trip_table(template, value, layout) for value in ["counted", "none", "compared"]
        )
        assert counted["attributes"] == ["from_station_id", "started_at", "trip_id"], counted
        (index,) = counted["indexes"]
        assert [key["AttributeName"] for key in index["KeySchema"]] == ["from_station_id", "started_at"]
        assert index["Projection"] == {"ProjectionType": "INCLUDE", "NonKeyAttributes": [projected]}
        assert none == {"attributes": ["trip_id"], "indexes": []}, none
        assert compared["attributes"] == ["from_station_id", "trip_id"], compared
        (index,) = compared["indexes"]
        assert [key["AttributeName"] for key in index["KeySchema"]] == ["from_station_id"]
        is_old = {"rows": {"ProjectionType": "KEYS_ONLY"},
                  "packed": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["n"]}}
        assert index["Projection"] == is_old[layout], index
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for value in ["counted", "none", "compared"]:
            table = resolved(template, {"TripIndex": value})["Resources"]["TripData"]
            del table["Metadata"]
            paths.append(pathlib.Path(folder) / f"{value}.json")
            parts = {"Parameters": template["Parameters"], "Resources": {"TripData": table}}
            paths[-1].write_text(json.dumps(parts))
        # Not all parameters are of this table.
        lint(*paths, flags=["--ignore-checks", "W2001"])


def check_mapping(template):
    """The mapping of the stream: records are given up by their age alone, which is longer than the 15
    minutes that the function waits for the index."""
    for capacity, age_s in [("on-demand", 3600), ("provisioned", 43200)]:
        mapping = resolved(template, {"Capacity": capacity})["Resources"]["StationStreamStations"]
        mapping = mapping["Properties"]
        assert mapping["MaximumRetryAttempts"] == -1, mapping
        assert mapping["MaximumRecordAgeInSeconds"] == age_s, mapping
        patterns = [json.loads(each["Pattern"]) for each in mapping["FilterCriteria"]["Filters"]]
        for event, cause, passes in [
            ("INSERT", "insert", True), ("MODIFY", "load", True), ("MODIFY", "ids", True),
            ("MODIFY", "feed", False), ("MODIFY", "time", False),
            # Of an older program.
            ("INSERT", None, True), ("MODIFY", None, True),
            ("REMOVE", "load", False), ("REMOVE", None, False),
        ]:
            image = {"station_id": {"S": "35"}, "name": {"S": "Streeter Dr"}}
            image |= {"cause": {"S": cause}} if cause else {}
            record = {"Keys": {"station_id": {"S": "35"}}}
            record |= {"NewImage": image} if event != "REMOVE" else {}
            record |= {"OldImage": image} if event != "INSERT" else {}
            record = {"eventName": event, "dynamodb": record}
            found = any(matches(record, pattern) for pattern in patterns)
            assert found == passes, record


def matches(record, pattern):
    """Decides as Lambda's filters do: each leaf of the pattern is a list of alternatives for the value at
    that path, which may be missing altogether (https://github.com/aws/event-ruler, "Exists matching")."""

    def alternatives(node, path):
        if isinstance(node, list):
            yield path, node
        else:
            for key, child in node.items():
                yield from alternatives(child, (*path, key))

    def value(path):
        found = record
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return found

    def holds(found, alternative):
        if isinstance(alternative, dict):
            (kind, expected), = alternative.items()
            assert kind == "exists", alternative
            return (found is not None) == expected
        return found == alternative

    return all(
        any(holds(value(path), alternative) for alternative in all_of)
        for path, all_of in alternatives(pattern, ())
    )
