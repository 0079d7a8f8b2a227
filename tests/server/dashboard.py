# SPDX-License-Identifier: Apache-2.0
"""dashboard.py FILE: holds a dashboard against Grafana's own model of one, as its makers
publish it (grafana-foundation-sdk): read into that and written again, every member is there
with its value, so Grafana knows it. Prints those that are not; exits 1 where there is one."""
import json
import sys

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard


def lost(ours, theirs, path=""):
    """Members of ours that theirs has not, or with another value."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name, value in ours.items():
            yield from lost(value, theirs.get(name), f"{path}.{name}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for i, (left, right) in enumerate(zip(ours, theirs)):
            yield from lost(left, right, f"{path}[{i}]")
    elif ours != theirs:
        yield f"{path}: {json.dumps(ours)[:80]} became {json.dumps(theirs)[:80]}"


plugins.register_default_plugins()
source = json.load(open(sys.argv[1], encoding="utf-8"))
written = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(source)))
missing = list(lost(source, written))
print("\n".join(missing))
sys.exit(1 if missing or not source["panels"] else 0)
