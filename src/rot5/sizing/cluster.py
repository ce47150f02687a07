"""What many devices add to an estimate: what they tell each other, checkpoints, failures, and the flow of data."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.costs import parameter_counts
from rot5.sizing.estimate import Estimate
from rot5.sizing.memory import FULL, optimizer_state
from rot5.sizing.time import Hardware, update_seconds

DAY = 24 * 3600.0


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What lies between devices. The defaults are those of nodes of eight H100 or H200; none is measured here."""

    devices_of_a_node: int = 8
    inside: float = 450e9
    """Bytes per second that a device sends to others of its node (NVLink 4, one direction)."""
    outside: float = 50e9
    """Bytes per second that a device sends to other nodes (a port of 400 Gb/s each)."""
    reached: float = 0.7
    """Share of these rates that collectives reach; an assumption."""
    to_host: float = 25e9
    """Bytes per second from a device into the memory of its machine (PCIe 5, half of the data sheet)."""
    storage: float = 50e9
    """Bytes per second that the shared file system takes from all together; an assumption."""
    between_failures: float = 50_000 * 3600.0
    """Seconds from one failure of a device, and of what belongs to it, to the next: 419 interruptions in 54 days on
    16,384 devices (arXiv:2407.21783, table 5) are one in 50,700 hours."""
    restart: float = 600.0
    """Seconds from a failure to the first step behind it; an assumption."""


class Fleet(NamedTuple):
    """A run on many devices, with weights, gradients and state cut over all of them."""

    sent: float
    """Bytes of weights and gradients that go through the network in a step: weights gathered twice, in float32, and
    gradients summed once."""
    sending: float
    """Seconds that they take."""
    computing: float
    """Seconds of a step without them; the update is cut over all devices as well."""
    step: float
    """Seconds of a step: layers are gathered while others compute, but for the first, and what does not fit beside."""
    checkpoint: float
    """Bytes of weights and the optimizer's state."""
    copying: float
    """Seconds in which a checkpoint stops training."""
    writing: float
    """Seconds until it is on the disk, beside training."""
    failures_a_day: float
    interval: float
    """Seconds between checkpoints at which least is lost (Young, Communications of the ACM 17, 1974), at least the time
    of writing one."""
    lost: float
    """Share of the time that goes to copying, to work made again and to restarts."""
    days: float
    """The whole run, losses included."""
    read: float
    """Bytes of tokens per second that all devices together read."""


def fleet(
    shape: Rot5Config,
    found: Estimate,
    story_tokens: float,
    hardware: Hardware,
    devices: int,
    optimizer: str,
    cluster: Cluster,
) -> Fleet:
    """The run of an estimate on the devices of a cluster."""
    weights = float(FULL * parameter_counts(shape).total)
    nodes = math.ceil(devices / cluster.devices_of_a_node)
    rate = cluster.inside if nodes == 1 else min(cluster.inside, cluster.outside * cluster.devices_of_a_node)
    sent = 3 * weights * (devices - 1) / devices
    sending = sent / (rate * cluster.reached)
    computing = found.seconds / found.steps - update_seconds(shape, hardware, optimizer) * (1 - 1 / devices)
    layers = shape.num_layers + (shape.num_decoder_layers or shape.num_layers)
    step = max(computing, sending) + min(computing, sending) / layers
    checkpoint = weights + optimizer_state(shape, optimizer)[0]
    copying, writing = checkpoint / devices / cluster.to_host, checkpoint / cluster.storage
    between = cluster.between_failures / devices
    interval = max(math.sqrt(2 * copying * between), writing)
    lost = copying / interval + (interval / 2 + cluster.restart) / between
    return Fleet(
        sent=sent,
        sending=sending,
        computing=computing,
        step=step,
        checkpoint=checkpoint,
        copying=copying,
        writing=writing,
        failures_a_day=DAY / between,
        interval=interval,
        lost=lost,
        days=found.steps * step * (1 + lost) / DAY,
        read=(2 if shape.vocab_size <= 2**16 else 4) * story_tokens / (found.steps * step),
    )
