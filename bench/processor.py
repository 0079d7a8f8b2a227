# SPDX-License-Identifier: Apache-2.0
"""Which processor figures come from."""
import platform


def name():
    """With its family and model where the system tells them: generations share a name."""
    told = {}
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            field, _, value = line.partition(":")
            told.setdefault(field.strip(), value.strip())
    found = told.get("model name") or platform.processor() or "unknown processor"
    return f"{found}, family {told['cpu family']}, model {told['model']}" if "cpu family" in told else found
