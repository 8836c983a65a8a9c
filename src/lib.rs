//! Windrose: a DNS-based global traffic manager. The map of the code.
//!
//! Three clocks: intent (an operator edits a file), health (probes report), queries. Each faster one
//! reads only the finished, immutable product of the slower one.
//!
//! ```text
//! config, zones > load >text> spec::parse >Spec> plan::compile >Plan (or every diagnostic)
//!                                                                |
//! endpoint <check< probe >Report> -------------------------> keeper < drain, force
//!                                                                | Snapshot
//!                                                                v
//!                                                        one cell: plan + health map
//!                                                                |
//! resolver > dns >Query> answer(&query, &snapshot) >Answer> dns > resolver
//! ```
//!
//! | to see | look in |
//! |---|---|
//! | the words, as data | [`model`] |
//! | where a client is | [`geo`] |
//! | when something is up or down | [`health`] |
//! | how files are read, and what is said when they are wrong | [`spec`] |
//! | who signs, and when | [`dnssec`] |
//! | how what was written becomes what is run | [`plan`] |
//! | which member is picked | [`steering`] |
//! | what is answered, and why | [`answer`] |
//! | who changes the health map | [`keeper`] |
//! | what others take of zones, and what updates do to them | [`primary`] |
//! | what readers read | [`snapshot`] |
//! | scripts that test a policy | [`scenario`] |
//! | files, state | [`load`] |
//! | UDP and TCP | [`dns`] |
//! | checks | [`probe`] |
//! | what probes, servers and operators tell one another | [`fleet`] |
//! | the local socket, metrics over HTTP | [`control`] |
//! | who is told over HTTP | [`notify`] |
//! | what the process gives up | [`sandbox`] |
//! | log lines | [`telemetry`] |
//! | the command line | [`cli`] |
//! | how it is wired | [`app`] |
//!
//! Arrows between modules go down only; `tests/architecture.rs` holds the table.

// words
// What is printed goes through app::print, which knows what to do when nobody reads on.
#![cfg_attr(not(test), deny(clippy::print_stdout))]

pub mod model;
// core: knows no clock, socket, file, task, log or chance
pub mod answer;
pub mod dnssec;
pub mod geo;
pub mod health;
pub mod keeper;
pub mod plan;
pub mod primary;
pub mod scenario;
pub mod snapshot;
pub mod spec;
pub mod steering;
// edges: each touches one part of the world, none knows another
pub mod cli;
pub mod control;
pub mod dns;
pub mod fleet;
pub mod load;
pub mod notify;
pub mod probe;
pub mod sandbox;
pub mod telemetry;
// wiring
pub mod app;
