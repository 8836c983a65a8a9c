//! What is wrong with a zone: every rule looks at all of it, none stops another.

use std::collections::HashSet;

use domain::base::iana::Rtype;

use crate::plan::zone::gather::{Gathered, Owner, Spot};
use crate::plan::zone::name::{ancestors, is_wildcard, is_within, show};
use crate::spec::diagnostic::Place;
use crate::spec::master::{Record, ZoneFile};
use crate::spec::{Diagnostic, Severity};

/// Checks a zone in which some names (lower case, wire form) will be steered; says which of its records, by
/// number, are not served.
pub(super) fn check<'f>(
    gathered: &Gathered<'f>,
    to_steer: &HashSet<Box<[u8]>>,
    findings: &mut Findings<'f, '_>,
) -> Vec<bool> {
    let dropped = vec![false; gathered.file.len()];
    let mut check = Check { gathered, to_steer, findings, dropped, seen: HashSet::new() };
    check.apex();
    for owner in &gathered.owners {
        check.owner(owner);
    }
    check.dropped
}

struct Check<'g, 'f, 'd> {
    gathered: &'g Gathered<'f>,
    to_steer: &'g HashSet<Box<[u8]>>,
    findings: &'g mut Findings<'f, 'd>,
    dropped: Vec<bool>,
    /// The RDATA of the set that is looked at.
    seen: HashSet<&'f [u8]>,
}

impl<'f> Check<'_, 'f, '_> {
    fn apex(&mut self) {
        let apex = self.gathered.apex();
        let zone = show(apex.name);
        if !apex.has_soa() {
            let hint = "every zone starts with one: `@ SOA ns1 hostmaster 1 1h 15m 2w 5m`";
            self.findings.whole_file("no-soa", format!("`{zone}` has no SOA record"), hint);
        }
        if !apex.has_ns() {
            let hint = "name the servers that answer for it: `@ NS ns1.example.net.`";
            self.findings.whole_file("no-ns", format!("`{zone}` has no NS record"), hint);
        }
    }

    fn owner(&mut self, owner: &Owner<'f>) {
        let gathered = self.gathered;
        let mut rest = gathered.numbers(owner);
        while let Some(&first) = rest.first() {
            let rtype = gathered.file.record(first as usize).rtype;
            let same = |number: &&u32| gathered.file.record(**number as usize).rtype == rtype;
            let (set, others) = rest.split_at(rest.iter().take_while(same).count());
            if set.len() > 1 {
                self.set(set);
            }
            rest = others;
        }
        if owner.has_cname() {
            self.cname_is_alone(owner);
        }
        if owner.has_soa() && owner.name != gathered.apex().name {
            self.soa_elsewhere(owner);
        }
        if is_wildcard(owner.name) {
            self.wildcard(owner);
        }
        if owner.has_dname() {
            self.dname_leads_away(owner);
        }
        if owner.above.get().is_some() {
            self.not_ours(owner);
        } else if owner.has_mail_or_service() {
            self.targets_are_no_aliases(owner);
        }
        if owner.has_ns() {
            self.servers_have_addresses(owner);
        }
    }

    /// Rules about the records of one owner and type, of which there are several.
    fn set(&mut self, numbers: &[u32]) {
        let file = self.gathered.file;
        let first = file.record(numbers[0] as usize);
        self.seen.clear();
        let mut octets = 0;
        let mut told = false;
        for &number in numbers {
            let record = file.record(number as usize);
            if !self.seen.insert(record.rdata) {
                self.dropped[number as usize] = true;
                self.findings.tell("duplicate-record", || {
                    let message =
                        format!("`{}` has this {} record already", show(record.owner), word(&record));
                    warning("duplicate-record", file, &record, message).hint("remove one of them")
                });
                continue;
            }
            octets += record.rdata.len() + RECORD_HEADER;
            if octets > SET_MAX {
                self.dropped[number as usize] = true;
                self.findings.tell("set-too-large", || too_large(file, &record));
            }
            if record.ttl != first.ttl && !told {
                told = true;
                self.findings.tell("ttl-differs", || ttls_differ(file, &first, &record));
            }
        }
        if let Some((code, message)) = only_one(&first, self.seen.len()) {
            let second = file.record(numbers[1] as usize);
            for &number in &numbers[1..] {
                self.dropped[number as usize] = true;
            }
            self.findings.tell(code, || {
                error(code, file, &second, message).and(file.place(&first), "the first is here")
            });
        }
    }

    /// RFC 1034 section 3.6.2, but for what DNSSEC puts beside it (RFC 4034).
    fn cname_is_alone(&mut self, owner: &Owner<'f>) {
        let file = self.gathered.file;
        let company = |record: &Record<'_>| {
            !matches!(Rtype::from_int(record.rtype), Rtype::CNAME | Rtype::RRSIG | Rtype::NSEC)
        };
        let other = self.gathered.records(owner).map(|(_, record)| record).find(company);
        let cname = self.gathered.of_type(owner, Rtype::CNAME).next();
        let (Some(cname), Some(other)) = (cname, other) else { return };
        self.findings.tell("cname-with-data", || {
            let message = format!("`{}` has a CNAME beside other records", show(owner.name));
            error("cname-with-data", file, &cname, message)
                .and(file.place(&other), format!("this {} record", word(&other)))
                .hint("a name with a CNAME can have nothing else: remove one of them")
        });
    }

    fn soa_elsewhere(&mut self, owner: &Owner<'f>) {
        let gathered = self.gathered;
        for (number, record) in gathered.records(owner) {
            if Rtype::from_int(record.rtype) != Rtype::SOA {
                continue;
            }
            self.dropped[number] = true;
            self.findings.tell("soa-not-at-apex", || {
                let (name, zone) = (show(owner.name), show(gathered.apex().name));
                let message = format!("a SOA at `{name}`, but the zone is `{zone}`");
                error("soa-not-at-apex", gathered.file, &record, message)
                    .hint("the name of the file is the name of the zone; another zone goes into another file")
            });
        }
    }

    /// RFC 4592 sections 4.2 and 4.4 leave open what these mean.
    fn wildcard(&mut self, owner: &Owner<'f>) {
        let file = self.gathered.file;
        let of = |rtype| self.gathered.of_type(owner, rtype).next();
        if let Some(record) = of(Rtype::NS).filter(|_| owner.has_ns()) {
            self.findings.tell("wildcard-ns", || {
                let message = format!("NS at `{}` does not delegate", show(owner.name));
                let hint = "a wildcard cannot delegate (RFC 4592 section 4.2): delegate each name";
                warning("wildcard-ns", file, &record, message).hint(hint)
            });
        }
        if let Some(record) = of(Rtype::DNAME).filter(|_| owner.has_dname()) {
            self.findings.tell("wildcard-dname", || {
                let message = format!("DNAME at `{}` redirects no name that it matches", show(owner.name));
                let hint = "put it at a name without an asterisk (RFC 4592 section 4.4)";
                warning("wildcard-dname", file, &record, message).hint(hint)
            });
        }
    }

    /// A DNAME to its own owner, or to a name below it, redirects what it has redirected without end.
    fn dname_leads_away(&mut self, owner: &Owner<'f>) {
        let file = self.gathered.file;
        for record in self.gathered.of_type(owner, Rtype::DNAME) {
            if is_within(&record.rdata.to_ascii_lowercase(), owner.name) {
                self.findings.tell("dname-loop", || {
                    let message = format!(
                        "the DNAME of `{}` redirects to `{}`, which it redirects again",
                        show(owner.name),
                        show(record.rdata)
                    );
                    error("dname-loop", file, &record, message)
                        .hint("its target must be a name that is not below its owner")
                });
            }
        }
    }

    /// Records at or below a cut, or below a DNAME: others speak for those names.
    fn not_ours(&mut self, owner: &Owner<'f>) {
        let gathered = self.gathered;
        let Some(above) = owner.above.get().map(|above| &gathered.owners[above as usize]) else { return };
        for (number, record) in gathered.records(owner) {
            let rtype = Rtype::from_int(record.rtype);
            if above.is_cut() {
                let at_cut = owner.name == above.name
                    && matches!(rtype, Rtype::NS | Rtype::DS | Rtype::NSEC | Rtype::RRSIG);
                let glue = owner.serves && matches!(rtype, Rtype::A | Rtype::AAAA);
                if !at_cut && !glue {
                    self.dropped[number] = true;
                    self.below_delegation(&record, above);
                }
            } else {
                self.dropped[number] = true;
                self.below_dname(&record, above);
            }
        }
    }

    fn below_delegation(&mut self, record: &Record<'f>, cut: &Owner<'f>) {
        let gathered = self.gathered;
        self.findings.tell("below-delegation", || {
            let (name, cut_name) = (show(record.owner), show(cut.name));
            let message = format!("{} of `{name}` is not served: `{cut_name}` is delegated", word(record));
            let diagnostic = warning("below-delegation", gathered.file, record, message)
                .hint("it belongs into the delegated zone; only addresses of name servers are needed here");
            match gathered.of_type(cut, Rtype::NS).next() {
                Some(ns) => diagnostic.and(gathered.file.place(&ns), "delegated here"),
                None => diagnostic,
            }
        });
    }

    /// RFC 6672 section 2.4.
    fn below_dname(&mut self, record: &Record<'f>, above: &Owner<'f>) {
        let gathered = self.gathered;
        self.findings.tell("dname-with-data-below", || {
            let (name, top) = (show(record.owner), show(above.name));
            let message = format!("`{name}` is below `{top}`, whose DNAME redirects all names below it");
            let diagnostic = error("dname-with-data-below", gathered.file, record, message)
                .hint("remove the DNAME, or all records below it (RFC 6672 section 2.4)");
            match gathered.of_type(above, Rtype::DNAME).next() {
                Some(dname) => diagnostic.and(gathered.file.place(&dname), "the DNAME is here"),
                None => diagnostic,
            }
        });
    }

    /// RFC 2181 section 10.3.
    fn targets_are_no_aliases(&mut self, owner: &Owner<'f>) {
        let gathered = self.gathered;
        for (_, record) in gathered.records(owner) {
            let target = match Rtype::from_int(record.rtype) {
                Rtype::MX => record.rdata.get(2..),
                Rtype::SRV => record.rdata.get(6..),
                _ => None,
            };
            let Some(target) = target else { continue };
            if self.server(target) == Server::Alias {
                self.alias(&record, target);
            }
        }
    }

    /// The servers of this zone and of those delegated: what is within must have an address here.
    fn servers_have_addresses(&mut self, owner: &Owner<'f>) {
        let gathered = self.gathered;
        for record in gathered.of_type(owner, Rtype::NS) {
            match self.server(record.rdata) {
                Server::Elsewhere | Server::Address => {}
                Server::Nothing if self.will_be_steered(record.rdata) => {}
                Server::Alias => self.alias(&record, record.rdata),
                Server::Nothing => self.findings.tell("no-address", || {
                    let message = format!("name server `{}` has no A or AAAA record", show(record.rdata));
                    error("no-address", gathered.file, &record, message)
                        .hint("add its address to this zone, or name a server that is elsewhere")
                }),
                Server::NoGlue => {
                    if is_within(&record.rdata.to_ascii_lowercase(), owner.name) {
                        self.findings.tell("missing-glue", || missing_glue(gathered.file, &record, owner));
                    }
                }
            }
        }
    }

    /// Whether steering will answer for a host, by its name or by a wildcard above it.
    fn will_be_steered(&self, host: &[u8]) -> bool {
        let host = host.to_ascii_lowercase();
        let wildcard = |above: &[u8]| self.to_steer.contains(&*[b"\x01*", above].concat());
        self.to_steer.contains(&*host) || ancestors(&host).any(wildcard)
    }

    fn alias(&mut self, record: &Record<'f>, target: &[u8]) {
        let file = self.gathered.file;
        self.findings.tell("target-is-alias", || {
            let message = format!("{} points at `{}`, which is a CNAME", word(record), show(target));
            let hint = "some resolvers do not follow it (RFC 2181 section 10.3): name the host itself";
            warning("target-is-alias", file, record, message).hint(hint)
        });
    }

    /// What the zone knows of a host.
    fn server(&self, host: &[u8]) -> Server {
        let (gathered, exact) = (self.gathered, |owner: &Owner<'_>| match () {
            () if owner.has_address() => Server::Address,
            () if owner.has_cname() => Server::Alias,
            () => Server::Nothing,
        });
        let below_dname = |owner: &Owner<'_>| {
            let above = owner.above.get().map(|above| &gathered.owners[above as usize]);
            above.map(|above| !above.is_cut())
        };
        match gathered.find(host) {
            None => Server::Elsewhere,
            Some(Spot::Exact(owner)) => match below_dname(owner) {
                None => exact(owner),
                Some(true) => Server::Alias,
                Some(false) if owner.has_address() => Server::Address,
                Some(false) => Server::NoGlue,
            },
            Some(Spot::Below(encloser)) => match below_dname(encloser) {
                Some(true) => Server::Alias,
                Some(false) => Server::NoGlue,
                None if encloser.has_dname() => Server::Alias,
                None => gathered.wildcard(encloser).map_or(Server::Nothing, exact),
            },
        }
    }
}

/// What a zone knows of a host that a record names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// It is not within the zone.
    Elsewhere,
    Address,
    /// A CNAME, or below a DNAME.
    Alias,
    /// It is within what we serve, and has no address.
    Nothing,
    /// It is within what is delegated, and the zone has no address of it.
    NoGlue,
}

/// Takes what is found about one file, and says only the first few of a kind: a zone of a million records
/// can be wrong a million times.
pub(super) struct Findings<'f, 'd> {
    file: &'f ZoneFile,
    found: &'d mut Vec<Diagnostic>,
    counts: Vec<(&'static str, Severity, usize)>,
}

impl<'f, 'd> Findings<'f, 'd> {
    /// More of one kind are counted, not shown.
    const SHOWN_MAX: usize = 20;

    pub(super) fn new(file: &'f ZoneFile, found: &'d mut Vec<Diagnostic>) -> Self {
        Self { file, found, counts: Vec::new() }
    }

    /// Says something about a record.
    pub(super) fn tell(&mut self, code: &'static str, diagnostic: impl FnOnce() -> Diagnostic) {
        if let Some((_, _, count)) = self.counts.iter_mut().find(|(kind, ..)| *kind == code) {
            *count += 1;
            if *count <= Self::SHOWN_MAX {
                self.found.push(diagnostic());
            }
            return;
        }
        let diagnostic = diagnostic();
        self.counts.push((code, diagnostic.severity, 1));
        self.found.push(diagnostic);
    }

    /// Says something about the file as a whole.
    pub(super) fn whole_file(&mut self, code: &'static str, message: String, hint: &str) {
        let place = Place::new(&self.file.sources[0], 0..0);
        self.found.push(Diagnostic::error(code, place, message).hint(hint));
    }

    /// A record that is not within the zone.
    pub(super) fn outside(&mut self, record: &Record<'f>) {
        let file = self.file;
        self.tell("out-of-zone", || {
            let message = format!("`{}` is not in the zone `{}`", show(record.owner), file.origin);
            let hint = "the name of the file is the name of the zone; did $ORIGIN or a name lose its dot, or gain one?";
            error("out-of-zone", file, record, message).hint(hint)
        });
    }

    /// Says how much was not shown.
    pub(super) fn finish(self) {
        for (code, severity, count) in self.counts {
            let Some(more) = count.checked_sub(Self::SHOWN_MAX).filter(|more| *more > 0) else { continue };
            let message = format!("{}: {more} more like this", self.file.sources[0].file);
            self.found.push(Diagnostic { severity, ..Diagnostic::general(code, message) });
        }
    }
}

/// A code and a message if a set that must have one record has more.
fn only_one(first: &Record<'_>, records: usize) -> Option<(&'static str, String)> {
    let (code, of) = match Rtype::from_int(first.rtype) {
        Rtype::SOA => ("two-soas", "SOA"),
        Rtype::CNAME => ("two-cnames", "CNAME"),
        Rtype::DNAME => ("two-dnames", "DNAME"),
        _ => return None,
    };
    let message = format!("`{}` has {records} {of} records, and may have one", show(first.owner));
    (records > 1).then_some((code, message))
}

fn too_large(file: &ZoneFile, record: &Record<'_>) -> Diagnostic {
    let message = format!("the {} records of `{}` do not fit a message", word(record), show(record.owner));
    error("set-too-large", file, record, message)
        .hint(format!("{SET_MAX} octets of one type are the most that can be answered"))
}

/// RFC 2181 section 5.2.
fn ttls_differ(file: &ZoneFile, first: &Record<'_>, other: &Record<'_>) -> Diagnostic {
    let message = format!("the {} records of `{}` have different TTLs", word(first), show(first.owner));
    warning("ttl-differs", file, other, message)
        .and(file.place(first), "another TTL here")
        .hint("records of one name and type have one TTL: the lowest is used")
}

fn missing_glue(file: &ZoneFile, record: &Record<'_>, cut: &Owner<'_>) -> Diagnostic {
    let (server, cut) = (show(record.rdata), show(cut.name));
    let message = format!("`{server}` serves `{cut}`, but its address is missing here");
    error("missing-glue", file, record, message)
        .hint(format!("nobody can find it without: add `{server}. A ...` or `{server}. AAAA ...`"))
}

fn error(code: &'static str, file: &ZoneFile, record: &Record<'_>, message: String) -> Diagnostic {
    Diagnostic::error(code, file.place(record), message)
}

fn warning(code: &'static str, file: &ZoneFile, record: &Record<'_>, message: String) -> Diagnostic {
    Diagnostic::warning(code, file.place(record), message)
}

fn word(record: &Record<'_>) -> Rtype {
    Rtype::from_int(record.rtype)
}

/// Octets that the records of one set may take in a message, which has 65,535 in all. What is beyond is an
/// error, and not served.
const SET_MAX: usize = 65_000;

/// Of each record in a message: a pointer to its owner, type, class, TTL and length.
const RECORD_HEADER: usize = 2 + 2 + 2 + 4 + 2;

#[cfg(test)]
mod tests {
    use crate::model::Name;
    use crate::plan::zone::Builder;
    use crate::spec::{Source, master};

    /// The codes of what is found in a zone `example.org` with these records.
    fn codes(records: &str, steered: &[&str]) -> Vec<&'static str> {
        let text = format!("$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns.example.net.\n{records}\n");
        let mut found = Vec::new();
        let source = Source::new("example.org.zone", &text);
        let file = master::parse(&source, &|_, _| Err("nothing to include".into()), &mut found);
        let names = steered.iter().map(|name| name.parse::<Name>().expect("a name"));
        Builder::for_steering(names).add(&file.expect("a zone"), &mut found);
        found.iter().map(|found| found.code).collect()
    }

    #[test]
    fn a_dname_at_or_above_its_own_target_is_an_error() {
        assert_eq!(codes("d DNAME d", &[]), ["dname-loop"]);
        assert_eq!(codes("d DNAME a.D", &[]), ["dname-loop"]);
        assert_eq!(codes("a.d DNAME d", &[]), [] as [&str; 0]);
    }

    #[test]
    fn a_name_server_without_an_address_is_an_error() {
        assert_eq!(codes("@ NS ns1", &[]), ["no-address"]);
    }

    #[test]
    fn a_name_server_that_is_steered_needs_no_address_in_the_zone_file() {
        assert_eq!(codes("@ NS Ns1", &["ns1.example.org"]), [] as [&str; 0]);
        assert_eq!(codes("@ NS ns1.dns", &["*.dns.example.org"]), [] as [&str; 0]);
        assert_eq!(codes("@ NS ns1", &["ns2.example.org"]), ["no-address"]);
    }
}
