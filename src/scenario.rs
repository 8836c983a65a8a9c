//! Scenarios: a text script run against the core, output as text.
