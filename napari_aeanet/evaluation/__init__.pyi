from . import (
    report as report,
)
from .context_sizes import (
    gains_by_size as gains_by_size,
)
from .context_sizes import (
    save_sizes as save_sizes,
)
from .lb_nlm import (
    NeighbourSettings as NeighbourSettings,
)
from .lb_nlm import (
    build_library as build_library,
)
from .methods import (
    Case as Case,
)
from .methods import (
    ComparedMethod as ComparedMethod,
)
from .methods import (
    GivenImages as GivenImages,
)
from .methods import (
    Input as Input,
)
from .methods import (
    Neighbours as Neighbours,
)
from .methods import (
    NonLocalMeans as NonLocalMeans,
)
from .methods import (
    Restoration as Restoration,
)
from .report import (
    in_columns as in_columns,
)
from .report import (
    mean_in_words as mean_in_words,
)
from .report import (
    number as number,
)
from .report import (
    save_csv as save_csv,
)
from .report import (
    save_page as save_page,
)
from .report import (
    setting_in_words as setting_in_words,
)
from .report import (
    test_in_words as test_in_words,
)
from .report import (
    tests_in_words as tests_in_words,
)
from .run import (
    cases_from_files as cases_from_files,
)
from .run import (
    evaluate_events as evaluate_events,
)
from .scoring import (
    METRICS as METRICS,
)
from .scoring import (
    Matching as Matching,
)
from .scoring import (
    Scores as Scores,
)
from .scoring import (
    score as score,
)
from .settings import (
    Evaluated as Evaluated,
)
from .settings import (
    EvaluateEvent as EvaluateEvent,
)
from .settings import (
    EvaluateSettings as EvaluateSettings,
)
from .settings import (
    Evaluation as Evaluation,
)
from .settings import (
    Scored as Scored,
)
from .statistics import (
    Mean as Mean,
)
from .statistics import (
    mean_of as mean_of,
)
from .statistics import (
    paired_test as paired_test,
)
