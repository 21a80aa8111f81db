"""The bundled demo: findings of each film, subtracted. Stage: answer."""
