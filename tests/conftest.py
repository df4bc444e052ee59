"""What all tests share."""

from hypothesis import settings

# A deadline would assert a time, and these machines are noisy.
settings.register_profile("poolrace", deadline=None)
settings.load_profile("poolrace")
