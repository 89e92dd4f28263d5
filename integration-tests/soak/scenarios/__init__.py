"""All scenarios, one module for each kind of them."""

from importlib import import_module

from soak.scenario import Scenario

MODULES = (
    *("mixture", "points", "membership", "many_to_many", "functions", "savepoints", "bulk", "slow_readers"),
    *("transactions", "async_readers", "plain", "near", "crashes", "restarts", "network", "eviction"),
    *("sentinel", "cluster"),
)
"""In the order of the table."""

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for module in MODULES
    for scenario in import_module(f"soak.scenarios.{module}").SCENARIOS
}
