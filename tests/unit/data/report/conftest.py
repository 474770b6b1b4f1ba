from tests.unit.data.validate.conftest import own_cache

__all__ = ["own_cache"]
