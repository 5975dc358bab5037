from hypothesis import settings

# A slow or busy machine is not a fault of the code under test.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
