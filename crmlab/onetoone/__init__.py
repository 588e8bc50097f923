"""One-to-one marketing: identify, differentiate, interact, customise, and know the limits."""

__all__: list[str] = []
