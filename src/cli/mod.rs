//! The command line: what can be asked for.
