"""How fast the hash grid is on a CPU, against the same grid in plain PyTorch under autograd.

    python benchmarks/hash_grid.py [--points 65536] [--levels 16] [--log2-table-size 19] [--rounds 7] [--threads N]

Both encoders hold the same table, run in this one process and take turns; each ratio is the median over the rounds of
(torch's time / numba's time). `wall` is elapsed time; `cpu` is processor time of all threads, which other programs on
the machine disturb less (compare it with --threads 1). The eikonal row puts a layer of tanh on the features and
differentiates (|∇f| - 1)² + |f| in the table, which is a double backward. The difference is that of the last result,
relative to torch's largest entry. The last row is what a step of Adam over the whole table costs on top.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from neuralfw.components import Encoder
from neuralfw.testing import build_component

Case = Callable[[Encoder, Tensor], Tensor]


@torch.no_grad()
def forward(encoder: Encoder, x: Tensor) -> Tensor:
    return encoder(x)


def table_gradient(encoder: Encoder, x: Tensor) -> Tensor:
    encoder(x).square().sum().backward()
    return encoder.table.grad


def position_gradient(encoder: Encoder, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    encoder(x).square().sum().backward()
    return x.grad


def eikonal(encoder: Encoder, x: Tensor) -> Tensor:
    weights = torch.linspace(-1.0, 1.0, encoder.out_dim)
    value = torch.tanh(encoder(x))
    gradient = encoder.pullback(x, (1.0 - value.square()) * weights)
    loss = (gradient.norm(dim=1) - 1.0).square().mean() + (value @ weights).abs().mean()
    loss.backward()
    return encoder.table.grad


CASES: dict[str, Case] = {
    "forward": forward,
    "forward + table gradient": table_gradient,
    "forward + table and position gradient": position_gradient,
    "eikonal (double backward)": eikonal,
}


def timed(act: Callable[[], object]) -> tuple[float, float]:
    """Elapsed and processor milliseconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    act()
    return (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3


def compare(case: Case, encoders: dict[str, Encoder], x: Tensor, rounds: int) -> str:
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in encoders}
    results = {}
    for turn in range(rounds + 1):
        for name, encoder in encoders.items():
            encoder.zero_grad(set_to_none=True)
            if turn:
                times[name].append(timed(lambda encoder=encoder: case(encoder, x)))
            else:
                results[name] = case(encoder, x).clone()
    expected, found = results.values()
    difference = ((found - expected).abs().max() / expected.abs().max()).item()
    slow, fast = (statistics.median(wall for wall, _ in own) for own in times.values())
    pairs = [*zip(*times.values(), strict=True)]
    wall, cpu = (statistics.median(a[k] / b[k] for a, b in pairs) for k in (0, 1))
    return f"{slow:9.1f} {fast:9.1f} {wall:7.1f} {cpu:7.1f} {difference:10.1e}"


def optimiser(encoder: Encoder, x: Tensor, rounds: int) -> float:
    adam = torch.optim.Adam([encoder.table], lr=1e-6, fused=True)
    times = []
    for _ in range(rounds + 1):
        encoder.zero_grad(set_to_none=True)
        table_gradient(encoder, x)
        times.append(timed(adam.step)[0])
    return statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=65_536)
    parser.add_argument("--levels", type=int, default=16)
    parser.add_argument("--log2-table-size", type=int, default=19)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    shape = {"levels": options.levels, "log2_table_size": options.log2_table_size}
    encoders = {name: build_component("encoder", "hash_grid", {"backend": name, **shape}) for name in ("torch", "cpu")}
    x = torch.rand(options.points, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
    entries = len(encoders["cpu"].table)
    print(f"{options.points} points, {options.levels} levels, {entries} entries, {options.threads} threads")
    print(f"{'':<38} {'torch ms':>9} {'numba ms':>9} {'wall x':>7} {'cpu x':>7} {'difference':>10}")
    for name, case in CASES.items():
        print(f"{name:<38} {compare(case, encoders, x, options.rounds)}", flush=True)
    print(f"{'a step of Adam':<38} {'':>9} {optimiser(encoders['cpu'], x, options.rounds):9.1f}")


if __name__ == "__main__":
    main()
