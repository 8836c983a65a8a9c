//! Lookup again, as slow and as plain as RFC 1034 section 4.3.2 can be told: no tables, no trees, a scan over
//! all records for each step. What random small zones answer must be the same.

use proptest::prelude::*;

use crate::answer::tests::world::{ask, unchecked};

/// A name as its labels, without the root.
type Labels = Vec<String>;

#[derive(Clone, Debug)]
struct Record {
    owner: Labels,
    rtype: &'static str,
    /// The name that it points at, if it does.
    target: Option<Labels>,
    data: String,
}

#[derive(Clone, Debug)]
struct Zone {
    apex: Labels,
    records: Vec<Record>,
}

/// All zones, and the answer to one question in the making.
struct Reference<'z> {
    zones: &'z [Zone],
    qtype: &'z str,
    rcode: &'static str,
    authoritative: bool,
    sections: [Vec<String>; 3],
    /// The owners of the aliases that were followed.
    been: Vec<Labels>,
}

impl<'z> Reference<'z> {
    fn answer(zones: &'z [Zone], qname: &Labels, qtype: &'z str) -> String {
        let (sections, been) = (Default::default(), Vec::new());
        let mut reference = Self { zones, qtype, rcode: "NOERROR", authoritative: true, sections, been };
        let mut name = qname.clone();
        for _ in 0..=16 {
            match reference.step(&name) {
                Some(target) => name = target,
                None => break,
            }
        }
        reference.text()
    }

    fn step(&mut self, name: &Labels) -> Option<Labels> {
        let Some(zone) = self.zone(name) else {
            if self.been.is_empty() {
                (self.rcode, self.authoritative) = ("REFUSED", false);
            }
            return None;
        };
        // 3b: down from the apex, a cut or a DNAME ends the authority of the zone
        for depth in zone.apex.len()..=name.len() {
            let node = &name[name.len() - depth..];
            if is_cut(zone, node) && !(node == name && self.qtype == "DS") {
                self.authoritative = !self.sections[0].is_empty();
                return self.refer(zone, node);
            }
            if let Some(dname) = at(zone, node, "DNAME").next().filter(|_| node != name) {
                return self.redirect(dname, name);
            }
        }
        // 3a and 3c: the name itself, or the wildcard below its closest encloser
        let node: Labels = if self.exists(zone, name) {
            name.clone()
        } else {
            let encloser = (1..=name.len()).map(|drop| &name[drop..]).find(|node| self.exists(zone, node));
            let wildcard = [&["*".to_owned()], encloser.expect("the apex exists")].concat();
            if !self.exists(zone, &wildcard) {
                self.rcode = "NXDOMAIN";
                self.negative(zone);
                return None;
            }
            wildcard
        };
        self.records(zone, &node, name)
    }

    fn records(&mut self, zone: &'z Zone, node: &[String], name: &Labels) -> Option<Labels> {
        let wanted = if self.qtype == "ANY" { smallest(zone, node) } else { Some(self.qtype) };
        let set: Vec<&Record> = wanted.into_iter().flat_map(|rtype| at(zone, node, rtype)).collect();
        if !set.is_empty() {
            self.push(0, name, &set);
            if wanted == Some("NS") {
                self.glue(zone, &set);
            }
            return None;
        }
        let ours = !is_cut(zone, node); // of a cut, only what is asked for with DS
        let Some(cname) = at(zone, node, "CNAME").next().filter(|_| ours) else {
            self.negative(zone);
            return None;
        };
        self.push(0, name, &[cname]);
        self.been.push(name.clone());
        cname.target.clone().filter(|target| !self.been.contains(target))
    }

    fn redirect(&mut self, dname: &Record, name: &Labels) -> Option<Labels> {
        let line = line(&dname.owner, dname);
        if !self.sections[0].contains(&line) {
            self.sections[0].push(line);
        }
        let kept = &name[..name.len() - dname.owner.len()];
        let target = [kept, dname.target.as_deref().unwrap_or_default()].concat();
        self.sections[0].push(format!("{}. 60 CNAME {}.", name.join("."), target.join(".")));
        self.been.push(name.clone());
        let followed = !["CNAME", "ANY"].contains(&self.qtype);
        Some(target).filter(|target| followed && !self.been.contains(target))
    }

    fn refer(&mut self, zone: &'z Zone, cut: &[String]) -> Option<Labels> {
        let servers: Vec<&Record> = at(zone, cut, "NS").collect();
        self.push(1, cut, &servers);
        self.glue(zone, &servers);
        None
    }

    fn glue(&mut self, zone: &'z Zone, servers: &[&Record]) {
        for target in servers.iter().filter_map(|server| server.target.as_ref()) {
            let ours = self.deepest(target).is_some_and(|found| found.apex == zone.apex);
            if ours && !below_dname(zone, target) {
                let addresses: Vec<&Record> = at(zone, target, "A").collect();
                self.push(2, target, &addresses);
            }
        }
    }

    fn negative(&mut self, zone: &'z Zone) {
        let soa: Vec<&Record> = at(zone, &zone.apex, "SOA").collect();
        self.push(1, &zone.apex, &soa);
    }

    fn push(&mut self, section: usize, owner: &[String], records: &[&Record]) {
        self.sections[section].extend(records.iter().map(|record| line(owner, record)));
    }

    /// The deepest zone that a name is in; for DS at an apex the one around it.
    fn zone(&self, name: &Labels) -> Option<&'z Zone> {
        let around = || self.deepest(&name[1..]);
        let deepest = self.deepest(name)?;
        if self.qtype == "DS" && deepest.apex == *name { around().or(Some(deepest)) } else { Some(deepest) }
    }

    fn deepest(&self, name: &[String]) -> Option<&'z Zone> {
        self.zones.iter().filter(|zone| name.ends_with(&zone.apex)).max_by_key(|zone| zone.apex.len())
    }

    /// A name exists if it, or one below it, has records or is an apex.
    fn exists(&self, zone: &Zone, name: &[String]) -> bool {
        zone.records.iter().any(|record| record.owner.ends_with(name))
            || self.zones.iter().any(|zone| zone.apex.ends_with(name))
    }

    fn text(mut self) -> String {
        self.sections.iter_mut().for_each(|section| section.sort());
        let aa = if self.authoritative { " aa" } else { "" };
        format!("{}{aa} {:?}", self.rcode, self.sections)
    }
}

fn at<'r>(zone: &'r Zone, node: &[String], rtype: &str) -> impl Iterator<Item = &'r Record> {
    zone.records.iter().filter(move |record| record.owner == node && record.rtype == rtype)
}

fn is_cut(zone: &Zone, node: &[String]) -> bool {
    let wildcard = node.first().is_some_and(|label| label == "*");
    node.len() > zone.apex.len() && !wildcard && at(zone, node, "NS").next().is_some()
}

/// Whether the first that ends the authority of the zone on the way down is a DNAME.
fn below_dname(zone: &Zone, name: &[String]) -> bool {
    for depth in zone.apex.len()..name.len() {
        let node = &name[name.len() - depth..];
        if is_cut(zone, node) {
            return false;
        }
        if at(zone, node, "DNAME").next().is_some() {
            return true;
        }
    }
    false
}

/// The type whose records take the fewest octets, the lowest number first.
fn smallest<'r>(zone: &'r Zone, node: &[String]) -> Option<&'r str> {
    let octets = |rtype: &str| -> usize { at(zone, node, rtype).map(|record| 2 + rdata_len(record)).sum() };
    let there = TYPES.iter().filter(|rtype| at(zone, node, rtype).next().is_some());
    there.copied().min_by_key(|rtype| octets(rtype))
}

fn rdata_len(record: &Record) -> usize {
    let name = |labels: &Labels| labels.iter().map(|label| label.len() + 1).sum::<usize>() + 1;
    match (record.rtype, &record.target) {
        ("A", _) => 4,
        ("SOA", _) => 20 + 3 + 3,
        ("DS", _) => 4 + 32,
        ("TXT", _) => record.data.len() - 1,
        ("MX", Some(target)) => 2 + name(target),
        (_, Some(target)) => name(target),
        _ => unreachable!("every type is above"),
    }
}

fn line(owner: &[String], record: &Record) -> String {
    format!("{}. 60 {} {}", owner.join("."), record.rtype, record.data)
}

/// In the order of their numbers.
const TYPES: [&str; 8] = ["A", "NS", "CNAME", "SOA", "MX", "TXT", "DNAME", "DS"];

// Random zones

/// Names over a few labels, so that they meet: below `t`, which is served, and below `u`, which may be.
fn labels() -> impl Strategy<Value = Labels> {
    let label = prop::sample::select(vec!["a", "b", "*"]).prop_map(str::to_owned);
    let top = prop_oneof![8 => Just("t".to_owned()), 1 => Just("u".to_owned())];
    (prop::collection::vec(label, 0..4), top).prop_map(|(below, top)| [below, vec![top]].concat())
}

fn record() -> impl Strategy<Value = Record> {
    let rtype = prop_oneof![
        4 => Just("A"), 2 => Just("NS"), 2 => Just("CNAME"), 1 => Just("MX"), 1 => Just("TXT"), 1 => Just("DNAME"),
        1 => Just("DS"),
    ];
    (labels(), rtype, labels(), 1..4u8).prop_map(|(owner, rtype, target, number)| {
        let (target, data) = match rtype {
            "A" => (None, format!("192.0.2.{number}")),
            "TXT" => (None, format!("\"{}\"", "x".repeat(number.into()))),
            "DS" => (None, format!("{number} 8 2 {}", "00".repeat(32))),
            "MX" => (Some(target.clone()), format!("10 {}.", target.join("."))),
            _ => (Some(target.clone()), format!("{}.", target.join("."))),
        };
        Record { owner, rtype, target, data }
    })
}

/// One zone, or several, one within another; each has the records within it.
fn zones() -> impl Strategy<Value = Vec<Zone>> {
    let apexes =
        prop::sample::select(vec![&["t"][..], &["t", "a.t"], &["b.a.t", "t"], &["t", "u", "a.t", "b.a.t"]]);
    (apexes, prop::collection::vec(record(), 0..14)).prop_map(|(apexes, records)| {
        let of =
            |apex: &&str| Zone { apex: apex.split('.').map(str::to_owned).collect(), records: Vec::new() };
        let mut zones: Vec<Zone> = apexes.iter().map(of).collect();
        for zone in &mut zones {
            let data = "m. r. 1 2 3 4 60".to_owned();
            zone.records.push(Record { owner: zone.apex.clone(), rtype: "SOA", target: None, data });
            let target = Some(vec!["out".to_owned()]);
            zone.records.push(Record { owner: zone.apex.clone(), rtype: "NS", target, data: "out.".into() });
        }
        for record in records {
            place(&mut zones, record);
        }
        zones
    })
}

/// Puts a record into each zone that its owner is in, unless it is there, or may be there once only.
fn place(zones: &mut [Zone], record: Record) {
    let single = matches!(record.rtype, "CNAME" | "DNAME");
    for zone in zones.iter_mut().filter(|zone| record.owner.ends_with(&zone.apex)) {
        let taken = at(zone, &record.owner, record.rtype).any(|other| single || other.data == record.data);
        if !taken {
            zone.records.push(record.clone());
        }
    }
}

fn master_file(zone: &Zone) -> String {
    zone.records.iter().map(|record| line(&record.owner, record) + "\n").collect()
}

/// Every name over the labels of the zones, and one that nothing is called, up to two below a top; and some
/// that are longer.
fn questions() -> Vec<Labels> {
    let below = |names: &[Labels], labels: &[&str]| -> Vec<Labels> {
        let child = |name: &Labels, label: &str| [&[label.to_owned()], &name[..]].concat();
        names.iter().flat_map(|name| labels.iter().map(move |label| child(name, label))).collect()
    };
    let tops: Vec<Labels> = ["t", "u", "out"].map(|top| vec![top.to_owned()]).to_vec();
    let first = below(&tops, &["a", "b", "*", "z"]);
    let second = below(&first, &["a", "b", "*", "z"]);
    let third = below(&second, &["a", "z"]);
    [tops, first, second, third].concat()
}

/// Sections sorted, as the reference has them.
fn sorted(answer: &str) -> String {
    let mut parts = answer.split(" |");
    let head = parts.next().unwrap_or_default();
    let mut sections: [Vec<String>; 3] = Default::default();
    for (section, part) in sections.iter_mut().zip(parts) {
        section.extend(part.split_terminator(';').map(|record| record.trim().to_owned()));
        section.sort();
    }
    format!("{head} {sections:?}")
}

/// All zones of a case are asked some 800 questions.
const CASES: u32 = 32;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn lookups_agree_with_a_scan_over_all_records(zones in zones()) {
        let files: Vec<(String, String)> =
            zones.iter().map(|zone| (zone.apex.join("."), master_file(zone))).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
        let world = unchecked(&files);
        for name in questions() {
            for qtype in ["A", "NS", "CNAME", "DS", "ANY"] {
                let question = format!("{} {qtype}", name.join("."));
                let (found, wanted) =
                    (sorted(&ask(&world, &question)), Reference::answer(&zones, &name, qtype));
                prop_assert_eq!(found, wanted, "{} of {:#?}", question, files);
            }
        }
    }
}
