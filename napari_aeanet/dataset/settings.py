"""Options of a data set."""

from enum import StrEnum


class KeptOut(StrEnum):
    """Part of the images kept out of the training to validate the model."""

    AUTOMATIC = "as the recipe says"
    RIGHT_SIDE = "right side"  # the papers' split: 3 x 4 grid, right column, with a guard band
    WHOLE_IMAGES = "whole images"
    REGION = "a region"  # the same box of every image, with a guard band around it
    NOTHING = "nothing"
