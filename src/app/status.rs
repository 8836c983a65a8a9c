//! `windrose status`: what a running server serves, hears and holds.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::app::certificate::Shown;
use crate::app::fleet::{Membership, Other};
use crate::app::metrics::Reloads;
use crate::app::persist::Writing;
use crate::control::Reply;
use crate::dns::{Listening, Traffic};
use crate::dnssec;
use crate::fleet::{Dropped, Link};
use crate::health::{Basis, Standing};
use crate::keeper::{self, Isolation, ProbeStatus, Refused};
use crate::load::{Held, Site};
use crate::model::{EndpointId, Family, Inventory, Moment, RegionId};
use crate::notify::Progress;
use crate::plan::zone::name::show;
use crate::primary::Edition;
use crate::probe;
use crate::snapshot::Snapshot;
use crate::spec::duration::display;

/// What there is to see of a server.
pub(super) struct View<'s> {
    pub(super) name: &'s str,
    pub(super) site: &'s Site,
    /// What of it is in force.
    pub(super) sandbox: &'s str,
    pub(super) databases: &'s [Held],
    pub(super) listening: &'s [Listening],
    /// The certificate of encrypted listeners, if there are any.
    pub(super) certificate: Option<Shown>,
    pub(super) membership: Option<&'s Membership>,
    /// How telling goes, if somebody is to be told of what happens.
    pub(super) notified: Option<Progress>,
    pub(super) zones_version: Option<u64>,
    pub(super) answering: bool,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) probes: Vec<ProbeStatus>,
    /// Checks of this machine's own probe that said nothing.
    pub(super) void: probe::Counts,
    /// Reports that were read and do not count.
    pub(super) refused: keeper::Dropped,
    pub(super) now: Moment,
    pub(super) last_reload: Option<&'s str>,
    pub(super) reloads: &'s Reloads,
    /// When the snapshot was published.
    pub(super) published: Moment,
    pub(super) state: Writing,
    pub(super) traffic: Traffic,
    pub(super) signatures: dnssec::Figures,
}

/// The same for people and for programs.
pub(super) fn reply(view: &View<'_>) -> Reply {
    Reply::Done { text: text(view), data: data(view) }
}

fn text(view: &View<'_>) -> String {
    let plan = &view.snapshot.plan;
    let mut text = format!("{}: {}\n", view.name, if view.answering { "answering" } else { "first checks" });
    let addresses: Vec<String> = view.listening.iter().map(ToString::to_string).collect();
    let stats = view.traffic.total();
    let _ = writeln!(text, "  listening   {}", addresses.join(", "));
    let _ = writeln!(text, "  serving     {} (from {})", plan.summary(), view.site.zones.display());
    let _ = writeln!(text, "  snapshot    {}", view.snapshot.generation);
    let _ = writeln!(text, "  queries     {} ({} answered)", stats.queries, stats.answered());
    let _ = writeln!(text, "  sandbox     {}", view.sandbox);
    let wall = SystemTime::now();
    if let Some(shown) = &view.certificate {
        let _ = writeln!(text, "  certificate {}", certificate(shown, wall));
    }
    for held in view.databases {
        if let Some(current) = &held.current {
            let _ = writeln!(text, "  geo         {}", current.database.summary(wall));
        }
        if let Some(trouble) = &held.trouble {
            let _ = writeln!(text, "  geo         not used: {trouble}");
        }
    }
    let (partitions, bytes) = plan.geo.size();
    let facts = plan.geo.facts().bytes();
    let _ = writeln!(
        text,
        "  maps        {partitions} partitions of clients, {} KiB; facts about them, {} KiB",
        bytes / 1024,
        facts / 1024
    );
    for (apex, edition) in view.snapshot.editions.iter().take(ZONES_SHOWN_MAX) {
        let (serial, changes) = (edition.serial(), edition.history.len());
        let signed = if edition.signed.is_some() { ", signed" } else { "" };
        let _ = writeln!(
            text,
            "  zone        {}: serial {serial}, {changes} changes remembered{signed}",
            show(apex)
        );
    }
    if let Some(membership) = view.membership {
        fleet_text(&mut text, membership, view);
    }
    if let Some(progress) = &view.notified {
        let _ = writeln!(text, "  notify      {}", notified(progress, view.now));
    }
    for probe in &view.probes {
        let region = &plan.inventory.regions[probe.region.index()].name;
        let _ = writeln!(text, "  probe       {region}/{}: {}", probe.name, heard(probe, view.zones_version));
    }
    if view.void != probe::Counts::default() {
        let probe::Counts { late, not_run, unconfirmed } = view.void;
        let _ = writeln!(
            text,
            "  void checks {late} while this machine was late, {not_run} it could not run, {unconfirmed} without an \
             answer of a reference"
        );
    }
    if let Some(said) = view.last_reload {
        let _ = writeln!(text, "\nthe last reload was refused; what was served before goes on:\n{said}");
    }
    if let Some(error) = &view.state.error {
        let _ = writeln!(text, "\n{error}");
    }
    text.push('\n');
    for row in rows(&plan.inventory) {
        let _ = write!(text, "  {:<16} {:<5}", row.name, row.family.to_string());
        for (region, standing) in standings(view, &row) {
            let _ = write!(text, "  {region} {}", in_words(standing, view.now));
        }
        text.push('\n');
    }
    text
}

fn fleet_text(text: &mut String, membership: &Membership, view: &View<'_>) {
    let ago = |since: Moment| display(Duration::from_secs(view.now.since(since).as_secs()));
    let link = match membership.link() {
        Link::Connected { server, since } => format!("linked to {server} for {}", ago(since)),
        Link::Disconnected { since, error: None } => format!("not linked for {}", ago(since)),
        Link::Disconnected { since, error: Some(error) } => format!("not linked for {}: {error}", ago(since)),
    };
    let _ = writeln!(text, "  fleet       {link}");
    if let Some(version) = view.zones_version {
        let _ = writeln!(text, "  zones       version {version} of the fleet");
    }
    for (name, other) in membership.others() {
        let zones = other.digest.zones_version.map(|version| format!("version {version}, "));
        let zones = zones.unwrap_or_default();
        let differs = match (other.other_plan, other.other_map) {
            (Some(since), _) => format!("OTHER ZONES than here for {}", ago(since)),
            (None, Some(since)) => format!("OTHER VERDICTS than here for {}", ago(since)),
            (None, None) => "as here".into(),
        };
        let heard = ago(other.heard);
        let _ = writeln!(text, "  server      {name}: {zones}{differs}, heard {heard} ago");
        if let Some(error) = &other.digest.zones_error {
            let first = error.lines().next().unwrap_or_default();
            let _ = writeln!(text, "              it refused the zones it was last given: {first}");
        }
    }
    let dropped = membership.dropped();
    if dropped != Dropped::default() {
        let Dropped { garbage, version, false_name, too_large, overflow } = dropped;
        let _ = writeln!(
            text,
            "  dropped     {garbage} unreadable, {version} of another version, {false_name} under a false name, \
             {too_large} too large, {overflow} too fast"
        );
    }
}

fn fleet_data(membership: &Membership) -> Value {
    let link = match membership.link() {
        Link::Connected { server, since } => json!({ "linked": true, "server": server, "since_ms": since.0 }),
        Link::Disconnected { since, error } => {
            json!({ "linked": false, "error": error, "since_ms": since.0 })
        }
    };
    let server = |(name, other): (&str, &Other)| {
        json!({
            "name": name,
            "zones_version": other.digest.zones_version,
            "zones_error": other.digest.zones_error,
            "release": other.digest.windrose,
            "heard_ms": other.heard.0,
            "other_zones_since_ms": other.other_plan.map(|since| since.0),
            "other_verdicts_since_ms": other.other_map.map(|since| since.0),
        })
    };
    let Dropped { garbage, version, false_name, too_large, overflow } = membership.dropped();
    json!({
        "link": link,
        "servers": membership.others().map(server).collect::<Value>(),
        "dropped": {
            "garbage": garbage,
            "version": version,
            "false_name": false_name,
            "too_large": too_large,
            "overflow": overflow,
        },
    })
}

/// How it goes with telling somebody of what happens.
fn notified(progress: &Progress, now: Moment) -> String {
    let Progress { sent, failed, waiting, last_taken, last_failure } = progress;
    let ago = |since: Moment| display(Duration::from_secs(now.since(since).as_secs()));
    let mut words = format!("{sent} events taken, {failed} lost, {waiting} waiting");
    if let Some(taken) = last_taken {
        let _ = write!(words, "; last taken {} ago", ago(*taken));
    }
    if let Some((failure, why)) = last_failure {
        let _ = write!(words, "; last not taken {} ago: {why}", ago(*failure));
    }
    words
}

fn notified_data(progress: &Progress) -> Value {
    let Progress { sent, failed, waiting, last_taken, last_failure } = progress;
    json!({
        "sent": sent,
        "failed": failed,
        "waiting": waiting,
        "last_taken_ms": last_taken.map(|taken| taken.0),
        "last_failure": last_failure.as_ref().map(|(at, why)| json!({ "at_ms": at.0, "why": why })),
    })
}

/// How it is with a probe, at a server that runs this version of the fleet's zones.
fn heard(probe: &ProbeStatus, here: Option<u64>) -> String {
    let mut words = match probe.age {
        Some(age) => format!("heard {} ago", display(age)),
        None => "not heard".into(),
    };
    if probe.age.is_some() && !probe.fresh {
        words += ", stale";
    }
    if let Some(version) = probe.zones {
        let other = if here.is_none_or(|here| here == version) { "" } else { " (OTHER ZONES than here)" };
        let _ = write!(words, ", version {version}{other}");
    }
    if let Some(Isolation { disagrees, of, .. }) = probe.isolation {
        let _ = write!(words, ", isolated (disagrees about {disagrees} of {of} targets)");
    }
    for refused in &probe.refused {
        let plural = if refused.reports == 1 { "" } else { "s" };
        let _ = write!(words, ", {} report{plural} refused ({})", refused.reports, refused.reason);
    }
    words
}

fn in_words(standing: &Standing, now: Moment) -> String {
    let mut words = standing.verdict.to_string();
    if let Some(since) = standing.since {
        let _ = write!(words, " for {}", display(Duration::from_secs(now.since(since).as_secs())));
    }
    let marks = [
        (standing.control.is_some(), "by the operator"),
        (standing.stale, "stale"),
        (standing.evidence.basis == Basis::Damped, "flaps"),
        (standing.governed, "held back by the governor"),
        (standing.moving, "moving"),
    ];
    let mut marks: Vec<String> =
        marks.iter().filter(|(set, _)| *set).map(|(_, mark)| (*mark).to_owned()).collect();
    marks.extend(standing.agent.map(|word| format!("says {word}")));
    if marks.is_empty() { words } else { format!("{words} ({})", marks.join(", ")) }
}

fn data(view: &View<'_>) -> Value {
    let plan = &view.snapshot.plan;
    let stats = view.traffic.total();
    let probe = |probe: &ProbeStatus| {
        json!({
            "name": &*probe.name,
            "region": &*plan.inventory.regions[probe.region.index()].name,
            "number": probe.number,
            "zones_version": probe.zones,
            "age_ms": probe.age.map(|age| age.as_millis() as u64),
            "fresh": probe.fresh,
            "isolated": probe.isolation.map(|isolation| json!({
                "disagrees": isolation.disagrees,
                "of": isolation.of,
                "since_ms": isolation.since.0,
            })),
            "refused": probe.refused.iter().map(refused).collect::<Value>(),
        })
    };
    let standing = |(region, standing): (&str, &Standing)| {
        json!({
            "region": region,
            "verdict": standing.verdict,
            "stale": standing.stale,
            "moving": standing.moving,
            "control": standing.control,
            "governed": standing.governed,
            "agent": standing.agent.map(|word| word.to_string()),
            "flaps": standing.evidence.basis == Basis::Damped,
            "since_ms": standing.since.map(|since| since.0),
        })
    };
    let endpoint = |row: Row<'_>| {
        json!({
            "name": row.name,
            "family": row.family.to_string(),
            "regions": standings(view, &row).map(standing).collect::<Value>(),
        })
    };
    let plain: Value =
        view.listening.iter().filter(|one| one.encrypted.is_none()).map(|one| json!(one.address)).collect();
    let encrypted = |one: &Listening| Some(json!({ "address": one.address, "transport": one.encrypted? }));
    let encrypted: Value = view.listening.iter().filter_map(encrypted).collect();
    json!({
        "name": view.name,
        "answering": view.answering,
        "addresses": plain,
        "encrypted": encrypted,
        "certificate": view.certificate.as_ref().map(certificate_data),
        "sandbox": view.sandbox,
        "zones": view.site.zones,
        "summary": plan.summary(),
        "generation": view.snapshot.generation,
        "queries": stats.queries,
        "answered": stats.answered(),
        "void_checks": {
            "late": view.void.late,
            "not_run": view.void.not_run,
            "unconfirmed": view.void.unconfirmed,
        },
        "last_reload_error": view.last_reload,
        "state_error": view.state.error,
        "zones_version": view.zones_version,
        "editions": view.snapshot.editions.iter().map(edition).collect::<Value>(),
        "fleet": view.membership.map(fleet_data),
        "notify": view.notified.as_ref().map(notified_data),
        "geo": geography(view),
        "probes": view.probes.iter().map(probe).collect::<Value>(),
        "endpoints": rows(&plan.inventory).map(endpoint).collect::<Value>(),
    })
}

fn edition((apex, edition): (&[u8], &Arc<Edition>)) -> Value {
    json!({
        "zone": show(apex),
        "serial": edition.serial(),
        "changes": edition.history.len(),
        "signed": edition.signed.is_some(),
    })
}

/// Until when it holds, and why it is not the one in the files.
fn certificate(shown: &Shown, wall: SystemTime) -> String {
    let word = if shown.ends > wall { "ends" } else { "has ended:" };
    let ends = httpdate::fmt_http_date(shown.ends);
    match &shown.trouble {
        None => format!("{word} {ends}"),
        Some(trouble) => format!("{word} {ends}; what the files hold now is not used: {trouble}"),
    }
}

fn certificate_data(shown: &Shown) -> Value {
    json!({ "ends": httpdate::fmt_http_date(shown.ends), "error": shown.trouble })
}

fn refused(refused: &Refused) -> Value {
    json!({
        "reason": refused.reason.to_string(),
        "reports": refused.reports,
        "since_ms": refused.since.0,
        "last_ms": refused.last.0,
    })
}

fn geography(view: &View<'_>) -> Value {
    let wall = SystemTime::now();
    let database = |held: &Held| {
        let current = held.current.as_ref().map(|current| &current.database);
        json!({
            "path": held.path,
            "kind": current.map(|database| &*database.kind),
            "age_s": current.and_then(|database| database.age(wall)).map(|age| age.as_secs()),
            "bytes": current.map(|database| database.bytes),
            "networks": current.map(|database| database.networks),
            "trouble": held.trouble,
        })
    };
    let (partitions, bytes) = view.snapshot.plan.geo.size();
    json!({
        "databases": view.databases.iter().map(database).collect::<Value>(),
        "partitions": partitions,
        "partitions_bytes": bytes,
        "facts_bytes": view.snapshot.plan.geo.facts().bytes(),
    })
}

/// One endpoint in one family.
struct Row<'p> {
    id: EndpointId,
    name: &'p str,
    family: Family,
}

fn rows(inventory: &Inventory) -> impl Iterator<Item = Row<'_>> {
    inventory.endpoints.iter().enumerate().flat_map(|(index, endpoint)| {
        let served = Family::BOTH.into_iter().filter(|&family| endpoint.serves(family));
        served.map(move |family| Row { id: EndpointId::at(index), name: &endpoint.name, family })
    })
}

fn standings<'v>(view: &'v View<'_>, row: &Row<'_>) -> impl Iterator<Item = (&'v str, &'v Standing)> {
    let (id, family) = (row.id, row.family);
    view.snapshot.plan.inventory.regions.iter().enumerate().map(move |(index, region)| {
        (&*region.name, view.snapshot.health.endpoint(id, RegionId::at(index), family))
    })
}

/// Zones that are shown to people one by one.
const ZONES_SHOWN_MAX: usize = 20;
