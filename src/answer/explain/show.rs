//! An explanation as text: whole, and in two lines.
//!
//! ```text
//! www.example.org A from 192.0.2.0/24
//!
//!   NOERROR, scope /24
//!   www.example.org. 15 A 198.51.100.10
//!
//!   client  in eu (net:192.0.2.0/24)
//!   name    in zone example.org
//!   pool    www, nearest
//!           - fra  Down     0 km  1 of 1 probes in eu say down, refused, moving
//!           > iad  Up    6549 km  1 of 1 probes in us say up, 0.4 ms
//!   ttl     15, not 30: fra changed lately or is changing
//! ```

use std::fmt::{self, Formatter};

use crate::answer::explain::words::{DOWN, NOT_DRAWN};
use crate::answer::explain::{Decided, Explanation, Fate, Finding, Lookup, MemberLook, PoolLook, SignedBy};

impl Explanation {
    /// Two lines: the answer, and why.
    ///
    /// ```text
    /// NOERROR 198.51.100.10 ttl 15 scope /24
    /// because: client in eu (net:192.0.2.0/24); pool www nearest: fra is Down in eu, iad is Up
    /// ```
    pub fn short(&self) -> String {
        format!("{}\nbecause: {}\n", self.headline(), self.because())
    }

    fn headline(&self) -> String {
        let mut words = vec![self.result.to_owned()];
        words.extend(self.answer.iter().map(|record| match record.rtype.as_str() {
            alias @ ("CNAME" | "DNAME") => format!("{alias} {}", record.data),
            _ => record.data.clone(),
        }));
        words.extend(self.ttl.map(|ttl| format!("ttl {ttl}")));
        if self.is_scoped() {
            words.push(format!("scope /{}", self.scope));
        }
        words.extend(self.ede.as_ref().map(|ede| format!("EDE {} ({})", ede.code, ede.text)));
        words.join(" ")
    }

    fn because(&self) -> String {
        let mut told = Vec::new();
        if self.is_steered() {
            told.push(format!("client {}", self.place()));
        }
        for lookup in &self.lookups {
            if lookup.decisions.is_empty() || lookup.found == Finding::Wildcard || self.lookups.len() > 1 {
                told.push(lookup.told());
            }
            for Decided { pools, outcome, .. } in &lookup.decisions {
                told.extend(reasons(pools, outcome, &self.client.region));
            }
        }
        told.join("; ")
    }

    /// `in eu (net:192.0.2.0/24)`
    fn place(&self) -> String {
        format!("in {} ({})", self.client.region, self.client.because)
    }

    /// Whether the place of the client had to do with it: by steering, or by a debug name.
    fn is_scoped(&self) -> bool {
        self.is_steered() || self.scope > 0
    }

    fn is_steered(&self) -> bool {
        self.lookups.iter().any(|lookup| !lookup.decisions.is_empty())
    }
}

impl Lookup {
    /// `www.example.org is in zone example.org`
    fn told(&self) -> String {
        format!("{} {}", self.name, self.whereabouts())
    }

    fn whereabouts(&self) -> String {
        let (at, zone) = (self.at.as_deref().unwrap_or_default(), self.zone.as_deref().unwrap_or_default());
        match self.found {
            Finding::Exact => format!("is in zone {zone}"),
            Finding::Wildcard => format!("is matched by {at} of zone {zone}"),
            Finding::Delegated => format!("is delegated at {at} by zone {zone}"),
            Finding::Redirected => format!("is below the DNAME {at} of zone {zone}"),
            Finding::Missing => format!("does not exist in zone {zone}, the closest is {at}"),
            Finding::Outside => "is in no zone served here".into(),
        }
    }
}

/// Why pools chose what they did for clients of a region, pool by pool; and what came of it, if that is not what
/// a member answers.
pub(super) fn reasons(pools: &[PoolLook], outcome: &str, region: &str) -> Vec<String> {
    let chosen = outcome == "chosen" || pools.iter().any(|pool| pool.as_if_up);
    let so = (!chosen).then(|| format!("so {outcome}"));
    pools.iter().map(|pool| pool.told(region)).chain(so).collect()
}

impl PoolLook {
    fn told(&self, region: &str) -> String {
        let told = self.members.iter().filter_map(|member| member.told(region, self.as_if_up));
        let told: Vec<String> = told.chain(self.notes.iter().cloned()).collect();
        let policy = if self.as_if_up { "as if all were up" } else { &self.policy };
        let place = self.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
        format!("pool {} {policy}{place}: {}", self.pool, told.join(", "))
    }
}

impl MemberLook {
    /// `fra is Down in eu`; nothing of those that had no part in it.
    fn told(&self, region: &str, as_if_up: bool) -> Option<String> {
        let name = &self.name;
        let verdict = self.verdict.map_or_else(String::new, |verdict| verdict.to_string());
        match &self.fate {
            Fate::Chosen if as_if_up => Some(name.clone()),
            Fate::Chosen if self.governed => Some(format!("{name} is {verdict} (held back by the governor)")),
            Fate::Chosen => Some(format!("{name} is {verdict}")),
            Fate::Passed { because } if because == DOWN => Some(format!("{name} is {verdict} in {region}")),
            Fate::Passed { because } if because == NOT_DRAWN => None,
            Fate::Passed { because } => Some(format!("{name} {because}")),
            Fate::Unneeded => None,
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Explanation { qtype, client, result, .. } = self;
        writeln!(f, "{} {qtype} from {}\n", self.name.trim_end_matches('.'), client.subnet)?;
        let scope = if self.is_scoped() { format!(", scope /{}", self.scope) } else { String::new() };
        writeln!(f, "  {result}{scope}")?;
        for record in self.answer.iter().chain(&self.authority).chain(&self.additional) {
            writeln!(f, "  {record}")?;
        }
        if let Some(ede) = &self.ede {
            writeln!(f, "  extended error {}: {}", ede.code, ede.text)?;
        }
        for SignedBy { zone, keys } in &self.signed {
            let keys: Vec<String> = keys.iter().map(u16::to_string).collect();
            let s = if keys.len() == 1 { "" } else { "s" };
            writeln!(f, "  signed by {zone} with key{s} {}, for who wants proof", keys.join(", "))?;
        }
        writeln!(f)?;
        if self.is_steered() {
            line(f, "client", &format!("{}, as is all of its /{}", self.place(), client.scope))?;
        }
        for lookup in &self.lookups {
            line(f, "name", &lookup.told())?;
            for decided in &lookup.decisions {
                decided.show(f)?;
            }
        }
        Ok(())
    }
}

impl Decided {
    fn show(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let members = || self.pools.iter().flat_map(|pool| &pool.members);
        let name = members().map(|member| member.name.chars().count()).max().unwrap_or(0);
        let km = members().filter_map(|member| member.km).max().map_or(0, |km| km.to_string().len());
        for pool in &self.pools {
            let how = if pool.as_if_up { ", as if all were up" } else { "" };
            let place = pool.place.as_ref().map(|place| format!(", {place}")).unwrap_or_default();
            line(f, "pool", &format!("{}, {}{how}{place}", pool.pool, pool.policy))?;
            for member in &pool.members {
                line(f, "", &member.shown(name, km))?;
            }
            for note in &pool.notes {
                line(f, "", note)?;
            }
        }
        if self.outcome != "chosen" {
            line(f, "so", self.outcome)?;
        }
        line(f, "ttl", &format!("{}, {}", self.ttl, self.ttl_why))
    }
}

impl MemberLook {
    /// One line, with columns of these widths.
    fn shown(&self, name_width: usize, km_width: usize) -> String {
        let (mark, why) = match &self.fate {
            Fate::Chosen => ('>', ""),
            Fate::Passed { because } if because == DOWN => ('-', ""),
            Fate::Passed { because } => ('-', because.as_str()),
            Fate::Unneeded => (' ', "was not needed"),
        };
        let verdict = self.verdict.map_or_else(|| "-".into(), |verdict| verdict.to_string());
        let km = match self.km {
            Some(km) => format!("  {km:>km_width$} km"),
            None if km_width > 0 => " ".repeat(km_width + 5),
            None => String::new(),
        };
        let notes = [self.evidence.as_str(), why].into_iter().filter(|note| !note.is_empty());
        let notes = notes.collect::<Vec<_>>().join("; ");
        format!("{mark} {:name_width$}  {verdict:<7}{km}  {notes}", self.name)
    }
}

/// A line with a word in front that says what it is about.
fn line(f: &mut Formatter<'_>, about: &str, text: &str) -> fmt::Result {
    writeln!(f, "{}", format!("  {about:<8}{text}").trim_end())
}
