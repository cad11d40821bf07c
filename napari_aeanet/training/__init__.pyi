from . import (
    run_folder as run_folder,
)
from .dataset import (
    fingerprint as fingerprint,
)
from .dataset import (
    samples_of as samples_of,
)
from .dataset import (
    target_fingerprint as target_fingerprint,
)
from .preflight import (
    check_training as check_training,
)
from .run import (
    resume_events as resume_events,
)
from .run import (
    train_events as train_events,
)
from .run_folder import (
    PLAN as PLAN,
)
from .run_folder import (
    STATE as STATE,
)
from .run_folder import (
    RunFolder as RunFolder,
)
from .run_folder import (
    RunProgress as RunProgress,
)
from .settings import (
    Finished as Finished,
)
from .settings import (
    KeptOut as KeptOut,
)
from .settings import (
    Noticed as Noticed,
)
from .settings import (
    Planned as Planned,
)
from .settings import (
    Previewed as Previewed,
)
from .settings import (
    Profile as Profile,
)
from .settings import (
    TrainEvent as TrainEvent,
)
from .settings import (
    TrainSettings as TrainSettings,
)
from .settings import (
    Validated as Validated,
)
from .split import (
    SMALLEST_CHECK as SMALLEST_CHECK,
)
