from .itk import load_itk as load_itk
from .itk import save_itk as save_itk
