//! The commands, from their options to what they print.
