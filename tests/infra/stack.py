"""The stack that CloudFormation would make of the template: SAM's transform, then conditions and functions resolved."""

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from infra_sam.build import ROOT

TEMPLATE = ROOT / "infra_sam" / "template.yaml"
SAM_BIN = Path(f"{sys.prefix}-sam") / "bin"
PSEUDO = {
    "AWS::Region": "eu-central-1",
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::StackName": "zerogate",
    "AWS::URLSuffix": "amazonaws.com",
}
NO_VALUE = object()


def sam_environment() -> dict[str, str]:
    """Nothing of the person's AWS set-up."""
    return {
        "PATH": "/usr/bin:/bin",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "SAM_CLI_TELEMETRY": "0",
        "HOME": "/nonexistent",
    }


@cache
def translated(**parameters: str) -> Any:
    """The template after SAM's transform."""
    assert SAM_BIN.exists(), "the SAM CLI is not installed: run 'make validate'"
    command = [str(SAM_BIN / "python"), str(Path(__file__).with_name("translate.py")), str(TEMPLATE)]
    done = subprocess.run(
        [*command, json.dumps(parameters)],
        env=sam_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Stack:
    """Resources with their properties, as they would be with these parameters. References to resources are `<Name>`."""

    def __init__(self, **parameters: str) -> None:
        template = translated(**parameters)
        self.parameters = template["Parameters"]
        self._values = {name: str(p["Default"]) for name, p in self.parameters.items()} | parameters
        self._conditions = template["Conditions"]
        self.resources: dict[str, dict[str, Any]] = {
            name: self._resolved(resource)
            for name, resource in template["Resources"].items()
            if "Condition" not in resource or self._holds(resource["Condition"])
        }
        self.outputs = {
            name: self._resolved(output["Value"])
            for name, output in template["Outputs"].items()
            if "Condition" not in output or self._holds(output["Condition"])
        }

    def of(self, type_: str) -> dict[str, dict[str, Any]]:
        """Properties of all resources of a type, by name."""
        return {name: r["Properties"] for name, r in self.resources.items() if r["Type"] == type_}

    def __getitem__(self, name: str) -> dict[str, Any]:
        properties: dict[str, Any] = self.resources[name]["Properties"]
        return properties

    def _holds(self, condition: Any) -> bool:
        if isinstance(condition, str):
            return self._holds(self._conditions[condition])
        ((function, argument),) = condition.items()
        match function:
            case "Condition":
                return self._holds(argument)
            case "Fn::Equals":
                return str(self._resolved(argument[0])) == str(self._resolved(argument[1]))
            case "Fn::Not":
                return not self._holds(argument[0])
            case "Fn::And":
                return all(self._holds(each) for each in argument)
            case "Fn::Or":
                return any(self._holds(each) for each in argument)
        raise AssertionError(function)

    def _resolved(self, node: Any) -> Any:
        if isinstance(node, list):
            return [value for each in node if (value := self._resolved(each)) is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((function, argument),) = node.items()
            if function == "Ref" or function.startswith("Fn::"):
                return self._called(function, argument)
        return {name: value for name, each in node.items() if (value := self._resolved(each)) is not NO_VALUE}

    def _called(self, function: str, argument: Any) -> Any:
        match function:
            case "Ref":
                return self._ref(argument)
            case "Fn::GetAtt":
                return f"<{'.'.join(argument) if isinstance(argument, list) else argument}>"
            case "Fn::If":
                return self._resolved(argument[1] if self._holds(argument[0]) else argument[2])
            case "Fn::Sub":
                text, names = argument if isinstance(argument, list) else (argument, {})
                return re.sub(
                    r"\$\{([^}]+)\}",
                    lambda m: str(self._resolved(names[m[1]]) if m[1] in names else self._ref(m[1])),
                    text,
                )
            case "Fn::Join":
                delimiter, parts = argument
                return delimiter.join(self._resolved(parts))
            case "Fn::Split":
                return self._resolved(argument[1]).split(argument[0])
            case "Fn::Select":
                return self._resolved(argument[1])[int(argument[0])]
        raise AssertionError(function)

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            value = self._values[name]
            return value.split(",") if self.parameters[name]["Type"] == "CommaDelimitedList" else value
        return f"<{name}>"
