"""What a user may set: the rooms' settings composed into one object per verb."""

from rot5.config.data import (
    MixConfig,
    OverlapConfig,
    PrepareConfig,
    SortConfig,
    StoriesConfig,
)
from rot5.config.overview import (
    BenchConfig,
    DemoConfig,
    DoctorConfig,
    ReportConfig,
    StudyConfig,
)
from rot5.config.training import (
    DistillConfig,
    FinetuneConfig,
    PlanConfig,
    PretrainConfig,
    StagesConfig,
    TeachConfig,
)
from rot5.config.use import (
    CompletionConfig,
    EvaluateConfig,
    ExportConfig,
    GenerateTextConfig,
    InspectConfig,
    JudgeConfig,
    ServeConfig,
    SummarizeConfig,
)

__all__ = [
    "BenchConfig",
    "CompletionConfig",
    "DemoConfig",
    "DistillConfig",
    "DoctorConfig",
    "EvaluateConfig",
    "ExportConfig",
    "FinetuneConfig",
    "GenerateTextConfig",
    "InspectConfig",
    "JudgeConfig",
    "MixConfig",
    "OverlapConfig",
    "PlanConfig",
    "PrepareConfig",
    "PretrainConfig",
    "ReportConfig",
    "ServeConfig",
    "SortConfig",
    "StagesConfig",
    "StoriesConfig",
    "StudyConfig",
    "SummarizeConfig",
    "TeachConfig",
]
