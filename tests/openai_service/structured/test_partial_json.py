from __future__ import annotations

import pytest

from app.openai_service.structured.partial_json import MAX_VALUES, PartialJson


@pytest.mark.parametrize(("count", "is_parsed"), [(MAX_VALUES // 4, True), (MAX_VALUES, False)])
def test_a_text_that_holds_very_many_values_is_not_parsed_again_and_again(count, is_parsed):
    growing = PartialJson()

    growing.add('{"a":[' + "[]," * count)

    assert (growing.take_changes() is not None) is is_parsed
