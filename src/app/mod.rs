//! The wiring: which part is connected to which.
