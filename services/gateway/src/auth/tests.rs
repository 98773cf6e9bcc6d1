//! Tokens and what is wrong with them.
