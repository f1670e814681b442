"""Run by the SAM CLI's own interpreter: prints a template as SAM's transform leaves it. Arguments: file, parameters."""

import json
import sys
from pathlib import Path

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform


class NoManagedPolicies:
    """The template writes its policies out."""

    def load(self) -> dict[str, str]:
        return {}


template = yaml_parse(Path(sys.argv[1]).read_text())
# What `sam deploy` puts there after the upload.
template["Globals"]["Function"].pop("CodeUri")
for name in ("Gateway", "Admin"):
    template["Resources"][name]["Properties"]["CodeUri"] = "s3://bucket/artifact.zip"
parameters = {"AWS::Region": "eu-central-1", **json.loads(sys.argv[2])}
json.dump(transform(template, parameters, NoManagedPolicies()), sys.stdout)
