//! `windrose check`: every error and warning, and the failover time each name can promise.

mod denied;

use std::cmp::Reverse;
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::app::print::{print, print_line};
use crate::app::{Failure, any_error, beating, print_diagnostics, sandbox};
use crate::cli::{Output, Schema};
use crate::load::{self, Databases};
use crate::plan::Plan;
use crate::plan::promise::{Promise, promises};
use crate::spec::diagnostic::to_json;
use crate::spec::duration::display;
use crate::spec::schema;

pub(super) fn run(config: Option<&Path>, output: Output) -> Result<(), Failure> {
    let (site, mut diagnostics) = load::site(config);
    let report_interval = site.machine.probe.report_interval;
    let now = SystemTime::now();
    let databases = Databases::open(&site, now);
    diagnostics.extend(databases.warnings(now));
    let mut loaded = load::zones(&site.zones, databases.facts(), report_interval, &load::overlays(&site));
    load::sign(&site, &mut loaded, now);
    diagnostics.extend(sandbox::out_of_reach(&site, &loaded));
    diagnostics.extend(loaded.diagnostics);
    diagnostics.extend(loaded.plan.iter().flat_map(|plan| denied::warnings(&site, plan)));
    diagnostics.extend(beating::warnings(&site));
    diagnostics.extend(sandbox::warnings(&site));
    diagnostics.extend(load::certificate_diagnostics(&site, now));
    let rows: Vec<Row> = loaded.plan.iter().flat_map(|plan| Row::of(plan, report_interval)).collect();
    match output {
        Output::Json => {
            let diagnostics: Value =
                serde_json::from_str(&to_json(&diagnostics)).expect("what was made a moment ago is JSON");
            let failover: Value = rows.iter().map(Row::as_json).collect();
            let all = json!({
                "diagnostics": diagnostics,
                "geo": databases.summaries(now),
                "failover": failover,
                "not_counted": loaded.plan.iter().filter_map(not_counted).collect::<Vec<_>>(),
            });
            print_line(format_args!("{all:#}"))?;
        }
        Output::Text => {
            print_diagnostics(&diagnostics);
            if let Some(plan) = &loaded.plan {
                print_line(format_args!("{}: {}", site.zones.display(), plan.summary()))?;
                print_line(format_args!("geo: {}", geography(&databases.summaries(now))))?;
                print(table(rows, not_counted(plan)))?;
            }
        }
    }
    if any_error(&diagnostics) { Err(Failure::WrongInput) } else { Ok(()) }
}

pub(super) fn print_schema(kind: Schema) -> Result<(), Failure> {
    let schema = match kind {
        Schema::Zones => schema::steering(),
        Schema::Config => schema::machine(),
    };
    print_line(format_args!("{schema:#}"))?;
    Ok(())
}

/// What is known of where clients are.
fn geography(databases: &[String]) -> String {
    if databases.is_empty() {
        return "no database: only `net:` rules place clients (Debian's package tor-geoipdb has one)".into();
    }
    databases.join("\n     ")
}

/// What one name promises.
struct Row {
    name: String,
    promise: Promise,
    /// The endpoint whose death is noticed last, and the monitor that takes so long.
    slowest: String,
}

impl Row {
    fn of(plan: &Plan, report_interval: Duration) -> Vec<Self> {
        let inventory = &plan.inventory;
        let row = |promise: Promise| {
            let endpoint = &inventory.endpoints[promise.endpoint.index()].name;
            let monitor = &inventory.monitors[promise.monitor.index()].name;
            let mut slowest = format!("{endpoint} ({monitor})");
            if let Some(unwatched) = promise.unwatched {
                let name = &inventory.endpoints[unwatched.index()].name;
                slowest += &format!("; never for {name}, which has no monitor");
            }
            Row { name: promise.name.to_string(), slowest, promise }
        };
        promises(plan, report_interval).into_iter().map(row).collect()
    }

    /// Detection, publication, cached, total.
    fn parts(&self) -> [Duration; 4] {
        let promise = &self.promise;
        [promise.detection, promise.publication, promise.cached, promise.total]
    }

    fn as_json(&self) -> Value {
        let [detection, publication, cached, total] = self.parts().map(|part| part.as_millis() as u64);
        json!({
            "name": self.name,
            "detection_ms": detection,
            "publication_ms": publication,
            "cached_ms": cached,
            "total_ms": total,
            "slowest": self.slowest,
        })
    }
}

fn table(mut rows: Vec<Row>, not_counted: Option<String>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    rows.sort_by_key(|row| Reverse(row.promise.total));
    let more = rows.len().saturating_sub(ROWS_MAX);
    rows.truncate(ROWS_MAX);
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max("name".len());
    let mut text =
        String::from("\nworst-case failover, from an endpoint's death to the last cached answer gone:\n\n");
    let _ = writeln!(
        text,
        "  {:width$}  {:>9}  {:>11}  {:>6}  {:>7}  slowest",
        "name", "detection", "publication", "cached", "total"
    );
    for row in &rows {
        let [detection, publication, cached, total] = row.parts().map(display);
        let (name, slowest) = (&row.name, &row.slowest);
        let _ = writeln!(
            text,
            "  {name:width$}  {detection:>9}  {publication:>11}  {cached:>6}  {total:>7}  {slowest}"
        );
    }
    if more > 0 {
        let _ = writeln!(text, "  ... and {more} more, none slower");
    }
    if let Some(not_counted) = not_counted {
        let _ = writeln!(text, "\nnot counted: {not_counted}");
    }
    text
}

/// What can keep in an endpoint that died, and is in no promise. Damping and slow starts only delay the way back.
fn not_counted(plan: &Plan) -> Option<String> {
    plan.inventory.governor.map(|governor| {
        let (most, within) = (governor.withdraw_max, display(governor.within));
        format!(
            "[governor]: once {most}% of the endpoints went out within {within}, whoever dies then stays in"
        )
    })
}

/// More names than this are summed up: a list of a hundred thousand tells nobody anything.
const ROWS_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::geo::Facts;
    use crate::plan::compile;
    use crate::spec::{self, Source, Sources};

    fn table_of(governor: &str) -> String {
        let steering = format!(
            "{governor}[monitors.web]\ntype = \"tcp\"\nport = 80\n[endpoints.fra]\nipv4 = \"192.0.2.10\"\n\
             monitors = [\"web\"]\n[pools.www]\npolicy = \"all\"\nmembers = [\"fra\"]\n[names.www]\npool = \"www\"\n"
        );
        let sources = Sources {
            zones: vec![Source::new(
                "example.org.zone",
                "$TTL 300\n@ SOA ns1 host 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.53\n",
            )],
            steering: vec![Source::new("example.org.toml", &steering)],
        };
        let (spec, _) = spec::parse(&sources, &|_, name| Err(format!("no file {name}")));
        let (plan, found) = compile(&spec, &Arc::new(Facts::none()), Duration::from_secs(2));
        let plan = plan.unwrap_or_else(|| panic!("{found:#?}"));
        table(Row::of(&plan, Duration::from_secs(2)), not_counted(&plan))
    }

    #[test]
    fn what_a_governor_may_hold_back_is_said_to_be_in_no_promise() {
        let governed = table_of("[governor]\nwithdraw_max = \"50%\"\nwithin = \"5m\"\n");
        assert!(
            governed.ends_with(
                "\nnot counted: [governor]: once 50% of the endpoints went out within 5m, whoever dies then stays in\n"
            ),
            "{governed}"
        );
        assert!(!table_of("").contains("not counted"));
    }
}
