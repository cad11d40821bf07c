from .run import trust_events as trust_events
from .run import trust_maps as trust_maps
from .settings import TrustEvent as TrustEvent
from .settings import TrustMaps as TrustMaps
from .settings import TrustSettings as TrustSettings
from .traffic_light import DISCLAIMER as DISCLAIMER
from .traffic_light import MEANING as MEANING
from .traffic_light import Light as Light
