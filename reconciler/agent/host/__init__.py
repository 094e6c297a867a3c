"""The host itself: `auth-db`, driver, service, log level."""
