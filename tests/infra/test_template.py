"""What the template becomes: the stack after SAM's transform and CloudFormation's functions."""

import fnmatch
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from auth.records import CUSTOM_ATTRIBUTES
from bootstrap.settings import PREFIX, Settings
from tests.infra.stack import SAM_BIN, TEMPLATE, Stack, sam_environment, translated

# Settings that the template has no parameter for, and why.
WIRED = {
    "cognito_user_pool_id": "the stack's own pool, or the parameter UserPoolId",
    "cognito_region": "the stack's Region",
    "response_mode": "follows from the integrations",
}
LOCAL = {"data_dir": "where `zerogate serve` keeps its keys"}

# What may be in a stack that nobody calls, and why it costs nothing by the hour.
FREE_AT_REST = {
    "AWS::ApiGateway::Deployment": "billed per request",
    "AWS::ApiGateway::RestApi": "billed per request",
    "AWS::ApiGateway::Stage": "billed per request, without a cache cluster",
    "AWS::Cognito::UserPool": "billed per active user, the first thousands free",
    "AWS::IAM::Role": "free",
    "AWS::Lambda::Alias": "free without provisioned concurrency",
    "AWS::Lambda::Function": "billed per call",
    "AWS::Lambda::Permission": "free",
    "AWS::Lambda::Version": "its code is stored free of charge",
    "AWS::Logs::LogGroup": "stored bytes, which expire",
}

# Resources of policies that hold a wildcard, and why.
WILDCARDS = {
    "arn:aws:bedrock:*::foundation-model/*": "families of models, in every Region that an inference profile may use",
    "arn:aws:bedrock:*:*:inference-profile/*": "profiles of these families, whatever the geography in their name",
    "arn:aws:bedrock:*:123456789012:application-inference-profile/*": "opt-in: their ids are random",
    "arn:aws:ssm:eu-central-1:123456789012:parameter/zerogate/*": "the provider keys of this deployment",
}
STREAM_URI = (
    "arn:aws:apigateway:eu-central-1:lambda:path/2021-11-15/functions/<{}Aliaslive>/response-streaming-invocations"
)


@pytest.fixture(scope="module")
def stack() -> Stack:
    return Stack()


def paths_of(stack: Stack) -> dict[str, Any]:
    paths: dict[str, Any] = stack["Api"]["Body"]["paths"]
    return paths


def test_every_route_streams_through_the_alias_for_fifteen_minutes(stack: Stack) -> None:
    functions = {"/": "Gateway", "/{proxy+}": "Gateway", "/admin/{proxy+}": "Admin", "/v1/admin/{proxy+}": "Admin"}
    assert paths_of(stack).keys() == functions.keys()
    for path, function in functions.items():
        (method,) = paths_of(stack)[path]
        integration = paths_of(stack)[path][method]["x-amazon-apigateway-integration"]
        assert method == "x-amazon-apigateway-any-method"
        assert integration == {
            "type": "aws_proxy",
            "httpMethod": "POST",
            "uri": STREAM_URI.format(function),
            "responseTransferMode": "STREAM",
            "timeoutInMillis": 900_000,
        }


def test_only_admin_is_behind_iam(stack: Stack) -> None:
    signed = {path for path, item in paths_of(stack).items() if "security" in item["x-amazon-apigateway-any-method"]}
    assert signed == {"/admin/{proxy+}"}
    assert paths_of(stack)["/admin/{proxy+}"]["x-amazon-apigateway-any-method"]["security"] == [{"iam": []}]
    iam = stack["Api"]["Body"]["securityDefinitions"]["iam"]
    assert (iam["type"], iam["x-amazon-apigateway-authtype"]) == ("apiKey", "awsSigv4")


@pytest.mark.parametrize(
    ("parameter", "path"), [("AdminOverIam", "/admin/{proxy+}"), ("AdminOverKeys", "/v1/admin/{proxy+}")]
)
def test_each_way_to_the_administration_can_be_switched_off(parameter: str, path: str) -> None:
    off = Stack(**{parameter: "false"})
    assert path not in paths_of(off)
    assert len(paths_of(off)) == 3
    assert "Admin" in off.resources


def test_without_an_administration_nothing_can_change_a_key() -> None:
    off = Stack(AdminOverIam="false", AdminOverKeys="false")
    assert set(paths_of(off)) == {"/", "/{proxy+}"}
    assert not [name for name in off.resources if name.startswith("Admin")]


def test_a_switch_reaches_the_stage(stack: Stack) -> None:
    """A changed parameter alone leaves the template's text, and with it SAM's hash of the API, as it was."""
    assert "AlwaysDeploy: true" in TEMPLATE.read_text()
    assert stack["ApiStage"]["DeploymentId"].startswith("<ApiDeployment")


def test_a_deployment_id_publishes_a_new_version() -> None:
    versions = [set(Stack(DeploymentId=name).of("AWS::Lambda::Version")) for name in ("a1", "b2")]
    assert versions == [{"GatewayVersiona1", "AdminVersiona1"}, {"GatewayVersionb2", "AdminVersionb2"}]
    variables = Stack(DeploymentId="b2")["Gateway"]["Environment"]["Variables"]
    assert variables["DEPLOYMENT_ID"] == "b2"


def test_api_gateway_may_call_the_aliases_and_nobody_else_may(stack: Stack) -> None:
    permissions = stack.of("AWS::Lambda::Permission")
    assert len(permissions) == 2
    for name, permission in permissions.items():
        assert permission == {
            "Action": "lambda:InvokeFunction",
            "FunctionName": f"<{name.removesuffix('Permission')}Aliaslive>",
            "Principal": "apigateway.amazonaws.com",
            "SourceArn": "arn:aws:execute-api:eu-central-1:123456789012:<Api>/*",
        }


def test_the_api_is_regional_and_throttled(stack: Stack) -> None:
    assert stack["Api"]["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
    (settings,) = stack["ApiStage"]["MethodSettings"]
    assert (settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]) == ("50", "100")


def test_the_functions_run_our_runtime_on_lambdas_default(stack: Stack) -> None:
    for name, handler in (("Gateway", "bootstrap.lambda_entry.gateway"), ("Admin", "bootstrap.lambda_entry.admin")):
        function = stack[name]
        assert (function["Runtime"], function["Architectures"], function["Timeout"]) == ("python3.13", ["arm64"], "900")
        assert function["Handler"] == handler
        assert function["Role"] == f"<{name}Role.Arn>"
        assert function["Environment"]["Variables"]["AWS_LAMBDA_EXEC_WRAPPER"] == "/var/task/run.sh"
        assert function["LoggingConfig"]["LogFormat"] == "JSON"
        assert function["LoggingConfig"]["LogGroup"] == f"<{name}Logs>"
        # A higher level would have Lambda drop the usage lines.
        assert function["LoggingConfig"]["ApplicationLogLevel"] == "INFO"


def test_every_setting_is_a_parameter_with_the_codes_default(stack: Stack) -> None:
    variables = stack["Gateway"]["Environment"]["Variables"]
    assert stack["Admin"]["Environment"]["Variables"] == variables
    given = {name for name in variables if name.startswith(PREFIX)}
    assert given == {f"{PREFIX}{name.upper()}" for name in Settings.model_fields if name not in LOCAL}
    written = TEMPLATE.read_text()
    for name, field in Settings.model_fields.items():
        if name in LOCAL or name in WIRED:
            continue
        parameter = "".join(part.capitalize() for part in name.split("_"))
        assert f"{PREFIX}{name.upper()}: !Ref {parameter}\n" in written
        assert stack.parameters[parameter]["Description"]
        # What the variable says is what the code would do without it.
        value = variables[f"{PREFIX}{name.upper()}"]
        settings = Settings(**{name: value})
        assert getattr(settings, name) == field.default, name


def test_with_the_default_parameters_nothing_bills_by_the_hour(stack: Stack) -> None:
    types = {resource["Type"] for resource in stack.resources.values()}
    assert types <= FREE_AT_REST.keys()
    assert stack["Gateway"]["SnapStart"] == {"ApplyOn": "None"}
    assert all("ProvisionedConcurrencyConfig" not in alias for alias in stack.of("AWS::Lambda::Alias").values())
    assert "CacheClusterEnabled" not in stack["ApiStage"]
    assert all("RetentionInDays" in group for group in stack.of("AWS::Logs::LogGroup").values())


def test_what_costs_something_says_so(stack: Stack) -> None:
    costly = {name for name, p in stack.parameters.items() if p["Description"].startswith("COSTS WHILE IDLE")}
    assert costly == {"SnapStart", "ProvisionedConcurrency", "WafRatePerFiveMinutes"}
    assert all(str(stack.parameters[name]["Default"]) in {"0", "false"} for name in costly)
    dear = Stack(SnapStart="true", ProvisionedConcurrency="2", WafRatePerFiveMinutes="1000")
    assert dear["Gateway"]["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    assert dear["GatewayAliaslive"]["ProvisionedConcurrencyConfig"] == {"ProvisionedConcurrentExecutions": "2"}
    assert dear["FirewallAssociation"]["ResourceArn"].endswith("/restapis/<Api>/stages/<ApiStage>")


def statements(stack: Stack, role: str) -> list[dict[str, Any]]:
    found = []
    for policy in stack[role]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            found.append({part: value if isinstance(value, list) else [value] for part, value in statement.items()})
    assert "ManagedPolicyArns" not in stack[role]
    return found


def test_the_public_function_can_read_keys_and_not_create_or_change_one(stack: Stack) -> None:
    allowed = {action for statement in statements(stack, "GatewayRole") for action in statement["Action"]}
    assert allowed == {
        "bedrock:InvokeModel",
        "bedrock:InvokeModelWithResponseStream",
        "cognito-idp:AdminGetUser",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "ssm:GetParameter",
        "ssm:GetParameters",
    }


def test_the_administration_can_keep_keys_and_ask_no_model(stack: Stack) -> None:
    allowed = {action for statement in statements(stack, "AdminRole") for action in statement["Action"]}
    users = ("Create", "Delete", "Disable", "Enable", "Get")
    assert allowed == {
        *(f"cognito-idp:Admin{verb}User" for verb in users),
        "cognito-idp:AdminUpdateUserAttributes",
        "cognito-idp:ListUsers",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    }


@pytest.mark.parametrize("profiles", ["false", "true"])
def test_no_resource_of_a_policy_is_wider_than_said(profiles: str) -> None:
    stack = Stack(BedrockApplicationProfiles=profiles)
    for role in ("GatewayRole", "AdminRole"):
        for statement in statements(stack, role):
            for resource in statement["Resource"]:
                assert resource != "*"
                if "*" in resource:
                    assert any(fnmatch.fnmatchcase(resource, known) for known in WILDCARDS), resource
            if statement["Action"][0].startswith("cognito-idp:"):
                assert statement["Resource"] == ["arn:aws:cognito-idp:eu-central-1:123456789012:userpool/<UserPool>"]


def test_bedrock_is_open_for_the_families_asked_for_and_their_profiles() -> None:
    stack = Stack(BedrockModels="amazon.nova-lite-*,meta.llama3-*")
    first, second = [s["Resource"] for s in statements(stack, "GatewayRole") if s["Action"][0].startswith("bedrock:")]
    assert first == [
        "arn:aws:bedrock:*::foundation-model/amazon.nova-lite-*",
        "arn:aws:bedrock:*::foundation-model/meta.llama3-*",
    ]
    profile = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.meta.llama3-3-70b-instruct-v1:0"
    assert fnmatch.fnmatchcase(profile, second[1])


def test_the_user_pool_outlives_the_stack_and_nobody_signs_in_to_it(stack: Stack) -> None:
    pool = stack.resources["UserPool"]
    assert (pool["DeletionPolicy"], pool["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert pool["Properties"]["DeletionProtection"] == "ACTIVE"
    assert pool["Properties"]["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    lengths = {a["Name"]: int(a["StringAttributeConstraints"]["MaxLength"]) for a in pool["Properties"]["Schema"]}
    assert lengths == CUSTOM_ATTRIBUTES
    assert all(a["Mutable"] for a in pool["Properties"]["Schema"])
    again = Stack(UserPoolId="eu-central-1_AbCdEf123")
    assert "UserPool" not in again.resources
    assert again["Gateway"]["Environment"]["Variables"]["ZEROGATE_COGNITO_USER_POOL_ID"] == "eu-central-1_AbCdEf123"
    assert again["GatewayRole"]["Policies"][1]["PolicyDocument"]["Statement"][0]["Resource"].endswith(
        "userpool/eu-central-1_AbCdEf123"
    )


def test_what_api_gateway_answers_itself_is_the_same_error_object(stack: Stack) -> None:
    responses = stack["Api"]["Body"]["x-amazon-apigateway-gateway-responses"]
    wanted = {
        "UNAUTHORIZED": "401",
        "ACCESS_DENIED": "403",
        "MISSING_AUTHENTICATION_TOKEN": "403",
        "REQUEST_TOO_LARGE": "413",
        "THROTTLED": "429",
        "INTEGRATION_FAILURE": "502",
        "INTEGRATION_TIMEOUT": "504",
    }
    assert wanted.items() <= {name: str(response.get("statusCode")) for name, response in responses.items()}.items()
    assert {"DEFAULT_4XX", "DEFAULT_5XX"} <= responses.keys()
    for name, response in responses.items():
        (template,) = response["responseTemplates"].items()
        document = json.loads(template[1])
        assert template[0] == "application/json"
        assert document["type"] == "error"
        assert document["error"].keys() == {"message", "type", "param", "code"}, name
        headers = {key.removeprefix("gatewayresponse.header."): v for key, v in response["responseParameters"].items()}
        assert headers["x-request-id"] == "context.requestId"
        assert headers["Access-Control-Allow-Origin"] == "'*'"
    assert "'1'" in responses["THROTTLED"]["responseParameters"].values()


def test_api_gateways_errors_name_the_first_origin_that_is_allowed() -> None:
    stack = Stack(CorsOrigins="https://a.example,https://b.example")
    response = stack["Api"]["Body"]["x-amazon-apigateway-gateway-responses"]["THROTTLED"]
    assert "'https://a.example'" in response["responseParameters"].values()


def test_json_is_never_taken_for_binary(stack: Stack) -> None:
    types = [t.replace("~1", "/") for t in stack["Api"]["Body"]["x-amazon-apigateway-binary-media-types"]]
    for text in ("application/json", "application/json; charset=utf-8", "text/event-stream", "text/plain"):
        assert not any(fnmatch.fnmatchcase(text, pattern) for pattern in types)
    assert any(fnmatch.fnmatchcase("image/png", pattern) for pattern in types)


def test_a_domain_is_an_option() -> None:
    certificate = "arn:aws:acm:eu-central-1:123456789012:certificate/x"
    stack = Stack(DomainName="llm.example.com", CertificateArn=certificate, HostedZoneId="Z1")
    assert stack["DomainMapping"] == {"DomainName": "<Domain>", "RestApiId": "<Api>", "Stage": "<ApiStage>"}
    assert stack["Domain"]["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
    assert stack["DomainRecord"]["AliasTarget"]["DNSName"] == "<Domain.RegionalDomainName>"
    assert "DomainRecord" not in Stack(DomainName="llm.example.com", CertificateArn=certificate).resources


def test_reserved_concurrency_is_an_option(stack: Stack) -> None:
    assert "ReservedConcurrentExecutions" not in stack["Gateway"]
    assert Stack(ReservedConcurrency="5")["Gateway"]["ReservedConcurrentExecutions"] == "5"


def test_the_outputs_are_addresses_and_the_next_command(stack: Stack) -> None:
    root = "https://<Api>.execute-api.eu-central-1.amazonaws.com/api"
    assert stack.outputs["BaseUrl"] == f"{root}/v1"
    assert stack.outputs["McpUrl"] == f"{root}/mcp"
    assert stack.outputs["NextCommand"].endswith(f"{root}/admin/v1/keys")


def test_cfn_lint_finds_nothing_in_the_template_or_in_what_it_becomes(tmp_path: Path) -> None:
    (tmp_path / "translated.json").write_text(json.dumps(translated()))
    for file in (TEMPLATE, tmp_path / "translated.json"):
        done = subprocess.run(
            [str(SAM_BIN / "cfn-lint"), str(file)],
            env=sam_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert (done.returncode, done.stdout) == (0, "")
