"""Low-rank adapters on a model; the one file that knows PEFT."""

import hashlib
import warnings
from typing import Any

from transformers import PreTrainedModel

from rot5.errors import UserError
from rot5.train.settings import LoraConfig


class Adapters:
    """Adapters in the place of a model's linear layers, its head aside. The model stays the object it was; all its own
    weights are frozen. What adapters begin with is drawn from torch's generator."""

    def __init__(self, model: PreTrainedModel, config: LoraConfig) -> None:
        """Raises UserError where PEFT is not installed."""
        try:
            from peft import LoraConfig as Settings
            from peft import LoraModel
        except ImportError:
            raise UserError(f"lora.rank {config.rank} needs PEFT: pip install 'rot5[peft]'") from None
        settings = Settings(r=config.rank, lora_alpha=config.alpha, target_modules="all-linear")  # type: ignore[arg-type]
        self._model = model
        self._adapted = LoraModel(model, settings, "default")

    def trained(self) -> int:
        """Numbers that are trained."""
        return sum(parameter.numel() for parameter in self._model.parameters() if parameter.requires_grad)

    def frozen(self) -> str:
        """What tells the frozen weights from others: no checkpoint holds them."""
        digest = hashlib.sha256()
        for name, parameter in self._model.named_parameters():
            if not parameter.requires_grad:
                digest.update(name.encode())
                digest.update(parameter.detach().cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    def merge(self) -> None:
        """Add the adapters to the weights that they are on, which leaves the model without any."""
        config: Any = self._model.config
        tied = config.tie_word_embeddings
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Input and output embeddings are no longer tied")
            self._adapted.merge_and_unload()
        config.tie_word_embeddings = tied  # no table was touched, and of two tables PEFT looks at the wrong one
