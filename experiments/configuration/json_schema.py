"""The schema of all configs, in JSON Schema, for editors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.components import derive, registry
from experiments.components.derive import Either, Fixed, Leaf, Many, Named, Option, Pick, Plan, Section
from experiments.configuration import check
from experiments.configuration.settings import Settings


def schema() -> dict[str, Any]:
    """What every config has, and then the sections of the experiment that it names."""
    made = _Schema()
    general = made.properties(derive.options(Settings))
    experiments = registry.components("experiment")
    cases = []
    for name, component in experiments.items():
        own = derive.options(component.make, "experiment", component.supplied)
        then = made.object(own, general)
        cases.append({"if": {"properties": {"experiment": {"const": name}}}, "then": then})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A config of hograd",
        "type": "object",
        "properties": {
            "experiment": {"enum": list(experiments), "description": "What is run."},
            "include": {
                "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
                "description": "Configs whose keys hold where this one has none.",
            },
            **general,
        },
        "required": [],
        "allOf": cases,
        "$defs": made.kinds(),
    }


class _Schema:
    """Collects the kinds that are referred to."""

    def __init__(self) -> None:
        self.needed: list[str] = []
        self.defined: dict[str, Any] = {}

    def kinds(self) -> dict[str, Any]:
        while len(self.defined) < len(self.needed):
            for kind in list(self.needed):
                if kind not in self.defined:
                    self.defined[kind] = {}
                    self.defined[kind] = self.kind(kind)
        return self.defined

    def kind(self, kind: str) -> dict[str, Any]:
        whole, short = [], []
        for name, component in registry.components(kind).items():
            options = derive.options(component.make, kind, component.supplied)
            named = {"name": {"const": name, "description": component.summary}}
            whole.append(self.object(options, named, ["name"]))
            if not any(option.required for option in options):
                short.append(name)
        return {"anyOf": [{"enum": short}, *whole]}

    def object(self, options: Sequence[Option], further: Any = None, required: Sequence[str] = ()) -> dict[str, Any]:
        needed = [*required, *(option.name for option in options if option.required)]
        made = {"type": "object", "properties": {**(further or {}), **self.properties(options)}}
        made["additionalProperties"] = False
        if further is not None and "name" not in further:
            made["properties"] |= {"experiment": {}, "include": {}}
        return made | ({"required": needed} if needed else {})

    def properties(self, options: Sequence[Option]) -> dict[str, Any]:
        found = {}
        for option in options:
            entry = dict(self.plan(option.plan))
            if option.doc:
                entry["description"] = option.doc
            if not option.required:
                entry["default"] = check.plain(check.default(option))
            found[option.name] = entry
        return found

    def plan(self, plan: Plan) -> dict[str, Any]:
        match plan:
            case Leaf():
                return check.adapter(plan.annotation).json_schema()
            case Pick():
                if plan.kind not in self.needed:
                    self.needed.append(plan.kind)
                return {"$ref": f"#/$defs/{plan.kind}"}
            case Section():
                return self.object(derive.options(plan.make))
            case Many():
                return {"type": "array", "items": self.plan(plan.entry)}
            case Fixed():
                count = len(plan.entries)
                items = [self.plan(entry) for entry in plan.entries]
                return {"type": "array", "prefixItems": items, "minItems": count, "maxItems": count}
            case Named():
                return {"type": "object", **self.named(plan.entry)}
            case Either():
                return {"anyOf": [self.plan(one) for one in plan.plans]}

    def named(self, entry: Pick | Section) -> dict[str, Any]:
        if isinstance(entry, Section):
            return {"additionalProperties": self.object(derive.options(entry.make))}
        names, patterns = {}, {}
        for name, component in registry.components(entry.kind).items():
            options = self.object(derive.options(component.make, entry.kind, component.supplied))
            options["description"] = component.summary
            if name.endswith("*"):
                patterns[f"^{name[:-1].replace('.', '[.]')}.+$"] = options
            else:
                names[name] = options
        return {"properties": names, "patternProperties": patterns, "additionalProperties": False}
