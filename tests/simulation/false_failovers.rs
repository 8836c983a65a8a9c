//! How often an endpoint that is up is taken for dead: `tools/bench/false-failover` over fewer days.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use windrose::geo::Facts;
use windrose::health::{Kind, Report, TargetReport, Verdict};
use windrose::keeper::{Event, Fact, Keeper};
use windrose::model::Moment;
use windrose::plan::{Plan, compile};
use windrose::spec::{self, Source, Sources};

use crate::verdicts::{Ending, Gdnsd, Judge, Loss, Route53, Trace, Windrose};

#[test]
fn an_endpoint_that_is_up_is_not_taken_for_dead_when_single_checks_fail() {
    for share in [0.02, 0.05, 0.1, 0.2] {
        assert_eq!(downs(&Windrose::COMPARED, Loss::Independent(share), DAYS), 0, "{share}");
    }
}

#[test]
fn an_endpoint_that_is_up_is_hardly_ever_taken_for_dead_when_checks_fail_in_bursts() {
    for seconds in [1.0, 3.0, 10.0, 30.0] {
        let bursts = Loss::Bursts { share: 0.05, mean: seconds * 1_000.0 };
        let downs = downs(&Windrose::COMPARED, bursts, DAYS);
        assert!(downs < DAYS, "{downs} in bursts of {seconds} s");
    }
}

#[test]
fn who_waits_for_ten_failures_or_looks_from_many_places_is_later() {
    let death = |judge: &dyn Judge| {
        let trace = trace(1, Loss::None, 3_600_000, Some(1_000_000));
        judge.downs(&trace)[0] - 1_000_000
    };
    let (ours, gdnsd, route53) =
        (death(&Windrose::COMPARED), death(&Gdnsd::DEFAULT), death(&Route53 { interval: 10_000 }));
    assert!(ours <= 6_000 && (90_000..=105_000).contains(&gdnsd) && (20_000..=34_000).contains(&route53));
}

#[test]
fn bursts_take_the_share_of_the_time_that_they_should_and_last_as_long() {
    let mut path = trace(1, Loss::Bursts { share: 0.05, mean: 10_000.0 }, 0, None).path(0);
    let passes: Vec<bool> = (0..2_000_000).map(|tenth| path.passes(tenth * 100)).collect();
    let bad = passes.iter().filter(|passes| !**passes).count();
    let bursts = passes.windows(2).filter(|pair| pair[0] && !pair[1]).count();
    assert!((90_000..110_000).contains(&bad), "{bad}");
    assert!((90..110).contains(&(bad / bursts)), "{} tenths of a second", bad / bursts);
}

#[test]
fn reports_and_the_keeper_come_to_what_the_vote_alone_comes_to() {
    let trace = trace(7, Loss::Independent(0.6), 3_600_000, None);
    let by_vote = Windrose::COMPARED.downs(&trace);
    assert!(by_vote.len() > 20, "{}", by_vote.len());
    assert_eq!(by_keeper(&Windrose::COMPARED, &trace), by_vote);
}

fn downs(judge: &dyn Judge, loss: Loss, days: usize) -> usize {
    (0..days as u64).map(|seed| judge.downs(&trace(seed, loss, DAY, None)).len()).sum()
}

fn trace(seed: u64, loss: Loss, span: u64, death: Option<u64>) -> Trace {
    Trace { seed, loss, ending: Ending::Vanished, death, span }
}

/// When the verdict of a keeper turns to Down that hears each probe every two seconds, and at once when its opinion
/// turns.
fn by_keeper(settings: &Windrose, trace: &Trace) -> Vec<u64> {
    let mut keeper = Keeper::new(plan(), None, Moment(0));
    let (mut downs, mut number, mut reported) = (Vec::new(), 0, 0);
    settings.live(trace, |probes, turned, now| {
        let due = now >= reported + REPORT_INTERVAL;
        if !turned && !due {
            return;
        }
        reported = now;
        number += 1;
        for (name, probe) in probes.iter().enumerate() {
            let vote = probe.vote();
            let target = TargetReport {
                monitor: "web".into(),
                address: ADDRESS.parse::<IpAddr>().expect("an address"),
                opinion: vote.opinion,
                moving: vote.moving,
                last: Some(Kind::Ok),
                rtt_us: None,
                age_ms: 0,
                certificate_end: None,
                agent: None,
            };
            let report = Report {
                probe: format!("p{name}").into(),
                region: "eu".into(),
                number,
                instance: 0,
                sent: Moment(now),
                interval_ms: REPORT_INTERVAL as u32,
                zones: None,
                targets: vec![target],
            };
            let step = keeper.apply(Event::Report(report), Moment(now));
            let turned_down = |fact: &Fact| matches!(fact, Fact::Turned { to: Verdict::Down, .. });
            downs.extend(step.facts.iter().any(turned_down).then_some(now));
        }
    });
    downs
}

/// One region, one monitor, one endpoint.
fn plan() -> Arc<Plan> {
    let steering = format!(
        "[regions.eu]\nat = [50, 9]\ndefault = true\n[monitors.web]\ntype = \"tcp\"\nport = 80\n\
         [endpoints.fra]\nipv4 = \"{ADDRESS}\"\nmonitors = [\"web\"]\n"
    );
    let sources = Sources { zones: Vec::new(), steering: vec![Source::new("regions.toml", &steering)] };
    let (spec, _) = spec::parse(&sources, &|_, _| Err("nothing to include".into()));
    let (plan, found) = compile(&spec, &Arc::new(Facts::none()), Duration::from_secs(2));
    Arc::new(plan.unwrap_or_else(|| panic!("{found:#?}")))
}

const ADDRESS: &str = "192.0.2.10";
const DAYS: usize = 6;
const DAY: u64 = 24 * 3_600_000;
const REPORT_INTERVAL: u64 = 2_000;
