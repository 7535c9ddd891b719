"""From speech to a prompt, and from what a picture shows to speech."""
