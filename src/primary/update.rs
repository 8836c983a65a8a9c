//! What an update (RFC 2136) changes of what is served, if it may and its prerequisites hold.
//!
//! ```text
//!   prerequisites --hold?--> entries --are they well formed, allowed?--> applied one by one to the names they speak of
//!                                                                          `--> records gone, records new
//! ```
//!
//! Nothing is changed here: the names are copied as they are needed, and what comes out is the difference. What
//! steering answers with is not for updates to touch: the addresses and aliases of steered names, and in a signed zone
//! whatever belongs to its signatures. Neither is the SOA record: it is the operator's, and numbered by itself.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;

use domain::base::iana::{Class, Rtype};

use crate::dnssec::canonical_rdata;
use crate::plan::Plan;
use crate::plan::zone::Node;
use crate::plan::zone::name::is_within;
use crate::primary::records::{Record, Records};

/// A record of an update: of its prerequisites or of what is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Uncompressed wire form, in lower case.
    pub owner: Vec<u8>,
    /// Its type, perhaps ANY.
    pub rtype: u16,
    /// IN, ANY or NONE, which say what is meant.
    pub class: u16,
    /// Seconds.
    pub ttl: u32,
    /// Uncompressed wire form; often empty.
    pub rdata: Vec<u8>,
}

/// An update of a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// What must hold, or nothing is done.
    pub prerequisites: Vec<Entry>,
    /// What is to be done, in this order.
    pub entries: Vec<Entry>,
}

/// What an update does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Records that are gone.
    pub removed: Records,
    /// Records that are new.
    pub added: Records,
}

/// Why an update does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is malformed.
    Malformed,
    /// A name in it is not of the zone.
    NotZone,
    /// A name that should exist does not.
    NoName,
    /// A name that should not exist does.
    Name,
    /// A record set that should be there is not, or not like that.
    NoSet,
    /// A record set that should not be there is.
    Set,
    /// It may not: for this reason.
    NotAllowed(&'static str),
}

/// Whether somebody may change the records of a name (wire form, in lower case) and type.
pub type May<'m> = &'m dyn Fn(&[u8], u16) -> bool;

/// Works out what an update changes of the zone with this apex.
///
/// # Errors
/// Why it changes nothing.
pub fn work_out(plan: &Plan, apex: Node<'_>, update: &Update, may: May<'_>) -> Result<Difference, Refusal> {
    let mut work = Work { plan, apex, may, names: BTreeMap::new() };
    work.require(&update.prerequisites)?;
    update.entries.iter().try_for_each(|entry| work.scan(entry))?;
    update.entries.iter().try_for_each(|entry| work.apply(entry))?;
    Ok(work.difference())
}

/// The record sets of a name, by type.
type Sets = BTreeMap<u16, Set>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Set {
    ttl: u32,
    rdata: Vec<Vec<u8>>,
}

struct Work<'w> {
    plan: &'w Plan,
    apex: Node<'w>,
    may: May<'w>,
    /// The names that were looked at: as they are, and as they will be.
    names: BTreeMap<Vec<u8>, (Sets, Sets)>,
}

impl Work<'_> {
    /// RFC 2136 section 3.2.
    fn require(&mut self, prerequisites: &[Entry]) -> Result<(), Refusal> {
        let mut exactly: BTreeMap<(&[u8], u16), Vec<Vec<u8>>> = BTreeMap::new();
        for entry in prerequisites {
            let Entry { owner, rtype, rdata, .. } = entry;
            if entry.ttl != 0 {
                return Err(Refusal::Malformed);
            }
            let sets = self.sets(owner)?;
            let there = if *rtype == ANY { !sets.is_empty() } else { sets.contains_key(rtype) };
            match entry.class {
                CLASS_ANY if rdata.is_empty() && !there => {
                    return Err(if *rtype == ANY { Refusal::NoName } else { Refusal::NoSet });
                }
                CLASS_NONE if rdata.is_empty() && there => {
                    return Err(if *rtype == ANY { Refusal::Name } else { Refusal::Set });
                }
                CLASS_ANY | CLASS_NONE if rdata.is_empty() => {}
                CLASS_IN if !is_meta(*rtype) => {
                    let canonical = canonical_rdata(*rtype, rdata).into_owned();
                    exactly.entry((owner, *rtype)).or_default().push(canonical);
                }
                _ => return Err(Refusal::Malformed),
            }
        }
        for ((owner, rtype), mut wanted) in exactly {
            let held = self.sets(owner)?.get(&rtype).map_or(&[][..], |set| &set.rdata);
            let mut held: Vec<_> = held.iter().map(|rdata| canonical_rdata(rtype, rdata)).collect();
            held.sort_unstable();
            wanted.sort_unstable();
            wanted.dedup();
            if !held.iter().map(|rdata| &**rdata).eq(wanted.iter().map(|rdata| &rdata[..])) {
                return Err(Refusal::NoSet);
            }
        }
        Ok(())
    }

    /// RFC 2136 section 3.4.1, and whether it may be done.
    fn scan(&mut self, entry: &Entry) -> Result<(), Refusal> {
        let &Entry { rtype, class, ttl, .. } = entry;
        let bare = ttl == 0 && entry.rdata.is_empty();
        let well_formed = match class {
            CLASS_IN => !is_meta(rtype),
            CLASS_ANY => bare && (rtype == ANY || !is_meta(rtype)),
            CLASS_NONE => ttl == 0 && !is_meta(rtype),
            _ => false,
        };
        if !well_formed {
            return Err(Refusal::Malformed);
        }
        let types: Vec<u16> = match rtype {
            ANY => self.sets(&entry.owner)?.keys().copied().collect(),
            rtype => vec![rtype],
        };
        let may = |rtype: &u16| (self.may)(&entry.owner, *rtype);
        if !types.iter().all(may) {
            return Err(Refusal::NotAllowed("this key may not change these records"));
        }
        let kept = types.iter().filter(|rtype| self.keeps(&entry.owner, **rtype)).count();
        // Whatever else is at the name goes; what is not for updates to touch stays. Nobody can take the SOA record
        // away, and whoever tries is not told (RFC 2136 section 3.4.2.3).
        let passed_over = rtype == ANY || (rtype == SOA && class != CLASS_IN);
        if !passed_over && kept > 0 {
            return Err(Refusal::NotAllowed(if rtype == SOA {
                "the SOA record is numbered by the server"
            } else {
                "steering or signing owns these records"
            }));
        }
        self.sets(&entry.owner).map(|_| ())
    }

    /// Whether records are not for updates to touch.
    fn keeps(&self, owner: &[u8], rtype: u16) -> bool {
        let steered = || self.plan.zones.exact(owner).is_some_and(|name| name.steered().is_some());
        match rtype {
            SOA => true,
            A | AAAA | CNAME => steered(),
            _ => self.apex.signed().is_some() && OF_SIGNING.contains(&Rtype::from_int(rtype)),
        }
    }

    /// RFC 2136 section 3.4.2.
    fn apply(&mut self, entry: &Entry) -> Result<(), Refusal> {
        let Entry { owner, rtype, ttl, rdata, .. } = entry;
        let at_apex = owner == self.apex.owner();
        let kept: Vec<u16> = self.sets(owner)?.keys().copied().collect();
        let kept: Vec<u16> = kept.into_iter().filter(|rtype| self.keeps(owner, *rtype)).collect();
        let Some((_, sets)) = self.names.get_mut(owner) else { return Err(Refusal::NotZone) };
        match (entry.class, *rtype) {
            (CLASS_ANY, ANY) => {
                sets.retain(|rtype, _| kept.contains(rtype) || (at_apex && *rtype == NS));
            }
            (CLASS_ANY, NS) if at_apex => {}
            (CLASS_ANY | CLASS_NONE, SOA) => {}
            (CLASS_ANY, rtype) => {
                sets.remove(&rtype);
            }
            (CLASS_NONE, rtype) => {
                if let Some(set) = sets.get_mut(&rtype) {
                    let last_server = at_apex && rtype == NS && set.rdata.len() == 1;
                    set.rdata.retain(|held| last_server || !is_same(rtype, held, rdata));
                }
                sets.retain(|_, set| !set.rdata.is_empty());
            }
            (_, rtype) => put(sets, rtype, *ttl, rdata),
        }
        Ok(())
    }

    /// The record sets of a name, as they will be after what was applied so far.
    fn sets(&mut self, owner: &[u8]) -> Result<&Sets, Refusal> {
        if !is_within(owner, self.apex.owner()) {
            return Err(Refusal::NotZone);
        }
        let (_, sets) = match self.names.entry(owner.to_vec()) {
            Place::Occupied(known) => known.into_mut(),
            Place::Vacant(place) => {
                let sets = read(self.plan, self.apex, owner)?;
                place.insert((sets.clone(), sets))
            }
        };
        Ok(sets)
    }

    fn difference(self) -> Difference {
        let records = |which: fn(&(Sets, Sets)) -> &Sets| -> Records {
            let all = self.names.iter().flat_map(|(owner, both)| {
                which(both).iter().flat_map(move |(rtype, set)| {
                    let record = move |rdata| Record { owner, rtype: *rtype, rdata, ttl: set.ttl };
                    set.rdata.iter().map(|rdata| &rdata[..]).map(record)
                })
            });
            all.collect()
        };
        let (before, after) = (records(|(before, _)| before), records(|(_, after)| after));
        Difference { removed: before.without(&after), added: after.without(&before) }
    }
}

/// What the zone with this apex has at a name within it.
fn read(plan: &Plan, apex: Node<'_>, owner: &[u8]) -> Result<Sets, Refusal> {
    let Some(node) = plan.zones.exact(owner) else {
        // The zone that it would be in is the deepest one that it is below.
        let mut above = crate::plan::zone::name::ancestors(owner).filter_map(|name| plan.zones.exact(name));
        let ours = above.next().is_some_and(|encloser| encloser.same_zone(apex));
        return if ours { Ok(Sets::new()) } else { Err(Refusal::NotZone) };
    };
    let node = if node.same_zone(apex) { Some(node) } else { node.parent_side() };
    let node = node.filter(|node| node.same_zone(apex)).ok_or(Refusal::NotZone)?;
    let set = |set: crate::plan::zone::Set<'_>| {
        (set.rtype, Set { ttl: set.ttl, rdata: set.records().map(<[u8]>::to_vec).collect() })
    };
    Ok(node.sets().map(set).collect())
}

/// Adds a record to those of its name. An alias does not come to other data, nor other data to an alias.
fn put(sets: &mut Sets, rtype: u16, ttl: u32, rdata: &[u8]) {
    let others = sets.keys().any(|held| (*held == CNAME) != (rtype == CNAME));
    if others {
        return;
    }
    let set = sets.entry(rtype).or_default();
    if matches!(rtype, CNAME | DNAME) {
        set.rdata.clear();
    }
    // All records of a set have one TTL (RFC 2181 section 5.2): the latest.
    set.ttl = ttl;
    set.rdata.retain(|held| !is_same(rtype, held, rdata));
    set.rdata.push(rdata.to_vec());
}

fn is_same(rtype: u16, one: &[u8], other: &[u8]) -> bool {
    canonical_rdata(rtype, one) == canonical_rdata(rtype, other)
}

/// Types that no zone can hold (RFC 6895 section 3.1).
fn is_meta(rtype: u16) -> bool {
    rtype == 0 || rtype == OPT || (128..=255).contains(&rtype)
}

/// What belongs to the signatures of a zone.
const OF_SIGNING: [Rtype; 7] =
    [Rtype::DNSKEY, Rtype::CDS, Rtype::CDNSKEY, Rtype::RRSIG, Rtype::NSEC, Rtype::NSEC3, Rtype::NSEC3PARAM];
const A: u16 = Rtype::A.to_int();
const AAAA: u16 = Rtype::AAAA.to_int();
const ANY: u16 = Rtype::ANY.to_int();
const CNAME: u16 = Rtype::CNAME.to_int();
const DNAME: u16 = Rtype::DNAME.to_int();
const NS: u16 = Rtype::NS.to_int();
const OPT: u16 = Rtype::OPT.to_int();
const SOA: u16 = Rtype::SOA.to_int();
const CLASS_IN: u16 = Class::IN.to_int();
const CLASS_NONE: u16 = Class::NONE.to_int();
const CLASS_ANY: u16 = Class::ANY.to_int();

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::geo::Facts;
    use crate::spec::{self, Source, Sources};

    const ZONE: &str = "$TTL 300\n@ SOA ns1 host 1 2 3 4 5\n@ NS ns1\n@ NS ns.example.net.\nns1 A 192.0.2.53\na A 192.0.2.1\na A 192.0.2.2\n\
        a TXT \"x\"\nm MX 10 Mail.Example.org.\nalias CNAME a\nwww TXT \"beside\"\nsub NS ns.sub\nns.sub A 192.0.2.54\n";
    const CHILD: &str = "$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.54\n";
    const STEERING: &str = "zone = \"example.org\"\n[endpoints]\ne = { ipv4 = \"192.0.2.9\" }\n[pools.p]\npolicy = \"all\"\nmembers = [\"e\"]\n\
        [names]\nwww = { pool = \"p\" }\n";

    fn plan() -> Plan {
        let zones = vec![Source::new("example.org.zone", ZONE), Source::new("sub.example.org.zone", CHILD)];
        let sources = Sources { zones, steering: vec![Source::new("example.org.toml", STEERING)] };
        let (spec, found) = spec::parse(&sources, &|_, _| Err("there are no files".into()));
        assert_eq!(found, []);
        let (plan, _) = crate::plan::compile(&spec, &Arc::new(Facts::none()), Duration::from_secs(2));
        plan.expect("a plan")
    }

    /// `CLASS NAME TTL TYPE DATA`, where the class is as in the RFC, and names are below example.org.
    fn entry(text: &str) -> Entry {
        let mut words = text.splitn(5, ' ');
        let mut word = || words.next().unwrap_or_default();
        let class = match word() {
            "ANY" => CLASS_ANY,
            "NONE" => CLASS_NONE,
            "IN" => CLASS_IN,
            _ => 3,
        };
        let name = match word() {
            "@" => "example.org.".to_owned(),
            name if name.ends_with('.') => name.to_owned(),
            name => format!("{name}.example.org."),
        };
        let owner = name.parse::<crate::model::Name>().expect("a name").as_slice().to_ascii_lowercase();
        let ttl = word().parse().expect("a TTL");
        let rtype = match word() {
            "ANY" => ANY,
            word => word.parse::<Rtype>().expect("a type").to_int(),
        };
        let data = word();
        let read = || crate::spec::master::rdata(Rtype::from_int(rtype), data).expect("data");
        Entry { owner, rtype, class, ttl, rdata: if data.is_empty() { Vec::new() } else { read() } }
    }

    fn of(prerequisites: &[&str], entries: &[&str], may: May<'_>) -> Result<Difference, Refusal> {
        let plan = plan();
        let all = |texts: &[&str]| texts.iter().map(|text| entry(text)).collect();
        let update = Update { prerequisites: all(prerequisites), entries: all(entries) };
        let apex = plan.zones.exact(b"\x07example\x03org\x00").expect("a zone");
        work_out(&plan, apex, &update, may)
    }

    /// What is gone and what is new, in short.
    fn changed(entries: &[&str]) -> (Vec<String>, Vec<String>) {
        let Difference { removed, added } = of(&[], entries, &|_, _| true).expect("it may");
        let shown = |records: Records| {
            records
                .iter()
                .map(|record| record.line().replace(".example.org. ", " ").replace(" IN ", " "))
                .collect()
        };
        (shown(removed), shown(added))
    }

    #[test]
    fn records_are_added_replaced_and_deleted_as_rfc_2136_section_3_4_2_says() {
        let a = |last: u8| format!("a 300 A \\# 4 c00002{last:02x}");
        let none: Vec<String> = vec![];
        assert_eq!(changed(&["IN a 300 A 192.0.2.3"]), (none.clone(), vec![a(3)]));
        assert_eq!(changed(&["IN a 300 A 192.0.2.1"]), (none.clone(), none.clone()));
        // One TTL for all of a set.
        let (gone, new) = changed(&["IN a 60 A 192.0.2.1"]);
        assert_eq!((gone, new.len()), (vec![a(1), a(2)], 2));
        assert_eq!(changed(&["NONE a 0 A 192.0.2.1"]).0, [a(1)]);
        assert_eq!(changed(&["ANY a 0 A"]).0, [a(1), a(2)]);
        assert_eq!(changed(&["ANY a 0 ANY"]).0.len(), 3);
        assert_eq!(changed(&["NONE m 0 MX 10 mail.example.ORG."]).0.len(), 1);
        // In their order: what was added is deleted again.
        assert_eq!(changed(&["IN b 300 A 192.0.2.3", "ANY b 0 ANY"]), (none.clone(), none.clone()));
        // Aliases and other data keep away from each other.
        assert_eq!(changed(&["IN alias 300 A 192.0.2.3"]), (none.clone(), none.clone()));
        assert_eq!(changed(&["IN a 300 CNAME b.example.org."]), (none.clone(), none.clone()));
        let (gone, new) = changed(&["IN alias 300 CNAME b.example.org."]);
        assert_eq!((gone.len(), new.len()), (1, 1));
        // The zone stays a zone.
        assert_eq!(changed(&["ANY @ 0 ANY"]), (none.clone(), none.clone()));
        assert_eq!(changed(&["ANY @ 0 NS"]), (none.clone(), none.clone()));
        let last = ["NONE @ 0 NS ns1.example.org.", "NONE @ 0 NS ns.example.net."];
        assert_eq!(changed(&last).0.len(), 1);
        // The delegation is ours, what is below it is not.
        assert_eq!(changed(&["IN sub 300 NS ns2.sub.example.org."]).1.len(), 1);
    }

    #[test]
    fn nothing_is_done_unless_every_prerequisite_holds() {
        let refusal = |prerequisite: &str| of(&[prerequisite], &["IN b 300 A 192.0.2.3"], &|_, _| true).err();
        for holds in ["ANY a 0 ANY", "ANY a 0 TXT", "NONE b 0 ANY", "NONE a 0 AAAA", "IN a 0 TXT \"x\""] {
            assert_eq!(refusal(holds), None, "{holds}");
        }
        for (fails, why) in [
            ("ANY b 0 ANY", Refusal::NoName),
            ("ANY a 0 AAAA", Refusal::NoSet),
            ("NONE a 0 ANY", Refusal::Name),
            ("NONE a 0 A", Refusal::Set),
            ("IN a 0 A 192.0.2.1", Refusal::NoSet),
            ("IN b 0 A 192.0.2.1", Refusal::NoSet),
            ("ANY a 1 ANY", Refusal::Malformed),
            ("ANY a 0 TXT \"x\"", Refusal::Malformed),
            ("IN a 0 ANY", Refusal::Malformed),
            ("CH a 0 A", Refusal::Malformed),
            ("ANY example.net. 0 ANY", Refusal::NotZone),
            ("ANY ns.sub 0 ANY", Refusal::NotZone),
        ] {
            assert_eq!(refusal(fails), Some(why), "{fails}");
        }
        let both = of(&["IN a 0 A 192.0.2.2", "IN a 0 A 192.0.2.1"], &["ANY a 0 A"], &|_, _| true);
        assert!(both.is_ok());
    }

    #[test]
    fn what_is_malformed_not_ours_or_not_allowed_changes_nothing() {
        let refusal = |text: &str| {
            let first = "IN b 300 A 192.0.2.3";
            let may = |name: &[u8], rtype: u16| !name.starts_with(b"\x01z") && rtype != 65399;
            of(&[], &[first, text], &may).err()
        };
        for (text, why) in [
            ("IN a 300 ANY", Refusal::Malformed),
            ("ANY a 1 A", Refusal::Malformed),
            ("NONE a 1 A 192.0.2.1", Refusal::Malformed),
            ("NONE a 0 ANY", Refusal::Malformed),
            ("CH a 0 A 192.0.2.1", Refusal::Malformed),
            ("IN example.net. 300 A 192.0.2.1", Refusal::NotZone),
            ("IN x.sub 300 A 192.0.2.1", Refusal::NotZone),
        ] {
            assert_eq!(refusal(text), Some(why), "{text}");
        }
        for text in [
            "IN www 300 A 192.0.2.1",
            "ANY www 0 AAAA",
            "IN www 300 CNAME a.example.org.",
            "IN @ 300 SOA ns1.example.org. host.example.org. 9 2 3 4 5",
            "IN z 300 A 192.0.2.1",
            "IN a 300 TYPE65399 \\# 0",
        ] {
            assert!(matches!(refusal(text), Some(Refusal::NotAllowed(_))), "{text}");
        }
        // RFC 2136 sections 3.4.2.3 and 3.4.2.4: passed over.
        let soa = "NONE @ 0 SOA ns1.example.org. host.example.org. 1 2 3 4 5";
        assert!(changed(&["ANY @ 0 SOA", soa]).0.is_empty());
        // Beside what steering answers with.
        assert_eq!(changed(&["ANY www 0 ANY"]).0.len(), 1);
        assert_eq!(changed(&["IN www 300 TXT \"y\""]).1.len(), 1);
    }
}
