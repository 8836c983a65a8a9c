//! What another plan changes: for people who are about to publish it.
//!
//! ```text
//!   plan before --.--> what each has, by kind and name, as keys and values --> added, removed, changed
//!   plan after  --'--> what each answers a client of every region, with everything up --> changed answers
//! ```
//!
//! Answers come from [`crate::answer::answer`] itself, so that nothing is promised that would not be served. They
//! are asked for with everything up, and with some draws, spread evenly: what a single draw in thousands changes
//! may be missed, what a weight changes is shown as the weight.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

use crate::answer::explain::assume;
use crate::answer::explain::records::presentation;
use crate::answer::lookup::{A, AAAA};
use crate::answer::{Client, Proof, Query, answer};
use crate::model::{
    Endpoint, Failback, Inventory, MapId, Member, MinUp, Monitor, Name, Need, OnDown, Pool, Reach, Region,
    Use,
};
use crate::plan::{Plan, Steered};
use crate::snapshot::Snapshot;

/// What another plan changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Changes {
    /// What is added, removed or changed, by kind and then by name.
    pub things: Vec<Change>,
    /// Whose answer changes, by name, type and region.
    pub answers: Vec<AnswerChange>,
    /// Changed answers beyond [`ANSWERS_SHOWN_MAX`].
    pub more_answers: usize,
    /// Steered names beyond [`NAMES_ASKED_MAX`], whose answers were not compared.
    pub names_not_asked: usize,
}

/// What becomes of one thing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// `zone`, `region`, `monitor`, `endpoint`, `pool` or `name`.
    pub kind: &'static str,
    /// As the operator wrote it.
    pub name: String,
    /// Whether it was there before.
    pub before: bool,
    /// Whether it is there after.
    pub after: bool,
    /// Where it is both: the settings that differ.
    pub settings: Vec<SettingChange>,
}

/// Another value of a setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SettingChange {
    /// As in the files.
    pub key: &'static str,
    /// Empty: it was not set.
    pub before: String,
    /// Empty: it is no longer set.
    pub after: String,
}

/// Another answer for the clients of a region.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnswerChange {
    /// Who is asked for.
    pub name: String,
    /// `A` or `AAAA`.
    pub rtype: &'static str,
    /// Whose clients, by the plan after.
    pub region: String,
    /// One of them.
    pub client: IpAddr,
    /// All that may be answered; empty: nothing.
    pub before: Vec<String>,
    /// Likewise.
    pub after: Vec<String>,
}

/// What changes from one plan to another.
pub fn changes(before: &Arc<Plan>, after: &Arc<Plan>) -> Changes {
    let mut changes = Changes { things: things(before, after), ..Changes::default() };
    let steered = before.steered.iter().chain(&after.steered);
    let names: BTreeSet<&Name> = steered.map(|steered| &steered.owner).collect();
    changes.names_not_asked = names.len().saturating_sub(NAMES_ASKED_MAX);
    let clients = clients(after);
    let worlds = [before, after].map(|plan| assume(Arc::clone(plan), &[]));
    for name in names.into_iter().take(NAMES_ASKED_MAX) {
        for (rtype, number) in [("A", A), ("AAAA", AAAA)] {
            for (region, client) in &clients {
                let [before, after] = worlds.each_ref().map(|world| answers(world, name, number, *client));
                if before == after {
                    continue;
                }
                if changes.answers.len() == ANSWERS_SHOWN_MAX {
                    changes.more_answers += 1;
                    continue;
                }
                let (name, region) = (name.fmt_with_dot().to_string(), region.clone());
                changes.answers.push(AnswerChange { name, rtype, region, client: *client, before, after });
            }
        }
    }
    changes
}

impl Changes {
    /// Whether nothing differs that this compares.
    pub fn is_empty(&self) -> bool {
        self.things.is_empty() && self.answers.is_empty()
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.things {
            let sign = match (change.before, change.after) {
                (false, _) => '+',
                (_, false) => '-',
                _ => '~',
            };
            writeln!(f, "{sign} {} {}", change.kind, change.name)?;
            for SettingChange { key, before, after } in &change.settings {
                writeln!(f, "    {key}: {} -> {}", or_none(before), or_none(after))?;
            }
        }
        if !self.answers.is_empty() {
            writeln!(f, "answers that change, with everything up:")?;
        }
        for change in &self.answers {
            let AnswerChange { name, rtype, region, .. } = change;
            let (before, after) = (change.before.join(", "), change.after.join(", "));
            writeln!(f, "    {name} {rtype} in {region}: {} -> {}", or_none(&before), or_none(&after))?;
        }
        if self.more_answers > 0 {
            writeln!(f, "    and {} more", self.more_answers)?;
        }
        if self.names_not_asked > 0 {
            writeln!(f, "    {} more names were not compared", self.names_not_asked)?;
        }
        Ok(())
    }
}

fn or_none(value: &str) -> &str {
    if value.is_empty() { "(none)" } else { value }
}

/// One client of every region of the world that has any, by the region's name.
fn clients(plan: &Plan) -> BTreeMap<String, IpAddr> {
    let mut clients = BTreeMap::new();
    for (net, situation) in plan.geo.prefixes(MapId::WORLD) {
        let region = &plan.inventory.regions[plan.inventory.region_in(situation).index()];
        clients.entry(region.name.to_string()).or_insert(net.addr());
        if clients.len() == plan.inventory.regions.len() {
            break;
        }
    }
    clients
}

/// All that a client may be answered, in order.
fn answers(world: &Snapshot, name: &Name, qtype: u16, client: IpAddr) -> Vec<String> {
    let mut all = BTreeSet::new();
    for share in 0..DRAWS {
        let draw = share * (u64::MAX / DRAWS);
        let query =
            Query { name: name.as_slice(), qtype, client: Client::at(client), draw, proof: Proof::default() };
        let given = answer(&query, world, &mut ());
        let records = given.answer.iter().flat_map(|set| presentation(set, query.name));
        all.extend(records.map(|record| record.data));
    }
    all.into_iter().collect()
}

/// Keys and values of one thing, in the order in which they are shown.
type Settings = Vec<(&'static str, String)>;

/// Everything a plan has, by kind and name.
type Things = BTreeMap<(usize, String), Settings>;

fn things(before: &Plan, after: &Plan) -> Vec<Change> {
    let (before, after) = (all_of(before), all_of(after));
    let keys: BTreeSet<&(usize, String)> = before.keys().chain(after.keys()).collect();
    let change = |key: &&(usize, String)| {
        let (was, is) = (before.get(*key), after.get(*key));
        let settings = match (was, is) {
            (Some(was), Some(is)) => settings(was, is),
            _ => Vec::new(),
        };
        let differs = was.is_none() || is.is_none() || !settings.is_empty();
        let (kind, name) = (KINDS[key.0], key.1.clone());
        differs.then_some(Change { kind, name, before: was.is_some(), after: is.is_some(), settings })
    };
    keys.iter().filter_map(change).collect()
}

fn settings(was: &Settings, is: &Settings) -> Vec<SettingChange> {
    let other = |key, before: &str, after: &str| {
        (before != after).then(|| SettingChange { key, before: before.into(), after: after.into() })
    };
    was.iter().zip(is).filter_map(|((key, before), (_, after))| other(*key, before, after)).collect()
}

const KINDS: [&str; 6] = ["zone", "region", "monitor", "endpoint", "pool", "name"];

fn all_of(plan: &Plan) -> Things {
    let inventory = &plan.inventory;
    let zones = plan.zones.apexes().map(|apex| (0, (shown(apex.owner()), Settings::new())));
    let regions = inventory.regions.iter().map(|one| (1, (one.name.to_string(), of_region(one))));
    let monitors = inventory.monitors.iter().map(|one| (2, (one.name.to_string(), of_monitor(one))));
    let endpoints = inventory.endpoints.iter();
    let endpoints = endpoints.map(|one| (3, (one.name.to_string(), of_endpoint(one, inventory))));
    let pools = inventory.pools.iter().map(|one| (4, (one.name.to_string(), of_pool(one, inventory))));
    let names = plan.steered.iter();
    let names = names.map(|one| (5, (shown(one.owner.as_slice()), of_name(one, inventory))));
    let all = zones.chain(regions).chain(monitors).chain(endpoints).chain(pools).chain(names);
    all.map(|(kind, (name, settings))| ((kind, name), settings)).collect()
}

fn shown(name: &[u8]) -> String {
    crate::answer::explain::records::absolute(name)
}

fn of_region(region: &Region) -> Settings {
    let at = region.at.map(|at| format!("[{}, {}]", at.latitude, at.longitude));
    vec![("at", at.unwrap_or_default()), ("default", region.default.to_string())]
}

fn of_monitor(monitor: &Monitor) -> Settings {
    let Monitor { ask, interval, timeout, recheck, fall, rise, quorum, .. } = monitor;
    vec![
        ("asks", format!("{ask:?}")),
        ("interval", format!("{interval:?}")),
        ("timeout", format!("{timeout:?}")),
        ("recheck", format!("{recheck:?}")),
        ("fall", fall.to_string()),
        ("rise", rise.to_string()),
        ("quorum", format!("{quorum}%")),
    ]
}

fn of_endpoint(endpoint: &Endpoint, inventory: &Inventory) -> Settings {
    let (mut v4, mut v6, mut cname) = (String::new(), String::new(), String::new());
    match &endpoint.reach {
        Reach::Name(name) => cname = shown(name.as_slice()),
        Reach::Addresses { v4: of_v4, v6: of_v6 } => {
            v4 = of_v4.map(|address| address.to_string()).unwrap_or_default();
            v6 = of_v6.map(|address| address.to_string()).unwrap_or_default();
        }
    }
    let region = endpoint.region.map(|region| inventory.regions[region.index()].name.to_string());
    let monitor = |target: &crate::model::TargetId| {
        &*inventory.monitors[inventory.targets[target.index()].monitor.index()].name
    };
    let monitors: BTreeSet<&str> = endpoint.targets.iter().flatten().map(monitor).collect();
    let need = |need: &Need| format!("{} of the {} of {}", need.at_least, need.parts.len(), need.name);
    let needs: Vec<String> = endpoint.needs.iter().map(need).collect();
    vec![
        ("region", region.unwrap_or_default()),
        ("at", endpoint.at.map(|at| format!("[{}, {}]", at.latitude, at.longitude)).unwrap_or_default()),
        ("ipv4", v4),
        ("ipv6", v6),
        ("cname", cname),
        ("monitors", monitors.into_iter().collect::<Vec<_>>().join(", ")),
        ("needs", needs.join(", ")),
    ]
}

fn of_pool(pool: &Pool, inventory: &Inventory) -> Settings {
    let members: Vec<String> = pool.members.iter().map(|member| member_of(pool, member, inventory)).collect();
    let min_up = match pool.min_up {
        MinUp::Count(count) => count.to_string(),
        MinUp::Percent(percent) => format!("{percent}%"),
    };
    let on_down = match pool.on_down {
        OnDown::ServeAll => "serve-all",
        OnDown::Static => "static",
        OnDown::NoData => "nodata",
        OnDown::ServFail => "servfail",
    };
    let failback = match pool.failback {
        Failback::Auto => "auto".into(),
        Failback::Manual => "manual".into(),
        Failback::After(time) => format!("{time:?}"),
    };
    vec![
        ("policy", format!("{:?}", pool.policy).to_lowercase()),
        ("members", members.join(", ")),
        ("answers", pool.answers.to_string()),
        ("min_up", min_up),
        ("fallback", pool.fallback.map(|pick| picked(pick, inventory).to_string()).unwrap_or_default()),
        ("on_down", on_down.into()),
        ("failback", failback),
        ("trickle", format!("{:.4}", f64::from(pool.trickle) / f64::from(u32::MAX))),
        ("fence", pool.fence.to_string()),
        ("sticky", pool.sticky.to_string()),
        ("client_subnet", pool.client_subnet.to_string()),
        ("map", inventory.map_name(pool.map).to_string()),
    ]
}

fn member_of(pool: &Pool, member: &Member, inventory: &Inventory) -> String {
    let mut text = picked(member.picks, inventory).to_string();
    if member.weight != 1 {
        text += &format!(" weight {}", member.weight);
    }
    if member.bias != 0 {
        text += &format!(" bias {}", member.bias);
    }
    let regions = inventory.regions_of(pool.map);
    for region in &member.regions {
        text += &format!(" for {}", regions[region.index()].name);
    }
    if member.default {
        text += " default";
    }
    text
}

fn picked(pick: Use, inventory: &Inventory) -> &str {
    match pick {
        Use::Endpoint(id) => &inventory.endpoints[id.index()].name,
        Use::Pool(id) => &inventory.pools[id.index()].name,
    }
}

fn of_name(steered: &Steered, inventory: &Inventory) -> Settings {
    vec![
        ("pool", inventory.pools[steered.pool.index()].name.to_string()),
        ("ttl", steered.ttl.to_string()),
        ("ttl_min", steered.ttl_min.to_string()),
    ]
}

/// Random numbers that each question is asked with.
const DRAWS: u64 = 8;

/// Names that are compared; further ones are counted. Each is asked for by every region, twice, so many times.
const NAMES_ASKED_MAX: usize = 2_000;

/// Changed answers that are listed; further ones are counted.
const ANSWERS_SHOWN_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::tests::world::snapshot;

    const ZONE: &str = "@ 300 SOA ns1 hostmaster 1 7200 1800 1209600 300\n@ 300 NS ns1\nns1 A 192.0.2.1\n";

    const STEERING: &str = r#"
        zone = "example.org"
        [regions.eu]
        clients = ["net:192.0.2.0/24"]
        [regions.us]
        default = true
        [monitors.web]
        type = "tcp"
        port = 80
        [endpoints.fra]
        region = "eu"
        ipv4 = "192.0.2.10"
        monitors = ["web"]
        [endpoints.iad]
        region = "us"
        ipv4 = "198.51.100.10"
        monitors = ["web"]
        [pools.www]
        policy = "failover"
        members = ["fra", "iad"]
        [names."www"]
        pool = "www"
    "#;

    fn told(replace: &[(&str, &str)]) -> String {
        let after = replace.iter().fold(STEERING.to_string(), |text, (from, to)| text.replace(from, to));
        let plan = |steering: &str| snapshot(&[("example.org", ZONE)], steering).plan;
        changes(&plan(STEERING), &plan(&after)).to_string()
    }

    #[test]
    fn the_same_files_change_nothing() {
        assert_eq!(told(&[]), "");
    }

    #[test]
    fn another_order_of_members_changes_a_setting_and_the_answers_of_every_region() {
        assert_eq!(
            told(&[(r#"["fra", "iad"]"#, r#"["iad", "fra"]"#)]),
            "~ pool www\n    members: fra, iad -> iad, fra\n\
             answers that change, with everything up:\n    \
             www.example.org. A in eu: 192.0.2.10 -> 198.51.100.10\n    \
             www.example.org. A in us: 192.0.2.10 -> 198.51.100.10\n"
        );
    }

    #[test]
    fn what_is_new_and_what_is_gone_is_told() {
        assert_eq!(
            told(&[("[names.\"www\"]", "[names.\"shop\"]"), ("iad", "bos")]),
            "+ endpoint bos\n- endpoint iad\n~ pool www\n    members: fra, iad -> fra, bos\n\
             + name shop.example.org.\n- name www.example.org.\n\
             answers that change, with everything up:\n    \
             shop.example.org. A in eu: (none) -> 192.0.2.10\n    \
             shop.example.org. A in us: (none) -> 192.0.2.10\n    \
             www.example.org. A in eu: 192.0.2.10 -> (none)\n    \
             www.example.org. A in us: 192.0.2.10 -> (none)\n"
        );
    }

    #[test]
    fn a_weight_is_shown_as_a_weight() {
        let weighted = (r#"policy = "failover""#, r#"policy = "weighted""#);
        let told = told(&[weighted, (r#"["fra", "iad"]"#, r#"["fra", { use = "iad", weight = 3 }]"#)]);
        assert!(told.contains("policy: failover -> weighted"), "{told}");
        assert!(told.contains("members: fra, iad -> fra, iad weight 3"), "{told}");
        assert!(told.contains("www.example.org. A in eu: 192.0.2.10 -> 192.0.2.10, 198.51.100.10"), "{told}");
    }
}
