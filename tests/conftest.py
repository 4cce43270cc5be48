"""What holds for all tests."""

import hypothesis

# No deadline: how long a case takes says how busy the machine is. What is slow is found by the benchmarks.
hypothesis.settings.register_profile("onyxstore", deadline=None)
hypothesis.settings.load_profile("onyxstore")
