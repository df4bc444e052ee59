"""The stack without Docker: what docker-compose.yml runs as containers, as processes of this machine that stay."""
