from .itk import load_itk as load_itk
from .itk import save_itk as save_itk
from .scene import lengths_of as lengths_of
from .scene import load_scene as load_scene
from .scene import save_scene as save_scene
