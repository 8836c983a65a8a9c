//! `windrose watch`: what happens at a server, as it happens.

use std::ops::ControlFlow;
use std::path::Path;

use serde_json::{Value, json};

use crate::app::operate::no_answer;
use crate::app::{Failure, site};
use crate::cli::Output;
use crate::control::{self, Happened};
use crate::keeper::{Fact, describe};
use crate::model::Moment;
use crate::plan::Plan;

/// A fact, for people and for programs.
pub(super) fn happened(fact: &Fact, plan: &Plan, at: Moment) -> Happened {
    Happened { at: at.0, text: describe(fact, plan), data: data(fact, plan) }
}

pub(super) fn run(config: Option<&Path>, output: Output) -> Result<(), Failure> {
    let site = site(config)?;
    let print = |happened: Happened| {
        match output {
            Output::Text if happened.at == 0 => println!("-- {}", happened.text),
            Output::Text => println!("{} {}", time_of_day(happened.at), happened.text),
            Output::Json => println!("{}", json!(happened)),
        }
        ControlFlow::Continue(())
    };
    control::watch(&site.socket, print).map_err(|error| no_answer(&site.socket, &error))
}

/// What a program can do without reading prose: of a verdict, everything; of the rest, that it happened.
fn data(fact: &Fact, plan: &Plan) -> Value {
    let inventory = &plan.inventory;
    match fact {
        Fact::Turned { endpoint, regions, family, from, to, evidence, control } => json!({
            "event": "turned",
            "endpoint": inventory.endpoints[endpoint.index()].name,
            "regions": regions.iter().map(|region| &inventory.regions[region.index()].name).collect::<Vec<_>>(),
            "family": family.map(|family| family.to_string()),
            "from": from,
            "to": to,
            "down": evidence.down,
            "votes": evidence.votes,
            "kind": evidence.kind,
            "control": control,
        }),
        _ => json!({ "event": "told" }),
    }
}

/// `14:05:09`, in UTC, as the fleet is in many zones of time.
fn time_of_day(at: u64) -> String {
    let seconds = at / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
