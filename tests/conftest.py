"""The files that take longest begin first, so that no process is left with one of them at the end."""

LONG = ("test_contract", "test_words_on_screen", "test_more_journeys", "test_label_agnostic_forgetting", "test_fuzz", "test_on_screen", "test_journey",
        "test_first_look", "test_cases", "test_unet_plus_plus", "test_osuda", "test_killer")  # fmt: skip


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))
