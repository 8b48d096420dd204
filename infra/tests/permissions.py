"""Whether each function's role permits what the function does, which ministack does not ask.

The functions reach ministack by a proxy, which notes each request of theirs. Which function it is from
stands in the user agent: the SDK writes the variable AWS_SDK_UA_APP_ID there.
"""

import copy
import http.client
import http.server
import json
import re
import threading

from tests.template import FUNCTIONS

APP = "AWS_SDK_UA_APP_ID"


def with_names(template):
    """Returns a template whose functions name themselves in their requests."""
    template = copy.deepcopy(template)
    for name in FUNCTIONS:
        template["Resources"][name]["Properties"]["Environment"]["Variables"][APP] = name
    return template


class Proxy:
    """Passes requests on to a port of this machine, and notes those of functions to DynamoDB: the
    function, the action, the table, the index, and the value of the hash key `archive` of LoadLedger."""

    def __init__(self, port):
        self.requests = set()
        handler = type("Handler", (Handler,), {"to": port, "requests": self.requests})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()


class Handler(http.server.BaseHTTPRequestHandler):
    connection_on = None
    protocol_version = "HTTP/1.1"
    # Head and body of an answer in one packet: else each waits 40 ms for the acknowledgement of the other.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        target = self.headers.get("X-Amz-Target", "")
        agents = f"{self.headers.get('User-Agent')} {self.headers.get('X-Amz-User-Agent')}"
        function = re.search(r"\bapp/(\w+)", agents)
        if target.startswith("DynamoDB_") and function:
            action = target.partition(".")[2]
            self.requests.update((function[1], *each) for each in accesses(action, json.loads(body)))
        self.connection_on = self.connection_on or http.client.HTTPConnection("127.0.0.1", self.to)
        self.connection_on.request("POST", self.path, body, dict(self.headers))
        answer = self.connection_on.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "content-length", "date", "server", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def finish(self):
        super().finish()
        if self.connection_on:
            self.connection_on.close()

    def log_message(self, *_):
        pass


def accesses(action, body):
    """Splits a request into what IAM decides on: action, table, index, value of `archive`."""

    def archive(item):
        return (item or {}).get("archive", {}).get("S")

    if action in ("BatchGetItem", "BatchWriteItem"):
        return [(action, table, None, None) for table in body["RequestItems"]]
    if action == "TransactWriteItems":
        # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
        actions = {"Put": "PutItem", "Delete": "DeleteItem", "Update": "UpdateItem"}
        return [
            (actions.get(kind, "ConditionCheckItem"), each["TableName"], None, archive(each.get("Item", each.get("Key"))))
            for item in body["TransactItems"] for kind, each in item.items()
        ]
    return [(action, body.get("TableName"), body.get("IndexName"), archive(body.get("Item", body.get("Key"))))]


def permitted(template, function, prefix, request):
    """Whether the role of a function permits a request. `template` is a resolved one."""
    resources = template["Resources"]
    action, table, index, archive = request
    role = resources[resources[function]["Properties"]["Role"]["Fn::GetAtt"][0]]
    logical = table.removeprefix(f"{prefix}-")
    resource = {"Fn::GetAtt": [logical, "Arn"]}
    if index:
        resource = {"Fn::Sub": f"${{{logical}.Arn}}/index/{index}"}

    def listed(value):
        return value if isinstance(value, list) else [value]

    def holds(statement):
        keys = [
            key for test in statement.get("Condition", {}).values()
            for key in test["dynamodb:LeadingKeys"]
        ]
        return (
            f"dynamodb:{action}" in listed(statement["Action"])
            and resource in listed(statement["Resource"])
            and (not keys or archive in keys)
        )

    policies = [resources[each["Ref"]] for each in role["Properties"]["ManagedPolicyArns"]]
    return any(
        holds(statement)
        for policy in policies for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    )


def check(template, prefix, requests):
    """Holds what the functions have done to their roles."""
    done = {function for function, *_ in requests}
    assert done == set(FUNCTIONS), f"requests of {done} alone"
    refused = [each for each in requests if not permitted(template, each[0], prefix, each[1:])]
    assert not refused, f"not permitted: {sorted(map(str, refused))}"
    print(f"the roles permit each of {len({each[:4] for each in requests})} kinds of requests of {len(done)} functions")
