from .base import Simulation as Simulation
from .catalogue import make as make
from .catalogue import names as names
from .truth import Truth as Truth
from .world import World as World
