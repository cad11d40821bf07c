from . import (
    presets as presets,
)
from .feature_distance import (
    FeatureDistance as FeatureDistance,
)
from .feature_distance import (
    Gathering as Gathering,
)
from .feature_distance import (
    with_edge as with_edge,
)
from .model_file import (
    SUFFIX as SUFFIX,
)
from .model_file import (
    Model as Model,
)
from .model_file import (
    ModelCard as ModelCard,
)
from .model_file import (
    load_model as load_model,
)
from .model_file import (
    read_card as read_card,
)
from .model_file import (
    rename_pixel as rename_pixel,
)
from .model_file import (
    save_model as save_model,
)
from .presets import (
    ablations as ablations,
)
from .presets import (
    all_presets as all_presets,
)
from .presets import (
    baselines as baselines,
)
from .presets import (
    quick_note as quick_note,
)
from .published import (
    import_model as import_model,
)
