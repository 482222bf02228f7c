"""How fast phantoms are drawn and written, per kind and number of processes.

Drawing is `make_phantom` alone in this process; writing is `write_phantoms`, from the start of the process pool to
the last PNG and the manifest. Prints a table and writes JSON with ``--out``.

    python benchmarks/phantoms.py --size 256 --count 400 --out phantoms.json
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from softcam.data.phantoms import PhantomKind, PhantomOptions, make_phantom, write_phantoms
from softcam.files import atomic_path


def drawing_rate(options: PhantomOptions, count: int) -> float:
    make_phantom(options, seed=0, index=0)
    start = time.perf_counter()
    for index in range(count):
        make_phantom(options, seed=1, index=index)
    return count / (time.perf_counter() - start)


def writing_rate(options: PhantomOptions, count: int, workers: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        write_phantoms(options, count, Path(folder) / "phantoms", workers=workers)
        return count / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()

    results = {}
    for kind in PhantomKind:
        options = PhantomOptions(kind=kind, size=arguments.size)
        rates = {"drawn": drawing_rate(options, arguments.count)}
        for workers in arguments.workers:
            rates[f"written, {workers} process{'es' * (workers > 1)}"] = writing_rate(options, arguments.count, workers)
        results[kind.value] = rates

    columns = list(next(iter(results.values())))
    print(f"images/s at {arguments.size} px, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'kind':8}" + "".join(f"{column:>24}" for column in columns))
    for name, rates in results.items():
        print(f"{name:8}" + "".join(f"{rate:24.1f}" for rate in rates.values()))
    if arguments.out:
        facts = {"size": arguments.size, "count": arguments.count, "cores": os.cpu_count(), "images_per_s": results}
        with atomic_path(arguments.out) as path:
            path.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
