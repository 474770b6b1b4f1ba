"""From the `data.augment` settings to what changes a training image."""

from texlens.augment.formula import FormulaTransform
from texlens.augment.photo import PhotoTransform
from texlens.config.augment import AnyAugment, PhotoAugment


def build_transform(settings: AnyAugment | None) -> FormulaTransform | PhotoTransform | None:
    """The transform for `ExampleDataset`; None where the settings ask for none."""
    if settings is None:
        return None
    strengths = settings.model_dump(exclude={"kind"})
    return PhotoTransform(**strengths) if isinstance(settings, PhotoAugment) else FormulaTransform(**strengths)
