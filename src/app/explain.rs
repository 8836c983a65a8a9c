//! `windrose explain`: what would be answered, and why; from a running server or from the files.

use std::io::ErrorKind;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use domain::base::iana::Rtype;
use ipnet::IpNet;

use crate::answer::explain::{self as explain, Explanation};
use crate::answer::{Client, Proof, Query};
use crate::app::print::{print, print_line};
use crate::app::{Failure, plan, site};
use crate::cli::Output;
use crate::control::{self, Reply, Request};
use crate::load::{self, Site};
use crate::model::{EndpointId, Name};
use crate::snapshot::Snapshot;
use crate::spec::did_you_mean;

/// What is to be explained.
pub(super) struct Question {
    pub(super) name: String,
    pub(super) qtype: String,
    pub(super) from: IpNet,
    pub(super) draw: u64,
    pub(super) down: Vec<String>,
    pub(super) offline: bool,
}

pub(super) fn run(question: Question, config: Option<&Path>, output: Output) -> Result<(), Failure> {
    let site = site(config)?;
    let (text, data) = if question.offline || !question.down.is_empty() {
        from_files(&question, &site)?
    } else {
        match from_server(&question, &site) {
            Some(explained) => explained?,
            None => {
                eprintln!("windrose: no server runs here: from the files, with every endpoint up");
                from_files(&question, &site)?
            }
        }
    };
    match output {
        Output::Text => print(text)?,
        Output::Json => print_line(format_args!("{data:#}"))?,
    };
    Ok(())
}

type Explained = (String, serde_json::Value);

/// `None`: no server runs.
fn from_server(question: &Question, site: &Site) -> Option<Result<Explained, Failure>> {
    let request = Request::Explain(control::Explain {
        name: question.name.clone(),
        qtype: question.qtype.clone(),
        from: question.from.addr(),
        prefix: question.from.prefix_len(),
        draw: question.draw,
    });
    match control::ask(&site.socket, &request) {
        Ok(Reply::Done { text, data }) => Some(Ok((text, data))),
        Ok(Reply::Failed { error }) => Some(Err(Failure::Failed(error))),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => None,
        Err(error) => Some(Err(Failure::Failed(format!("{}: {error}", site.socket.display())))),
    }
}

fn from_files(question: &Question, site: &Site) -> Result<Explained, Failure> {
    let plan = Arc::new(plan(site)?.plan);
    let mut down = Vec::new();
    for name in &question.down {
        down.push(endpoint(&plan.inventory, name)?);
    }
    let snapshot = explain::assume(plan, &down);
    let explanation = of(&snapshot, &question.name, &question.qtype, question.from, question.draw)
        .map_err(Failure::Failed)?;
    Ok(rendered(&explanation))
}

fn endpoint(inventory: &crate::model::Inventory, name: &str) -> Result<EndpointId, Failure> {
    inventory.endpoint(name).ok_or_else(|| {
        let known = inventory.endpoints.iter().map(|endpoint| &*endpoint.name);
        let hint = did_you_mean(name, known).map(|close| format!(" (did you mean `{close}`?)"));
        Failure::Failed(format!("there is no endpoint `{name}`{}", hint.unwrap_or_default()))
    })
}

/// Explains a question as people write it, against a snapshot.
pub(super) fn of(
    snapshot: &Snapshot,
    name: &str,
    qtype: &str,
    from: IpNet,
    draw: u64,
) -> Result<Explanation, String> {
    let name = Name::from_str(name).map_err(|error| format!("`{name}` is no domain name: {error}"))?;
    let qtype = Rtype::from_str(&qtype.to_ascii_uppercase())
        .map_err(|_| format!("`{qtype}` is no record type; try A, AAAA, TXT or TYPE65"))?;
    let client = Client::within(from);
    let proof = Proof { now: load::seconds(SystemTime::now()), ..Proof::default() };
    let query = Query { name: name.as_slice(), qtype: qtype.to_int(), client, draw, proof };
    Ok(explain::explain(&query, snapshot))
}

/// For people and for programs.
pub(super) fn rendered(explanation: &Explanation) -> Explained {
    let data = serde_json::to_value(explanation).expect("an explanation is plain data");
    (explanation.to_string(), data)
}
