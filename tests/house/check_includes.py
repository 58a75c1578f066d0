#!/usr/bin/env python3
"""Holds the #include lines of each module against the DEPENDS of its CMakeLists.txt.

Also: the vendor libraries stay behind their doors, and the layers only point down.
Usage: check_includes.py SOURCE_ROOT; with --control it must find a planted violation.
"""

import pathlib
import re
import sys
import tempfile

# Only these modules may include a vendor's headers, in a header of theirs or at all.
DOORS = {
    r"sqlite3\.h": {"queue"},
    r"openssl/": {"tls"},
    r"lmdb\.h": {"table"},
    r"pcre2\.h": {"table"},
    r"gsasl\.h": {"sasl"},
    r"ares\.h": {"net"},
    r"seccomp\.h": {"daemon"},
    r"libdeflate\.h": {"core"},
    r"boost/asio": {"net", "queue", "tls", "intake", "delivery", "control", "daemon"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.M)


def declared(source):
    modules = {}
    for lists in sorted((source / "src").glob("*/CMakeLists.txt")):
        text = re.sub(r"#.*", "", lists.read_text())
        depends = re.search(r"DEPENDS\s+((?:(?!\b(?:USES|EXPORTS|SOURCES|TESTS)\b)[^)])*)", text)
        modules[lists.parent.name] = set(depends.group(1).split()) if depends else set()
    return modules


def violations(source):
    modules = declared(source)
    for module, depends in modules.items():
        for unknown in depends - set(modules):
            yield f"src/{module}/CMakeLists.txt: depends on {unknown}, which is no module"
        for file in sorted((source / "src" / module).rglob("*")):
            if file.suffix not in (".h", ".cc"):
                continue
            for ours, theirs in INCLUDE.findall(file.read_text()):
                where = file.relative_to(source)
                other = ours.split("/")[0]
                if ours and other in modules and other != module and other not in depends:
                    yield f"{where}: includes {ours}, but {module} does not declare {other}"
                for vendor, allowed in DOORS.items():
                    if theirs and re.match(vendor, theirs) and module not in allowed:
                        yield f"{where}: includes <{theirs}>, which stays in {', '.join(sorted(allowed))}"
    yield from cycles(modules)


def cycles(modules):
    done, path = set(), []

    def visit(module):
        if module in path:
            yield "modules depend on each other: " + " -> ".join(path[path.index(module):] + [module])
        elif module not in done and module in modules:
            path.append(module)
            for other in sorted(modules[module]):
                yield from visit(other)
            path.pop()
            done.add(module)

    for module in modules:
        yield from visit(module)


def control():
    """A check that cannot fail proves nothing."""
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        for module, depends, text in [("core", "", '#include "mail/x.h"\n'),
                                      ("mail", "core", "#include <sqlite3.h>\n")]:
            folder = root / "src" / module
            folder.mkdir(parents=True)
            (folder / "CMakeLists.txt").write_text(f"postrider_module({module}\n DEPENDS {depends}\n SOURCES x.cc)")
            (folder / "x.cc").write_text(text)
        return len(list(violations(root))) == 2


if __name__ == "__main__":
    if not control():
        sys.exit("check_includes: the control did not find what was planted")
    found = list(violations(pathlib.Path(sys.argv[1])))
    print("\n".join(found) or "includes point down, as declared")
    sys.exit(1 if found else 0)
