"""What a graph keeps alive, and how it is drawn."""

import numpy as np
import pytest

import hograd as ho


def training(steps, n=1000):
    w = ho.tensor(np.linspace(0.1, 1.0, n), requires_grad=True)
    params = [w]
    for _ in range(steps):
        (g,) = ho.grad((params[-1] ** 3).sum(), params[-1], create_graph=True)
        params.append(params[-1] - 0.01 * g)
    return params


class TestMemoryReport:
    def test_each_array_is_counted_once_for_the_operation_that_saved_it(self):
        x = ho.ones(1000, requires_grad=True)
        y = x.exp()
        report = ho.graph.memory_report((y * y).sum())
        assert (report.total.count, report.total.bytes) == (3, 8000)
        assert report.operations["ExpBackward0"].bytes == 8000
        assert report.operations["MulBackward0"].bytes == 0

    def test_views_count_as_what_they_keep_alive(self):
        x = ho.ones(1000, requires_grad=True)
        y = (x * 1.0).reshape(10, 100)[:, :1].sin()
        assert ho.graph.memory_report(y.sum()).operations["SinBackward0"].bytes == 8000

    def test_steps_share_the_whole(self):
        params = training(4)
        report = ho.graph.memory_report((params[-1] ** 2).sum(), steps=params[:-1])
        assert len(report.steps) == 4
        assert sum(s.bytes for s in report.steps) + report.outside.bytes == report.total.bytes > 4 * 8000
        assert sum(s.count for s in report.steps) + report.outside.count == report.total.count
        middle = report.steps[1:3]
        assert middle[0].bytes == middle[1].bytes > 0
        assert report.total.bytes == sum(o.bytes for o in report.operations.values())

    def test_memory_grows_with_the_steps_and_goes_with_a_backward_pass(self):
        sizes = [ho.graph.memory_report(training(k)[-1].sum()).total.bytes for k in (2, 4, 6)]
        assert sizes[2] - sizes[1] == sizes[1] - sizes[0] > 0
        loss = training(3)[-1].sum()
        assert ho.graph.memory_report(loss).total.bytes > 0
        loss.backward()
        assert ho.graph.memory_report(loss).total.bytes == 0

    def test_it_is_a_table(self):
        params = training(2)
        lines = str(ho.graph.memory_report(params[-1].sum(), steps=params[:-1])).splitlines()
        assert lines[0].split() == ["operations", "bytes"]
        assert [line.split()[0] for line in lines[-3:]] == ["step", "step", "all"]
        assert len({len(line) for line in lines}) == 1

    def test_constants_and_errors(self):
        assert ho.graph.memory_report(ho.ones(3)).total.count == 0
        with pytest.raises(TypeError, match=r"outputs\[0\] is float"):
            ho.graph.memory_report([1.0])


class TestDot:
    def test_parameters_are_named_across_inner_steps(self):
        layer = {"layers": [{"weight": ho.ones(2, requires_grad=True)}]}
        trees = [layer]
        for _ in range(2):
            w = trees[-1]["layers"][0]["weight"]
            (g,) = ho.grad((w**3).sum(), w, create_graph=True)
            trees.append({"layers": [{"weight": w - 0.1 * g}]})
        lr = ho.tensor(0.5, requires_grad=True)
        text = ho.graph.dot((trees[-1]["layers"][0]["weight"] * lr).sum(), {"lr": lr}, steps=trees)
        assert [f"layers[0].weight (step {k})" in text for k in range(4)] == [True, True, True, False]
        assert text.count('label="lr') == 1
        assert text.startswith("digraph {\n")
        assert text.endswith("\n}")

    def test_every_edge_joins_two_nodes_and_goes_forward(self):
        text = ho.graph.dot(training(3)[-1].sum()).splitlines()
        nodes = [line.split()[0] for line in text if "[label" in line]
        edges = [line.split(" -> ") for line in text if " -> " in line]
        assert nodes == [f"n{i}" for i in range(len(nodes))]
        assert len(edges) >= len(nodes) - 1
        assert all(int(a.strip()[1:]) < int(b.strip()[1:]) < len(nodes) for a, b in edges)

    def test_the_same_graph_gives_the_same_text(self):
        assert ho.graph.dot(training(2)[-1].sum()) == ho.graph.dot(training(2)[-1].sum())

    def test_names_are_escaped(self):
        x = ho.ones(1, requires_grad=True)
        assert r"say \"hi\"" in ho.graph.dot(x * 2, {'say "hi"': x})
