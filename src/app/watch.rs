//! `windrose watch`: what happens at a server, as it happens.

use std::ops::ControlFlow;
use std::path::Path;

use serde_json::{Value, json};

use crate::app::operate::no_answer;
use crate::app::print::{Reader, print_line};
use crate::app::{Failure, site};
use crate::cli::Output;
use crate::control::{self, Happened};
use crate::keeper::{Fact, Isolation, describe};
use crate::model::{EndpointId, Family, Inventory, Moment, RegionId};
use crate::plan::Plan;
use crate::spec::machine::EventKind;

/// Something that happened, and what kind of thing that is.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) kind: EventKind,
    pub(super) happened: Happened,
}

impl Told {
    /// `data`: an object of what there is to say besides its kind.
    pub(super) fn new(kind: EventKind, at: Moment, text: impl Into<String>, mut data: Value) -> Self {
        data["event"] = kind.word().into();
        data["alarm"] = kind.is_alarm().into();
        Self { kind, happened: Happened { at: at.0, text: text.into(), data } }
    }

    /// A fact, for people and for programs.
    pub(super) fn of(fact: &Fact, plan: &Plan, at: Moment) -> Self {
        Self::new(kind(fact), at, describe(fact, plan), data(fact, &plan.inventory))
    }
}

pub(super) fn run(config: Option<&Path>, output: Output) -> Result<(), Failure> {
    let site = site(config)?;
    let mut failed = Ok(());
    let print = |happened: Happened| {
        let line = match output {
            Output::Text if happened.at == 0 => format!("-- {}", happened.text),
            Output::Text => format!("{} {}", Moment(happened.at).time_of_day(), happened.text),
            Output::Json => json!(happened).to_string(),
        };
        match print_line(line) {
            Ok(Reader::There) => return ControlFlow::Continue(()),
            Ok(Reader::Gone) => {}
            Err(why) => failed = Err(why),
        }
        ControlFlow::Break(())
    };
    control::watch(&site.socket, print).map_err(|error| no_answer(&site.socket, &error))?;
    failed
}

fn kind(fact: &Fact) -> EventKind {
    match fact {
        Fact::Turned { .. } => EventKind::Turned,
        Fact::Flaps { .. } => EventKind::Flaps,
        Fact::HeldBack { .. } => EventKind::HeldBack,
        Fact::GovernorRests => EventKind::GovernorRests,
        Fact::ProbeSilent { .. } => EventKind::ProbeSilent,
        Fact::ReportDropped { .. } => EventKind::ReportRefused,
        Fact::ProbeIsolated { .. } => EventKind::ProbeIsolated,
        Fact::ProbeAgrees { .. } => EventKind::ProbeAgrees,
        Fact::NoSuch { .. } => EventKind::NoSuch,
        Fact::Controlled { .. } => EventKind::Controlled,
        Fact::FailedBack { .. } => EventKind::FailedBack,
    }
}

/// What a program can do without reading prose.
fn data(fact: &Fact, inventory: &Inventory) -> Value {
    let endpoint_name = |id: &EndpointId| &inventory.endpoints[id.index()].name;
    let names = |regions: &[RegionId]| -> Value {
        regions.iter().map(|region| &*inventory.regions[region.index()].name).collect()
    };
    let word = |family: &Option<Family>| family.map(|family| family.to_string());
    match fact {
        Fact::Turned { endpoints, regions, family, from, to, evidence, control } => json!({
            "endpoint": match endpoints.as_slice() { [one] => Some(endpoint_name(one)), _ => None },
            "endpoints": endpoints.iter().map(endpoint_name).collect::<Vec<_>>(),
            "regions": names(regions),
            "family": word(family),
            "from": from,
            "to": to,
            "down": evidence.down,
            "votes": evidence.votes,
            "kind": evidence.kind,
            "control": control,
        }),
        Fact::Flaps { endpoint, regions, family } => json!({
            "endpoint": endpoint_name(endpoint),
            "regions": names(regions),
            "family": word(family),
        }),
        Fact::HeldBack { endpoints, regions, family } => json!({
            "endpoints": endpoints.iter().map(endpoint_name).collect::<Vec<_>>(),
            "regions": names(regions),
            "family": word(family),
        }),
        Fact::GovernorRests => json!({}),
        Fact::ProbeSilent { probe } | Fact::ProbeAgrees { probe } => json!({ "probe": probe }),
        Fact::ReportDropped { probe, reason } => json!({ "probe": probe, "reason": reason.to_string() }),
        Fact::ProbeIsolated { probe, isolation: Isolation { disagrees, of, .. } } => {
            json!({ "probe": probe, "disagrees": disagrees, "of": of })
        }
        Fact::NoSuch { name } => json!({ "name": name }),
        Fact::Controlled { endpoint, control } => {
            json!({ "endpoint": endpoint_name(endpoint), "control": control })
        }
        Fact::FailedBack { pool } => json!({ "pool": inventory.pools[pool.index()].name }),
    }
}
