//! What is said to a running server: status, drain, release, force, failback, reload by an operator; beat by a job.

use std::io::ErrorKind;
use std::path::Path;

use crate::app::print::{print, print_line};
use crate::app::{Failure, site};
use crate::cli::{Endpoint, Forced, Output};
use crate::control::{Beat, Reply, Request, ask};
use crate::health::Control;

pub(super) fn status(config: Option<&Path>, output: Output) -> Result<(), Failure> {
    tell(config, &Request::Status, output)
}

pub(super) fn drain(endpoint: &Endpoint) -> Result<(), Failure> {
    control(endpoint, Some(Control::Drain))
}

pub(super) fn release(endpoint: &Endpoint) -> Result<(), Failure> {
    control(endpoint, None)
}

pub(super) fn force(endpoint: &Endpoint, verdict: Forced) -> Result<(), Failure> {
    let control_of = match verdict {
        Forced::Up => Control::ForceUp,
        Forced::Down => Control::ForceDown,
    };
    control(endpoint, Some(control_of))
}

pub(super) fn failback(pool: String, config: Option<&Path>) -> Result<(), Failure> {
    tell(config, &Request::Failback { pool }, Output::Text)
}

pub(super) fn beat(endpoint: Endpoint, monitor: Option<String>, say: Option<String>) -> Result<(), Failure> {
    let Endpoint { name, config } = endpoint;
    let beat = Beat { endpoint: name, monitor, say };
    tell(config.path.as_deref(), &Request::Beat(beat), Output::Text)
}

pub(super) fn reload(config: Option<&Path>) -> Result<(), Failure> {
    tell(config, &Request::Reload, Output::Text)
}

fn control(endpoint: &Endpoint, control: Option<Control>) -> Result<(), Failure> {
    let request = Request::Control { endpoint: endpoint.name.clone(), control };
    tell(endpoint.config.path.as_deref(), &request, Output::Text)
}

fn tell(config: Option<&Path>, request: &Request, output: Output) -> Result<(), Failure> {
    let site = site(config)?;
    let reply = ask(&site.socket, request).map_err(|error| no_answer(&site.socket, &error))?;
    match (reply, output) {
        (Reply::Done { text, .. }, Output::Text) => print(text)?,
        (Reply::Done { data, .. }, Output::Json) => print_line(format_args!("{data:#}"))?,
        (Reply::Failed { error }, _) => return Err(Failure::Failed(error)),
    };
    Ok(())
}

/// Why a server could not be asked.
pub(super) fn no_answer(socket: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            format!("no server runs here: nothing listens on {}", socket.display())
        }
        _ => format!("{}: {error}", socket.display()),
    })
}
