from . import (
    block_matching as block_matching,
)
from . import (
    transforms as transforms,
)
from .plane import (
    failed_registration as failed_registration,
)
from .plane import (
    register_from_landmarks as register_from_landmarks,
)
from .refinement import (
    detail as detail,
)
from .result import (
    Registration as Registration,
)
from .result import (
    Verdict as Verdict,
)
from .run import (
    register as register,
)
from .settings import (
    RegistrationSettings as RegistrationSettings,
)
from .warping import (
    crop_to_overlap as crop_to_overlap,
)
from .warping import (
    overlap_region as overlap_region,
)
from .warping import (
    resample as resample,
)
