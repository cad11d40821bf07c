"""bioimageio.core as the judge of a package, as a program of its own: its test and its prediction.

The Python that runs it needs bioimageio.core and torch, and not napari-aeanet:

    python judge.py PACKAGE OUTPUTS.npz

Writes what the test finds wrong to standard output, one finding a line, and to the file the outputs
for the test image with each form of the weights, as "FORM OUTPUT".
"""

import sys
import warnings
from typing import Any

import numpy as np


def main(package: str, outputs: str) -> int:
    """Test a package; return 1 if it fails."""
    import bioimageio.core as core
    from bioimageio.core.digest_spec import get_test_input_sample

    warnings.simplefilter("ignore")
    summary = core.test_description(package, expected_type="model", devices=["cpu"])
    for detail in summary.details:
        for error in detail.errors:
            sys.stdout.write(" ".join(error.msg.split()) + "\n")
    if summary.status != "passed":
        return 1
    description = core.load_model_description(package)
    found: dict[str, Any] = {}
    for form, weights in description.weights:
        if weights is None:
            continue
        sample = get_test_input_sample(description)
        with core.create_prediction_pipeline(description, weight_format=form) as pipeline:
            result = pipeline.predict_sample_without_blocking(sample)
        for output in description.outputs:
            values = result.members[output.id].data.values
            found[f"{form} {output.id}"] = np.asarray(values, np.float32)
    np.savez(outputs, **found)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
