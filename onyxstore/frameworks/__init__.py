"""Live objects to state trees and back; below the facade the only place that knows torch. Imports history and the ground.

`FRAMEWORKS` is the table of the family: a framework's package, and the module here that knows its objects (its functions are
those of `contract.Framework`). A module is imported when an object of its framework, or a node that was one, is met; nothing else
here imports a framework, so saving numpy arrays needs no torch.
"""

FRAMEWORKS = {
    "torch": "onyxstore.frameworks.torch_state",
    "numpy": "onyxstore.frameworks.numpy_state",
}
