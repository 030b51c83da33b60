"""How fast an eikonal training step and plain inference are, against ordinary eager PyTorch.

    python benchmarks/eikonal_step.py [--width 256] [--layers 8] [--batch 5000] [--rounds 7] [--threads N]

The network is IGR's: softplus(100), a skip connection half way, geometric initialisation. The baseline is the same
network in a few lines of `torch.nn` with autograd's double backward. All variants hold the same weights, run in this
one process, and take turns; each ratio is the median over the rounds of (baseline's time / variant's time). `wall` is
elapsed time; `cpu` is processor time of all threads, which other programs on the machine disturb less (waiting
threads spin, so compare it with --threads 1). The gradient error is relative to float64, over all parameters.
"""

import argparse
import copy
import math
import statistics
import time

import torch
from torch import Tensor, nn

from neuralfw.nn import Mlp, kernels

STEPS = {
    "torch fp32": {"kernel": "torch", "precision": "fp32"},
    "torch bf16": {"kernel": "torch", "precision": "bf16"},
    "cpp fp32": {"kernel": "cpp", "precision": "fp32"},
    "cpp bf16": {"kernel": "cpp", "precision": "bf16"},
}
INFERENCE_POINTS = 65_536


class Baseline(nn.Module):
    """IGR's network as anybody would write it."""

    def __init__(self, net: Mlp) -> None:
        super().__init__()
        self.skip = net.skip
        self.layers = nn.ModuleList(nn.Linear(*reversed(linear.weight.shape)) for linear in net.layers)
        self.load_state_dict(net.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for k, layer in enumerate(self.layers):
            if k in self.skip:
                h = torch.cat([h, x], dim=1) / math.sqrt(2)
            h = layer(h)
            if k < len(self.layers) - 1:
                h = nn.functional.softplus(h, beta=100)
        return h

    def value_and_pullback(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.detach().requires_grad_()
        value = self(x)
        (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        return value, gradient


def step(net: nn.Module, x: Tensor) -> None:
    """IGR's loss, the value term and the eikonal term on every point, and its gradient in all parameters."""
    net.zero_grad(set_to_none=True)
    value, gradient = net.value_and_pullback(x)
    loss = value.abs().mean() + 0.1 * (gradient.norm(dim=1) - 1).square().mean()
    loss.backward()


def parameter_gradient(net: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in net.parameters()]).double()


def take_turns(actions: dict, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """(elapsed, processor) seconds of every action in every round, after one round of warming up."""
    times = {name: [] for name in actions}
    for turn in range(rounds + 1):
        for name, act in actions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            act()
            if turn:
                times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return times


def summary(times: dict, name: str) -> str:
    """Milliseconds and both ratios to the baseline."""
    pairs = list(zip(times["eager"], times[name], strict=True))
    wall, cpu = (statistics.median(base[i] / own[i] for base, own in pairs) for i in (0, 1))
    milliseconds = statistics.median(own[0] for own in times[name]) * 1e3
    return f"{name:<12} {milliseconds:9.1f} {wall:7.2f} {cpu:7.2f}"


def compare_steps(nets: dict[str, nn.Module], x: Tensor, rounds: int) -> None:
    exact = copy.deepcopy(nets["eager"]).double()
    step(exact, x.double())
    truth = parameter_gradient(exact)
    times = take_turns({name: lambda net=net: step(net, x) for name, net in nets.items()}, rounds)
    print(
        f"\neikonal step, {len(x)} points\n{'':<12} {'ms':>9} {'wall x':>7} {'cpu x':>7} {'error':>9} {'1-cosine':>9}"
    )
    for name, net in nets.items():
        gradient = parameter_gradient(net)
        error = ((gradient - truth).norm() / truth.norm()).item()
        cosine = (gradient @ truth / (gradient.norm() * truth.norm())).item()
        print(f"{summary(times, name)} {error:9.1e} {1 - cosine:9.1e}")


@torch.no_grad()
def compare_inference(nets: dict[str, nn.Module], rounds: int) -> None:
    x = torch.rand(INFERENCE_POINTS, 3, generator=torch.Generator().manual_seed(2)) * 2 - 1
    nets = {name: net for name, net in nets.items() if "bf16" not in name}  # inference is always in fp32
    times = take_turns({name: lambda net=net: net(x) for name, net in nets.items()}, rounds)
    print(
        f"\nvalues without a graph, {len(x)} points at once\n"
        f"{'':<12} {'ms':>9} {'wall x':>7} {'cpu x':>7} {'M points/s':>11}"
    )
    for name in nets:
        seconds = statistics.median(wall for wall, _ in times[name])
        print(f"{summary(times, name)} {len(x) / seconds / 1e6:11.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--batch", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    def network(**choices: str) -> Mlp:
        skip = (options.layers // 2,) if options.layers > 2 else ()
        net = Mlp(3, 1, width=options.width, layers=options.layers, skip=skip, **choices)
        net.geometric_init(0.5)
        return net

    accelerated = kernels.chosen()
    print(f"{options.layers} x {options.width}, {options.threads} threads, auto is {accelerated}")
    usable = {name: choices for name, choices in STEPS.items() if choices["kernel"] in accelerated or name[0] == "t"}
    nets = {"eager": Baseline(network())} | {name: network(**choices) for name, choices in usable.items()}
    x = torch.rand(options.batch, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
    compare_steps(nets, x, options.rounds)
    compare_inference(nets, options.rounds)


if __name__ == "__main__":
    main()
