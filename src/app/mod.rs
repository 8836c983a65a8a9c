//! The wiring: which part is connected to which. One file per command.
//!
//! ```text
//!   serve:  load > plan --.            .--> dns (UDP threads, TCP)
//!           probe > Report +--> keeper +--> SnapshotCell
//!           fleet > Report |           '--> state file
//!           control > Call '
//! ```

mod beating;
mod certificate;
mod check;
mod demo;
mod desk;
mod editor;
mod explain;
mod fleet;
mod follow;
mod keys;
mod locate;
mod metrics;
mod notify;
mod operate;
mod persist;
mod print;
mod probe;
mod probing;
mod process;
mod publish;
mod reload;
mod sandbox;
mod scenario;
mod serve;
mod service;
mod signing;
mod status;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use crate::cli::{Cli, Command};
use crate::load::{self, Databases, Site};
use crate::plan::Plan;
use crate::spec::diagnostic::render;
use crate::spec::{Diagnostic, Severity};
use crate::telemetry;

/// How a command ended, as its exit status tells.
#[derive(Debug)]
pub enum Failure {
    /// 1: it could not be done; why, if that is not already said.
    Failed(String),
    /// 2: the input is wrong, and the diagnostics are printed.
    WrongInput,
}

/// Does what the command line asks for.
pub fn run(cli: Cli) -> ExitCode {
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(why)) => {
            if !why.is_empty() {
                eprintln!("windrose: {why}");
            }
            ExitCode::from(1)
        }
        Err(Failure::WrongInput) => ExitCode::from(2),
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve { config } => {
            telemetry::start_log();
            serve::run(config.path.as_deref())
        }
        Command::Probe { config } => {
            telemetry::start_log();
            probe::run(config.path.as_deref())
        }
        Command::Check { schema: Some(kind), .. } => check::print_schema(kind),
        Command::Check { config, format, schema: None } => check::run(config.path.as_deref(), format.format),
        Command::Explain { name, qtype, from, down, offline, draw, config, format } => {
            let question = explain::Question { name, qtype, from, draw, down, offline };
            explain::run(question, config.path.as_deref(), format.format)
        }
        Command::Locate { map: Some(name), config, format, .. } => {
            locate::map(&name, config.path.as_deref(), format.format)
        }
        Command::Locate { clients, map: None, config, format } => {
            locate::clients(&clients, config.path.as_deref(), format.format)
        }
        Command::Publish { dry_run, publication, config } => {
            publish::publish(&publication, dry_run, config.path.as_deref())
        }
        Command::Rollback { version, publication, config } => {
            publish::rollback(version, &publication, config.path.as_deref())
        }
        Command::History { limit, config, format } => {
            publish::history(limit, config.path.as_deref(), format.format)
        }
        Command::Keys { command } => keys::run(command),
        Command::Test { files } => scenario::run(&files),
        Command::Demo { port, http_port } => demo::run(port, http_port),
        Command::Status { config, format } => operate::status(config.path.as_deref(), format.format),
        Command::Watch { config, format } => watch::run(config.path.as_deref(), format.format),
        Command::Notify { config } => notify::run(config.path.as_deref()),
        Command::Drain(endpoint) => operate::drain(&endpoint),
        Command::Release(endpoint) => operate::release(&endpoint),
        Command::Force { verdict, endpoint } => operate::force(&endpoint, verdict),
        Command::Beat { endpoint, monitor, say } => operate::beat(endpoint, monitor, say),
        Command::Failback { pool, config } => operate::failback(pool, config.path.as_deref()),
        Command::Reload { config } => operate::reload(config.path.as_deref()),
    }
}

/// This machine's configuration; what is wrong with it is printed.
fn site(config: Option<&Path>) -> Result<Site, Failure> {
    match load::machine(config) {
        Ok((site, warnings)) => {
            print_diagnostics(&warnings);
            Ok(site)
        }
        Err(diagnostics) => {
            print_diagnostics(&diagnostics);
            Err(Failure::WrongInput)
        }
    }
}

/// What a site is run from.
struct Ready {
    plan: Plan,
    databases: Databases,
    /// The files that all of this was read from.
    files: Vec<PathBuf>,
}

/// The plan of a site; what is wrong with what it is read from is printed.
fn plan(site: &Site) -> Result<Ready, Failure> {
    let now = SystemTime::now();
    let databases = Databases::open(site, now);
    print_diagnostics(&databases.warnings(now));
    let mut loaded = load::zones(
        &site.zones,
        databases.facts(),
        site.machine.probe.report_interval,
        &load::overlays(site),
    );
    load::sign(site, &mut loaded, now);
    loaded.diagnostics.extend(sandbox::out_of_reach(site, &loaded));
    print_diagnostics(&loaded.diagnostics);
    let files = [loaded.included, databases.files()].concat();
    loaded.plan.map(|plan| Ready { plan, databases, files }).ok_or(Failure::WrongInput)
}

/// Diagnostics for people go to standard error.
fn print_diagnostics(diagnostics: &[Diagnostic]) {
    if !diagnostics.is_empty() {
        let color = std::io::IsTerminal::is_terminal(&std::io::stderr());
        eprint!("{}", render(diagnostics, color));
    }
}

fn any_error(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}
