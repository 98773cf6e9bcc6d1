//! The pair against a real NATS server: everything here is in `it/`.
