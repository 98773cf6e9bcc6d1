//! The pair against a real NATS server: everything here is in `it/`. [`signals`] writes what operators look at from what
//! the services register.

pub mod signals;
