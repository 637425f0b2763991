"""Two classes above rules: what is denied always, and what only a rule that names it covers."""

from __future__ import annotations

import pytest

from tests.permissions.support import HOME, judge
from tui_agent.permissions.policy import Policy, Request
from tui_agent.permissions.rule_sources import listed_rules

CATASTROPHES = (
    "x=/; rm -rf $x",
    'd=/ && rm -rf "$d"',
    "c=rm; $c -rf /",
    "echo / | xargs rm -rf",
    "printf '%s\\n' / | xargs rm -rf",
    "xargs rm -rf <<< /",
    "bash <<< 'rm -rf /'",
    "echo 'rm -rf /' | sh",
    "sh -c 'rm -rf ~'",
    "rm -rf {/,x}",
    'rm -rf "$HOME"',
    "find / -exec rm -rf {} +",
    "echo 'x ALL=(ALL) NOPASSWD: ALL' >> /etc/sudoers",
    "echo x | sudo tee -a /etc/sudoers.d/x",
    "echo key >> ~/.ssh/authorized_keys",
    "cp key.pub $HOME/.ssh/authorized_keys",
    "echo evil >> ~/.bashrc",
    "tee ~/.profile < x",
    "echo x:x:0:0::/:/bin/sh >> /etc/passwd",
    "echo ./x.so > /etc/ld.so.preload",
    "cp job /etc/cron.d/",
    "sed -i s/a/b/ /etc/shadow",
    "ln -sf /tmp/x /etc/profile.d/x.sh",
)

HIGH_IMPACT = (
    ("systemctl stop nginx", "Bash(systemctl stop *)"),
    ("git push --force origin main", "Bash(git push --force *)"),
    ("git push origin --delete x", "Bash(git push origin --delete *)"),
    ("git push origin +main", "Bash(git push origin +main)"),
    ("git filter-branch --all", "Bash(git filter-branch *)"),
    ("useradd x", "Bash(useradd x)"),
    ("chmod u+s x", "Bash(chmod u+s x)"),
    ("docker run --privileged x", "Bash(docker run --privileged *)"),
    ("kubectl delete pod x", "Bash(kubectl delete *)"),
    ("terraform destroy", "Bash(terraform destroy)"),
    ("aws ec2 terminate-instances --instance-ids x", "Bash(aws ec2 terminate-instances --instance-ids x)"),
    ("dropdb x", "Bash(dropdb x)"),
    ("pip install git+https://x.example/y", "Bash(pip install git+https://x.example/y)"),
    ("pkill node", "Bash(pkill node)"),
    ("sysctl -w a=b", "Bash(sysctl -w *)"),
    ("fallocate -l 900G x", "Bash(fallocate -l 900G x)"),
    ("npm install dev/repository", "Bash(npm install dev/repository)"),
    ("curl -X DELETE https://x.example/y", "Bash(curl -X DELETE *)"),
    ("curl -sXDELETE https://x.example/y", "Bash(curl -sXDELETE *)"),
    ("curl --request=DELETE https://x.example/y", "Bash(curl --request=DELETE *)"),
)


@pytest.mark.parametrize("line", CATASTROPHES)
def test_a_catastrophe_is_denied_in_every_mode_and_under_every_rule(line: str) -> None:
    assert judge(line, allow=["Bash(*)"]).verdict == "deny"
    assert judge(f"ls; {line}", allow=["Bash(*)"]).verdict == "deny"


@pytest.mark.parametrize(("line", "rule"), HIGH_IMPACT)
def test_high_impact_asks_under_a_wildcard_and_in_bypass_outside_the_sandbox(line: str, rule: str) -> None:
    program = line.split(maxsplit=1)[0]
    for allow in ("Bash(*)", f"Bash({program} *)"):
        assert judge(line, allow=[allow]).verdict == "ask"
        assert judge(f"true && sudo {line}", allow=[allow]).verdict == "ask"
    said = {module.name: module.verdict for module in judge(line, allow=[rule]).modules}
    assert said["high_impact"] == "pass", "the rule names it"
    policy = Policy(listed_rules([], [], [], source="user", home=HOME, base="/w"), HOME)
    verdicts = {
        (mode, sandbox): policy.decide(Request("bash", {"command": line}, "/w", mode=mode, sandbox=sandbox)).verdict
        for mode in ("bypass", "sandboxed")
        for sandbox in ("available", "none")
    }
    assert verdicts["bypass", "none"] == "ask"
    assert verdicts["bypass", "available"] == "allow"
    assert verdicts["sandboxed", "available"] == "ask"


@pytest.mark.parametrize(
    "line",
    [
        "git push -u origin main",
        "systemctl status x",
        "kubectl get pods",
        "docker run x",
        "pip install x",
        "chmod +x a",
    ],
)
def test_everyday_work_is_of_no_high_impact(line: str) -> None:
    assert {m.name: m.verdict for m in judge(line).modules}["high_impact"] == "pass"
