"""What of a config of `bilevel` is left out when a later layer exchanges the inner optimizer."""

from __future__ import annotations

from typing import Any

from experiments.components import derive, registry


def reconcile(root: Any) -> list[str]:
    """Leave out the hyperparameters to be learned or searched that the exchanged optimizer does not have.

    Those that stand in the same layer as the optimizer's name, or in a later one, stay, and are refused by their name.

    Args:
        root: the nodes of the config, which are changed.

    Returns:
        A note for each that is left out.
    """
    optimizer = _at(root, "inner", "optimizer")
    name = optimizer if optimizer is None or isinstance(optimizer.value, str) else _at(optimizer, "name")
    if name is None or not isinstance(name.value, str):
        return []
    component = registry.find("optimizer", name.value)
    if component is None:
        return []
    known = {option.name for option in derive.options(component.make, "optimizer", component.supplied)}
    layer, notes = name.place.file.layer, []
    baselines = root.value.get("baselines")
    searches = baselines.value if baselines is not None and isinstance(baselines.value, list) else []
    for mapping in (_at(root, "learn"), *(_at(search, "over") for search in searches)):
        if mapping is None or not isinstance(mapping.value, dict):
            continue
        for key in list(mapping.value):
            first, _, rest = key.partition(".")
            there = mapping.value[key].key
            if first == "optimizer" and rest.partition(".")[0] not in known and there.file.layer < layer:
                del mapping.value[key]
                notes.append(f"{key} ({there}) is left out: {component.name} has no such hyperparameter")
    return notes


def _at(node: Any, *keys: str) -> Any:
    for key in keys:
        if node is None or not isinstance(node.value, dict):
            return None
        node = node.value.get(key)
    return node
