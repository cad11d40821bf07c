from .damage import find_damage as find_damage
from .damage import find_damage_events as find_damage_events
from .damage_settings import DamagedSlice as DamagedSlice
from .damage_settings import DamageFound as DamageFound
from .damage_settings import DamageKind as DamageKind
from .damage_settings import DamageSettings as DamageSettings
from .damage_settings import SliceMeasured as SliceMeasured
