"""The work of an update on rows that are there: the count of `costs`, summed over the documents of a batch."""

import numpy as np
from numpy.typing import NDArray

from rot5.data.batches import Batch
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.costs import forward_flops
from rot5.sizing.compute import PASSES


def batch_flops(shape: Rot5Config, batch: Batch) -> float:
    """Operations of forward and backward on the tokens of a batch: no padding, attention inside documents alone.

    Each token pays for as many keys as it sees, on average over the batch, rounded to whole keys.
    """
    inputs, targets = (_lengths(batch, f"{side}_segment_ids") for side in ("encoder", "decoder"))
    encoder_tokens, decoder_tokens = int(inputs.sum()), int(targets.sum())
    in_encoder = max(1, round(float(inputs @ inputs) / max(1, encoder_tokens)))
    across, in_decoder = (max(1, round(float(side @ targets) / max(1, decoder_tokens))) for side in (inputs, targets))
    forward = encoder_tokens * forward_flops(shape, in_encoder, 1).encoder_token
    forward += decoder_tokens * forward_flops(shape, across, in_decoder).decoder_token
    return float(PASSES * forward)


def _lengths(batch: Batch, segment_ids: str) -> NDArray[np.int64]:
    """int64[rows x most segments]: tokens of each segment, 0 where a row has fewer."""
    segments = batch.segment_examples.shape[1] + 1
    of_row = segments * np.arange(batch.num_rows)[:, None]
    counts = np.bincount((of_row + batch.fields[segment_ids]).reshape(-1), minlength=batch.num_rows * segments)
    return counts.reshape(batch.num_rows, segments)[:, 1:].reshape(-1)


def padded_flops(encoder_weights: int, decoder_weights: int, batch: Batch) -> float:
    """Operations of forward and backward on the tokens of a padded batch, by the matrices that each side's tokens meet:
    no padding, and nothing for attention, whose kinds in other models are not known."""
    inputs, targets = batch.encoder_fill * batch.fields["input_ids"].size, batch.num_targets
    return float(2 * PASSES * (encoder_weights * inputs + decoder_weights * targets))
