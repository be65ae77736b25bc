"""Damaged inputs end in a named error, or are noticed to be the same.

``python -m tests.fuzz`` has many more.
"""

import pytest

from tests.fuzz.engine import fuzz
from tests.fuzz.readers import readers


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    return readers(tmp_path_factory.mktemp("fuzz"))


def test_no_damaged_input_is_a_surprise(there):
    bad = {}
    for name, reader in there.items():
        _, examples = fuzz(reader, reader.share, seed=name)
        if examples:
            bad[name] = examples[0]
    assert not bad
