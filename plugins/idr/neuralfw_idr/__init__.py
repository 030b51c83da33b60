"""IDR: surface, appearance and cameras from masked photographs."""
