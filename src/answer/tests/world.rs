//! A small world for tests: zones and steering as text, answers as text.

use std::sync::Arc;
use std::time::Duration;

use domain::base::iana::Rtype;

use crate::answer::explain::records::presentation;
use ipnet::IpNet;

use crate::answer::{Answer, Client, Proof, Query, answer};
use crate::geo::{Facts, Geo};
use crate::health::{HealthMap, Verdict};
use crate::model::{Family, Inventory, Name, Region, RegionId};
use crate::plan::zone::Builder;
use crate::plan::{Plan, compile};
use crate::snapshot::Snapshot;
use crate::spec::{self, Diagnostic, Severity, Source, Sources, master};
use crate::steering::judge_pools;

/// A snapshot of zones (name and text of each) and one steering file.
pub fn snapshot(zones: &[(&str, &str)], steering: &str) -> Snapshot {
    let (plan, found) = try_compile(zones, steering);
    let errors: Vec<_> = found.iter().filter(|found| found.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let plan = Arc::new(plan.expect("without errors there is a plan"));
    let mut health = HealthMap::new(&plan.inventory);
    judge_pools(&plan.inventory, &mut health);
    Snapshot::new(1, plan, health)
}

/// A snapshot of zones alone, whatever is wrong with them.
pub fn unchecked(zones: &[(&str, &str)]) -> Snapshot {
    let mut found = Vec::new();
    let mut builder = Builder::default();
    for (name, text) in zones {
        let source = Source::new(&format!("{name}.zone"), text);
        let file = master::parse(&source, &|_, _| Err("nothing to include".into()), &mut found);
        builder.add(&file.expect("a test names its zones well"), &mut found);
    }
    let region = Region { name: "world".into(), at: None, default: true };
    let inventory = Inventory { regions: vec![region], ..Inventory::default() };
    let health = HealthMap::new(&inventory);
    let geo = Geo::one_region(RegionId(0));
    let plan = Arc::new(Plan {
        inventory,
        geo,
        zones: builder.build(),
        steered: Vec::new(),
        debug: Vec::new(),
        keys: crate::dnssec::Keyring::default(),
        source: crate::model::Fingerprint::new(),
    });
    Snapshot::new(1, plan, health)
}

fn try_compile(zones: &[(&str, &str)], steering: &str) -> (Option<Plan>, Vec<Diagnostic>) {
    let zones = zones.iter().map(|(name, text)| Source::new(&format!("{name}.zone"), text)).collect();
    let steering = (!steering.is_empty()).then(|| Source::new("steering.toml", steering));
    let sources = Sources { zones, steering: steering.into_iter().collect() };
    let (spec, mut found) = spec::parse(&sources, &|_, _| Err("nothing to include".into()));
    let (plan, more) = compile(&spec, &Arc::new(Facts::none()), Duration::from_secs(2));
    found.extend(more);
    (plan, found)
}

/// Fixes the verdict of an endpoint for everybody.
pub fn set(snapshot: &mut Snapshot, endpoint: &str, verdict: Verdict) {
    let inventory = &snapshot.plan.inventory;
    let id = inventory.endpoint(endpoint).expect("a test names what it wrote");
    for region in (0..inventory.regions.len()).map(RegionId::at) {
        for family in Family::BOTH {
            snapshot.health.endpoint_mut(id, region, family).verdict = verdict;
        }
    }
    judge_pools(inventory, &mut snapshot.health);
}

/// Asks as a client at 192.0.2.1: the answer as [`show`] writes it.
pub fn ask(snapshot: &Snapshot, question: &str) -> String {
    ask_from(snapshot, question, "192.0.2.1")
}

/// `NAME TYPE`, asked from an address or a prefix.
pub fn ask_from(snapshot: &Snapshot, question: &str, client: &str) -> String {
    with_answer(snapshot, question, client, show)
}

pub fn with_answer<R>(
    snapshot: &Snapshot,
    question: &str,
    client: &str,
    look: impl FnOnce(&Answer<'_>, &[u8]) -> R,
) -> R {
    query(question, client, |query| look(&answer(query, snapshot, &mut ()), query.name))
}

/// `NAME TYPE`, asked by somebody who may want proofs.
pub fn with_proof<R>(
    snapshot: &Snapshot,
    question: &str,
    proof: Proof,
    look: impl FnOnce(&Answer<'_>, &[u8]) -> R,
) -> R {
    query(question, "192.0.2.1", |query| {
        look(&answer(&Query { proof, ..*query }, snapshot, &mut ()), query.name)
    })
}

/// The query that `NAME TYPE` from an address or a prefix means.
pub fn query<R>(question: &str, client: &str, ask: impl FnOnce(&Query<'_>) -> R) -> R {
    let (name, qtype) = question.split_once(' ').expect("a question is a name and a type");
    let name: Name = name.parse().expect("a test writes good names");
    let qtype = qtype.parse::<Rtype>().expect("a test writes good types").to_int();
    let client = match client.parse::<IpNet>() {
        Ok(subnet) => Client::within(subnet),
        Err(_) => Client::at(client.parse().expect("a test writes good addresses")),
    };
    ask(&Query { name: name.as_slice(), qtype, client, draw: 7, proof: Proof::default() })
}

/// `NOERROR aa | owner ttl type data; ... | authority | additional`: sections that are empty at the end are
/// left out.
pub fn show(answer: &Answer<'_>, question: &[u8]) -> String {
    let mut text = format!("{:?}", answer.rcode).to_uppercase();
    if answer.authoritative {
        text += " aa";
    }
    let sections = [&answer.answer[..], &answer.authority, &answer.additional];
    let used = sections.iter().rposition(|section| !section.is_empty()).map_or(0, |last| last + 1);
    for section in &sections[..used] {
        text += " |";
        let lines = section.iter().flat_map(|set| presentation(set, question));
        text += &lines.map(|record| format!(" {record};")).collect::<String>();
    }
    text
}
