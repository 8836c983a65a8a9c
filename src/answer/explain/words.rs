//! The wording: this is what people read when they wonder.

use ipnet::IpNet;

use crate::answer::Client;
use crate::answer::explain::Place;
use crate::geo::{By, Located};
use crate::health::{Agent, Basis, Control, PoolStanding, Standing, Verdict};
use crate::model::{Endpoint, Family, MapId, MinUp, Pool};
use crate::plan::Steered;
use crate::snapshot::Snapshot;
use crate::steering::{Decision, Outcome, Skip};

/// Where a client is, and by which rule.
pub(super) fn place(client: Client, snapshot: &Snapshot) -> Place {
    let geo = &snapshot.plan.geo;
    let told = client.told();
    let Located { region, by, scope } = geo.locate(MapId::WORLD, told.addr());
    Place {
        subnet: subnet(told),
        region: snapshot.plan.inventory.regions[region.index()].name.to_string(),
        because: self::by(&by),
        rule: rule(by),
        at: geo.coordinates(told.addr()).map(|at| [at.latitude, at.longitude]),
        scope,
    }
}

/// A client subnet; a whole address without its length.
pub(super) fn subnet(client: IpNet) -> String {
    match client.prefix_len() == client.max_prefix_len() {
        true => client.addr().to_string(),
        false => client.to_string(),
    }
}

/// The rule that put a client into its region, if one did.
pub(super) fn rule(by: By) -> Option<String> {
    match by {
        By::Rule(matcher) => Some(matcher.to_string()),
        By::Distance(_) | By::Default => None,
    }
}

/// What put a client into its region.
pub(crate) fn by(by: &By) -> String {
    match by {
        By::Rule(matcher) => matcher.to_string(),
        By::Distance(km) => format!("the nearest, {km:.0} km"),
        By::Default => "the default".into(),
    }
}

/// The TTL of a decision, and why; `moving` are the members whose health is.
pub(super) fn ttl<'m>(
    steered: &Steered,
    decision: &Decision,
    moving: impl Iterator<Item = &'m str>,
) -> (u32, String) {
    let Steered { ttl, ttl_min, .. } = *steered;
    if decision.settled {
        return (ttl, "everything is settled".into());
    }
    let mut names: Vec<&str> = moving.collect();
    names.sort_unstable();
    names.dedup();
    let who = if names.is_empty() { "something".into() } else { names.join(", ") };
    (ttl_min, format!("not {ttl}: {who} changed lately or is changing"))
}

/// What came of a decision.
pub(super) fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Endpoints { last_resort: false, .. } => "chosen",
        Outcome::Endpoints { last_resort: true, .. } => "as if all were up",
        Outcome::Static => "the records of the zone file",
        Outcome::NoData => "no data",
        Outcome::ServFail => "SERVFAIL",
    }
}

/// What a verdict on one family of an endpoint rests on. The probes counted are those that agree with it.
pub(super) fn evidence(standing: &Standing, endpoint: &Endpoint, family: Family, region: &str) -> String {
    let evidence = &standing.evidence;
    let watched = !endpoint.targets[family.index()].is_empty();
    if !endpoint.serves(family) {
        return String::new();
    }
    let (agree, says) = match standing.verdict {
        _ if standing.governed => (evidence.down, "down"),
        Verdict::Down => (evidence.down, "down"),
        Verdict::Up | Verdict::Unknown => (evidence.votes.saturating_sub(evidence.down), "up"),
    };
    let of = |whom: &str| format!("{agree} of {} {whom} say {says}", evidence.votes);
    let mut words = match (standing.control, evidence.basis) {
        (Some(Control::Drain), _) => "drained by the operator".into(),
        (Some(Control::ForceUp), _) => "forced up by the operator".into(),
        (Some(Control::ForceDown), _) => "forced down by the operator".into(),
        (None, Basis::Damped) => "flaps: down until it is quiet".into(),
        (None, Basis::Agent(word)) => format!("its own word is {word}"),
        (None, Basis::Operator) => "fixed by the operator".into(),
        (None, Basis::Region) => of(&format!("probes in {region}")),
        (None, Basis::Others) => of("other regions"),
        (None, Basis::Kept) => "no probe is heard: the last verdict stands".into(),
        (None, Basis::Unmonitored) if !watched => "no monitor".into(),
        (None, Basis::Unmonitored) if standing.verdict == Verdict::Unknown => "no probe was heard yet".into(),
        (None, Basis::Unmonitored) => "assumed".into(),
    };
    if standing.governed {
        words = format!("held back by the governor: {words}");
    }
    if let Some(kind) = evidence.kind.filter(|kind| !kind.is_ok()) {
        words += &format!(", {kind}");
    }
    if let Some(rtt) = evidence.rtt_us {
        words += &format!(", {:.1} ms", f64::from(rtt) / 1000.0);
    }
    if let Some(word @ Agent::Share(_)) = standing.agent {
        words += &format!(", asks for {word} of its weight");
    }
    if standing.stale {
        words += ", stale";
    }
    if standing.moving {
        words += ", moving";
    }
    words
}

/// The round-trip time of a member.
pub(super) struct Time<'t> {
    /// Who.
    pub(super) name: &'t str,
    /// Microseconds, with bias.
    pub(super) rtt_us: u32,
    /// What the operator added.
    pub(super) bias: i8,
}

/// What a `latency` pool goes by: the times of its members in the order in which they are tried.
pub(super) fn times(times: &[Time<'_>], region: &str) -> String {
    let Some(first) = times.first() else {
        return "by distance: not measured from the client's region".into();
    };
    let time = |Time { name, rtt_us, bias }: &Time<'_>| {
        let bias = if *bias == 0 { String::new() } else { format!(" with bias {bias}") };
        format!("{name} {}{bias}", milliseconds(*rtt_us))
    };
    let mut words =
        format!("measured from {region}: {}", times.iter().map(time).collect::<Vec<_>>().join(", "));
    if times.iter().any(|other| other.rtt_us < first.rtt_us) {
        words += &format!(" ({} stays first: nobody is better by 10 % and by 5 ms)", first.name);
    }
    words
}

fn milliseconds(us: u32) -> String {
    let digits = if us < 10_000 { 1 } else { 0 };
    format!("{:.digits$} ms", f64::from(us) / 1000.0)
}

/// Why a member was passed over.
pub(super) fn passed_over(reason: Skip, family: Family) -> String {
    match reason {
        Skip::Down => DOWN.into(),
        Skip::NoFamily => format!("has no {family}"),
        Skip::Held => "is up again, but waits for its failback".into(),
        Skip::Draw => NOT_DRAWN.into(),
        Skip::Weightless => "has weight 0".into(),
        Skip::Trickle => "gives this draw to the standby, to prove it".into(),
        Skip::Dead => "leads to nothing that is up".into(),
        Skip::HostName => "is a host name, which is answered alone".into(),
        Skip::Repeated => "is in the answer already".into(),
    }
}

/// Why a pool counts as down for a client who is given its members in this order.
pub(super) fn pool_down(pool: &Pool, standing: PoolStanding, order: &[u16], family: Family) -> String {
    if order.is_empty() {
        return "no member is for this client".into();
    }
    if !standing.addresses && !standing.names {
        return format!("nobody has {family}");
    }
    match pool.min_up {
        MinUp::Count(0 | 1) => "nothing is up".into(),
        MinUp::Count(count) => format!("fewer than {count} are up"),
        MinUp::Percent(percent) => format!("less than {percent} % is up"),
    }
}

/// [`crate::steering::Step::WithoutNames`]
pub(super) const WITHOUT_NAMES: &str =
    "decided again without host names: a CNAME would take the other family too";

/// [`Skip::Down`]
pub(super) const DOWN: &str = "is down";

/// [`Skip::Draw`]
pub(super) const NOT_DRAWN: &str = "was not drawn";
