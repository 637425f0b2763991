"""The offline model: a loopback server that speaks the Messages API and enforces its rules.

It is no language model: it plays scenario files (SCENARIOS.md) and understands a small practice grammar.
Standard library only; `python -m tui_agent.models.offline` serves it by itself.
"""

from tui_agent.models.offline.demo import copy_demo, demo_scenario
from tui_agent.models.offline.faults import Fault
from tui_agent.models.offline.grammar import HELP
from tui_agent.models.offline.scenario import Scenario, ScenarioError, load_scenario, parse_scenario
from tui_agent.models.offline.server import OfflineServer, RecordedRequest

__all__ = [
    "HELP",
    "Fault",
    "OfflineServer",
    "RecordedRequest",
    "Scenario",
    "ScenarioError",
    "copy_demo",
    "demo_scenario",
    "load_scenario",
    "parse_scenario",
]
