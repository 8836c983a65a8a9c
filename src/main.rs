//! The `windrose` binary.

use std::process::ExitCode;

use clap::Parser;
use windrose::{app, cli::Cli};

fn main() -> ExitCode {
    app::run(Cli::parse())
}
