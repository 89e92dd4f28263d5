"""What a distribution may import from outside, as a contract for import-linter.

import-linter can forbid a list of packages; a list of what is *allowed* is the stronger promise, because a
dependency that nobody thought of breaks it too.
"""

from __future__ import annotations

import sys

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class AllowedExternals(Contract):
    """Every module of `package` imports only ours, the standard library and `allowed`.

    Packages inside it that are named in `apart` have a contract of their own.
    """

    package = fields.StringField()
    allowed = fields.SetField(subfield=fields.StringField())
    apart = fields.SetField(subfield=fields.StringField(), required=False, default=set())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Look at each import that leaves the package for a package that is not ours."""
        ours = {name.partition(".")[0] for name in graph.modules if not graph.is_module_squashed(name)}
        permitted = sys.stdlib_module_names | self.allowed | ours
        found = [
            f"{module} imports {imported}"
            for module in sorted(self._modules(graph))
            for imported in sorted(graph.find_modules_directly_imported_by(module))
            if imported.partition(".")[0] not in permitted
        ]
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print one line for each import that is not allowed, then what is."""
        for line in check.metadata["found"]:
            output.print_error(line, bold=False)
        output.print(f"{self.package} may import: {', '.join(sorted(self.allowed))}, the standard library.")

    def _modules(self, graph: ImportGraph) -> set[str]:
        modules = {self.package} | graph.find_descendants(self.package)
        return modules.difference(*({name} | graph.find_descendants(name) for name in self.apart))
