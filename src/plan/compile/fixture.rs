//! For tests of this module: a small world as text, compiled.

use std::sync::Arc;
use std::time::Duration;

use crate::geo::Facts;
use crate::model::{Endpoint, Pool, RegionId};
use crate::plan::Plan;
use crate::spec::{Diagnostic, Severity, Source, Sources};

/// Two regions, a monitor, an endpoint with both families in one, an endpoint with IPv4 in the other, and a
/// host name.
pub const WORLD: &str = r#"
[regions.eu]
at = [50.11, 8.68]
clients = ["net:192.0.2.0/24"]
[regions.us]
at = [39.04, -77.49]
default = true
[monitors.web]
type = "http"
[endpoints.fra]
region = "eu"
ipv4 = "203.0.113.10"
ipv6 = "2001:db8::10"
monitors = ["web"]
[endpoints.iad]
region = "us"
ipv4 = "203.0.113.20"
monitors = ["web"]
[endpoints.cdn]
cname = "cdn.example.net."
"#;

/// What came of it.
#[derive(Debug)]
pub struct Compiled {
    pub plan: Option<Plan>,
    pub diagnostics: Vec<Diagnostic>,
}

/// Compiles one steering file beside a zone `example.org` that has only what it must have.
pub fn compile(steering: &str) -> Compiled {
    compile_beside("", steering)
}

/// Compiles one steering file beside a zone `example.org` with these records.
pub fn compile_beside(records: &str, steering: &str) -> Compiled {
    let zone = format!("$TTL 300\n@ SOA ns1 host 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.53\n{records}\n");
    compile_files(&[("example.org.zone", &zone)], &[("example.org.toml", steering)])
}

/// Compiles whole files.
pub fn compile_files(zones: &[(&str, &str)], steering: &[(&str, &str)]) -> Compiled {
    let sources = |files: &[(&str, &str)]| files.iter().map(|(name, text)| Source::new(name, text)).collect();
    let sources = Sources { zones: sources(zones), steering: sources(steering) };
    let (spec, unread) = crate::spec::parse(&sources, &|_, _| Err("nothing to include".into()));
    assert_eq!(unread, [], "the files of a test can be read");
    let (plan, diagnostics) = super::compile(&spec, &Arc::new(Facts::none()), Duration::from_secs(2));
    assert_eq!(plan.is_some(), !diagnostics.iter().any(|found| found.severity == Severity::Error));
    Compiled { plan, diagnostics }
}

/// [`WORLD`] and a pool `www` with these settings, which `www.example.org` points at.
pub fn compile_pool(settings: &str) -> Compiled {
    compile(&format!("{WORLD}\n[pools.www]\n{settings}\n[names.www]\npool = \"www\"\n"))
}

impl Compiled {
    /// The codes of all diagnostics, in alphabetical order; without `unused` and
    /// `unreachable`, which small worlds are full of.
    pub fn codes(&self) -> Vec<&'static str> {
        let mut codes: Vec<_> = self.diagnostics.iter().map(|found| found.code).collect();
        codes.retain(|code| !["unused", "unreachable"].contains(code));
        codes.sort_unstable();
        codes
    }

    /// The only diagnostic with this code.
    pub fn only(&self, code: &str) -> &Diagnostic {
        let mut found = self.diagnostics.iter().filter(|found| found.code == code);
        let first = found.next().unwrap_or_else(|| panic!("no `{code}` in {:#?}", self.diagnostics));
        assert_eq!(found.next(), None, "only one `{code}`");
        first
    }

    /// The plan of files without an error.
    pub fn plan(&self) -> &Plan {
        self.plan.as_ref().unwrap_or_else(|| panic!("refused: {:#?}", self.diagnostics))
    }

    pub fn pool(&self, name: &str) -> &Pool {
        let inventory = &self.plan().inventory;
        &inventory.pools[inventory.pool(name).expect("a pool of the test").index()]
    }

    pub fn endpoint(&self, name: &str) -> &Endpoint {
        let inventory = &self.plan().inventory;
        &inventory.endpoints[inventory.endpoint(name).expect("an endpoint of the test").index()]
    }

    pub fn region(&self, name: &str) -> RegionId {
        self.plan().inventory.region(name).expect("a region of the test")
    }

    /// The members of a pool in the order in which they are tried for clients of a region.
    pub fn order(&self, pool: &str, region: &str) -> Vec<&str> {
        let pool = self.pool(pool);
        let situation =
            self.plan().inventory.situation_in(self.region(region)).expect("its clients' situation");
        let order = pool.order_in(situation);
        let members = order.iter().map(|member| pool.members[usize::from(*member)].picks);
        members.map(|picks| self.plan().inventory.name_of(picks)).collect()
    }
}
