//! The world of one seed: what the operator writes, and what is really up.
//!
//! ```text
//!   Sketch --text()--> a steering file --compile--> Plan, one for each version
//!   Truth: region x endpoint x family x monitor -> sick or not
//! ```
//!
//! Worlds are small and crowded, so that every pair of things meets within a minute.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use windrose::geo::Facts;
use windrose::model::Family;
use windrose::plan::{Plan, compile};
use windrose::spec::{self, Severity, Source, Sources};

use crate::dice::Dice;

/// What the operator wants, in one version.
#[derive(Clone, Debug)]
pub struct Sketch {
    pub regions: usize,
    pub endpoints: Vec<Endpoint>,
    failback: &'static str,
    sticky: bool,
    slow_start: bool,
    trickle: bool,
    min_up: &'static str,
    /// Percent of the endpoints that may go within [`GOVERNED_WITHIN`].
    pub governor: Option<u32>,
    /// The order of the failover pool, as numbers of endpoints.
    order: Vec<usize>,
}

#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Or it is not in the plan just now.
    pub present: bool,
    pub v6: bool,
    pub monitors: &'static [Check],
    /// One of its monitors must pass, and else all.
    pub any: bool,
    /// Whoever flaps is held down for a while.
    pub damped: bool,
    /// Each time it moved it has other addresses.
    moved: u8,
}

/// What is asked of an endpoint, by the name of the monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    Web,
    Deep,
}

/// Something that can fail for the probes of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    pub region: usize,
    pub endpoint: usize,
    pub v6: bool,
    pub check: Check,
}

/// What is really up: everything but these.
pub type Sick = BTreeSet<Part>;

/// One version, ready to run.
#[derive(Clone, Debug)]
pub struct Version {
    /// Its place among the versions.
    pub number: usize,
    pub sketch: Sketch,
    pub plan: Arc<Plan>,
}

impl Sketch {
    pub fn any(dice: &mut Dice) -> Self {
        let regions = 1 + dice.below(3);
        let count = 2 + dice.below(3);
        let endpoints = (0..count).map(|number| Endpoint::any(number, dice)).collect();
        let mut order: Vec<usize> = (0..count).collect();
        dice.shuffle(&mut order);
        Self {
            regions,
            endpoints,
            failback: dice.pick(&["auto", "manual", "5s"]),
            sticky: dice.chance(0.3),
            slow_start: dice.chance(0.3),
            trickle: dice.chance(0.3),
            min_up: dice.pick(&["1", "2", "\"60%\""]),
            governor: dice.pick(&[None, None, Some(25), Some(50)]),
            order,
        }
    }

    /// The next version: an endpoint comes, goes or moves.
    pub fn changed(&self, dice: &mut Dice) -> Self {
        let mut next = self.clone();
        let number = dice.below(next.endpoints.len());
        let endpoint = &mut next.endpoints[number];
        if number >= ALWAYS_THERE && dice.chance(0.6) {
            endpoint.present = !endpoint.present;
        } else {
            endpoint.moved += 1;
        }
        next
    }

    /// Compiles it, as `edit` makes of the text.
    pub fn version(self, number: usize, edit: impl Fn(String) -> String) -> Version {
        let steering = edit(self.text());
        let sources = Sources {
            zones: vec![Source::new("example.org.zone", ZONE)],
            steering: vec![Source::new("example.org.toml", &steering)],
        };
        let (spec, mut found) = spec::parse(&sources, &|_, _| Err("nothing to include".into()));
        let (plan, more) = compile(&spec, &Arc::new(Facts::none()), Duration::from_secs(2));
        found.extend(more);
        found.retain(|found| found.severity == Severity::Error);
        assert!(found.is_empty(), "{found:#?}\n{steering}");
        Version { number, sketch: self, plan: Arc::new(plan.expect("without errors there is a plan")) }
    }

    /// The endpoints of this version, with their numbers.
    pub fn present(&self) -> impl Iterator<Item = (usize, &Endpoint)> {
        self.endpoints.iter().enumerate().filter(|(_, endpoint)| endpoint.present)
    }

    /// Endpoints that the fenced pool has for clients of a region.
    pub fn fenced_in(&self, region: usize) -> impl Iterator<Item = usize> {
        self.present().map(|(number, _)| number).filter(move |number| number % self.regions == region)
    }

    fn text(&self) -> String {
        let mut text = MONITORS.to_owned();
        if let Some(percent) = self.governor {
            let within = GOVERNED_WITHIN.as_secs();
            text += &format!("[governor]\nwithdraw_max = \"{percent}%\"\nwithin = \"{within}s\"\n");
        }
        for region in 0..self.regions {
            let default = region == 0;
            text += &format!(
                "[regions.r{region}]\nat = [{}, {}]\nclients = [\"net:10.{region}.0.0/16\", \"net:2001:db8:{region}::/48\"]\ndefault = {default}\n",
                10 * region,
                40 * region,
            );
        }
        for (number, endpoint) in self.present() {
            text += &endpoint.text(number, number % self.regions);
        }
        let names = |numbers: &mut dyn Iterator<Item = usize>| -> String {
            let names: Vec<String> = numbers.map(|number| format!("\"e{number}\"")).collect();
            names.join(", ")
        };
        let there = |number: &usize| self.endpoints[*number].present;
        let all = names(&mut self.present().map(|(number, _)| number));
        let order = names(&mut self.order.iter().copied().filter(there));
        let weighted: Vec<String> = self.present().map(|(number, _)| weighted(number)).collect();
        let geo: Vec<String> = self.present().map(|(number, _)| ruled(number, self.regions)).collect();
        let Self { failback, sticky, min_up, .. } = self;
        let (trickle, weighted, geo) =
            (if self.trickle { 0.2 } else { 0.0 }, weighted.join(", "), geo.join(", "));
        let slow_start = if self.slow_start { "slow_start = \"4s\"" } else { "" };
        text += &format!(
            r#"
[pools.near]
policy = "nearest"
members = [{all}]
[pools.first]
policy = "failover"
members = [{order}]
failback = "{failback}"
trickle = {trickle}
[pools.share]
policy = "weighted"
members = [{weighted}]
sticky = {sticky}
min_up = {min_up}
{slow_start}
[pools.every]
policy = "all"
members = [{all}]
[pools.fenced]
policy = "geo"
members = [{geo}]
fence = true
on_down = "nodata"
[pools.lawful]
policy = "geo"
members = [{geo}, {{ use = "nest", default = true }}]
[pools.nest]
policy = "failover"
members = ["share", "e0"]
fallback = "near"
"#
        );
        for pool in POOLS {
            text += &format!("[names.{pool}]\npool = \"{pool}\"\n");
        }
        text
    }
}

impl Endpoint {
    fn any(number: usize, dice: &mut Dice) -> Self {
        let monitors: [&[Check]; 4] =
            [&[Check::Web], &[Check::Web, Check::Deep], &[Check::Web, Check::Deep], &[]];
        let monitors = if number < ALWAYS_THERE { monitors[1] } else { dice.pick(&monitors) };
        Self {
            present: number < ALWAYS_THERE || dice.chance(0.8),
            v6: dice.chance(0.5),
            monitors,
            any: monitors.len() > 1 && dice.chance(0.3),
            damped: !monitors.is_empty() && number != STEADY && dice.chance(0.3),
            moved: 0,
        }
    }

    pub fn families(&self) -> impl Iterator<Item = Family> + use<> {
        let v6 = self.v6;
        Family::BOTH.into_iter().filter(move |family| *family == Family::V4 || v6)
    }

    /// Where it is, by its number.
    pub fn address(&self, number: usize, family: Family) -> IpAddr {
        match family {
            Family::V4 => Ipv4Addr::new(192, 0, self.moved, number as u8).into(),
            Family::V6 => Ipv6Addr::new(0x3fff, self.moved.into(), 0, 0, 0, 0, 0, number as u16).into(),
        }
    }

    fn text(&self, number: usize, region: usize) -> String {
        let mut text = format!("[endpoints.e{number}]\nregion = \"r{region}\"\n");
        for family in self.families() {
            text += &format!("{family} = \"{}\"\n", self.address(number, family));
        }
        let monitors: Vec<String> = match self.any {
            true => vec!["\"any\"".into()],
            false => self.monitors.iter().map(|check| format!("\"{}\"", check.name())).collect(),
        };
        text += &format!("monitors = [{}]\n", monitors.join(", "));
        text + if self.damped { FLAP } else { "" }
    }
}

impl Check {
    pub fn name(self) -> &'static str {
        match self {
            Check::Web => "web",
            Check::Deep => "deep",
        }
    }

    pub fn called(name: &str) -> Self {
        if name == "web" { Check::Web } else { Check::Deep }
    }
}

/// The number of the endpoint that has, or had, an address.
pub fn endpoint_at(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(address) => address.octets()[3].into(),
        IpAddr::V6(address) => address.segments()[7].into(),
    }
}

/// A client of a region.
pub fn client_in(region: usize, luck: u64) -> IpAddr {
    match luck & 1 {
        0 => Ipv4Addr::new(10, region as u8, (luck >> 8) as u8, (luck >> 16) as u8).into(),
        _ => Ipv6Addr::new(0x2001, 0xdb8, region as u16, (luck >> 8) as u16, 0, 0, 0, 1).into(),
    }
}

/// Every name is called as its pool.
pub const POOLS: [&str; 7] = ["near", "first", "share", "every", "fenced", "lawful", "nest"];

/// Of all endpoints the first so many never leave the plan, and are checked by both monitors: no pool is ever empty.
pub const ALWAYS_THERE: usize = 2;

/// The endpoint that never really fails.
pub const STEADY: usize = 0;

/// Who was taken out no longer ago is counted by the governor: short, so that it ends before the world does.
pub const GOVERNED_WITHIN: Duration = Duration::from_secs(4);

/// In percent, of both monitors.
pub const QUORUM: u32 = 75;

fn weighted(number: usize) -> String {
    format!("{{ use = \"e{number}\", weight = {} }}", (number + 1) % 3)
}

fn ruled(number: usize, regions: usize) -> String {
    format!("{{ use = \"e{number}\", regions = [\"r{}\"] }}", number % regions)
}

/// Short, so that it ends before the world does.
const FLAP: &str = "flap = { changes = 3, within = \"8s\", hold = \"3s\" }\n";

const MONITORS: &str = r#"
[monitors.web]
type = "tcp"
port = 80
interval = "2s"
recheck = "500ms"
timeout = "400ms"
fall = 2
quorum = "75%"
[monitors.deep]
type = "tcp"
port = 81
interval = "3s"
recheck = "700ms"
timeout = "400ms"
fall = 3
rise = 3
quorum = "75%"
[monitors.any]
type = "group"
monitors = ["web", "deep"]
need = 1
"#;

const ZONE: &str = "$TTL 300\n@ SOA ns1 host 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.53\n";
