"""Modules of the package import each other in one direction, also inside of its rooms and within functions."""

import graphlib

import grimp


def test_no_modules_import_each_other_in_a_circle():
    """A package that only hands on the names of its modules is none of them."""
    graph = grimp.build_graph("cliptail_jax", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert sum(map(len, imports.values())) > 1000
    graphlib.TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle
