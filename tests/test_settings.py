"""Settings are read once for each state of the environment."""

from core.settings import Settings, read_settings


def test_a_changed_variable_counts_at_once_and_an_unchanged_one_is_not_read_again(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path / "one"))
    first = read_settings()
    assert first.home == tmp_path / "one"
    assert read_settings() is first
    monkeypatch.setenv("UNRELATED", "1")
    assert read_settings() is first
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path / "two"))
    monkeypatch.setenv("lightbox_quota", "2.5")  # names in small letters count as well
    assert read_settings() == Settings()
    assert (read_settings().home, read_settings().quota) == (tmp_path / "two", 2.5)
    monkeypatch.delenv("lightbox_quota")
    assert read_settings().quota == 0
