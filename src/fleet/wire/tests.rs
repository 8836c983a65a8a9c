//! What a report is after it was bytes, and what bytes that are no report do.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

fn any_target() -> impl Strategy<Value = TargetReport> {
    let opinion = prop_oneof![Just(Opinion::Up), Just(Opinion::Down), Just(Opinion::Unknown)];
    let agent = prop_oneof![
        Just(Agent::Up),
        Just(Agent::Drain),
        Just(Agent::Down),
        (1u8..=100).prop_map(Agent::Share)
    ];
    let last = (NO_KIND..=kind_number(Kind::Other)).prop_map(kind_numbered);
    let ((monitor, address), facts) = (
        ("[a-z]{1,3}|\\PC{1,20}", any::<IpAddr>()),
        (
            opinion,
            any::<bool>(),
            last,
            any::<Option<u32>>(),
            any::<u64>(),
            any::<Option<i64>>(),
            option::of(agent),
        ),
    );
    (monitor, address, facts).prop_map(
        |(monitor, address, (opinion, moving, last, rtt_us, age_ms, certificate_end, agent))| TargetReport {
            monitor: monitor.into(),
            address,
            opinion,
            moving,
            last,
            rtt_us,
            age_ms,
            certificate_end,
            agent,
        },
    )
}

fn any_report() -> impl Strategy<Value = Report> {
    let names = ("\\PC{1,20}", "\\PC{1,20}");
    let interval_and_zones = (any::<u32>(), any::<Option<u64>>());
    (names, any::<[u64; 3]>(), interval_and_zones, vec(any_target(), 0..20)).prop_map(
        |((probe, region), [number, instance, sent], (interval_ms, zones), targets)| Report {
            probe: probe.into(),
            region: region.into(),
            number,
            instance,
            sent: Moment(sent),
            interval_ms,
            zones,
            targets,
        },
    )
}

proptest! {
    #[test]
    fn any_report_comes_back_as_it_was(report in any_report()) {
        prop_assert_eq!(decode(&encode(&report)), Ok(report));
    }

    #[test]
    fn what_newer_releases_add_is_skipped(
        report in any_report(),
        parts in vec((9u64.., vec(any::<u8>(), 0..40)), 0..4),
        fields in vec(any::<u8>(), 0..40),
    ) {
        let mut message = from_a_newer_release(&report, &fields);
        for (tag, value) in &parts {
            put_part(&mut message, *tag, value);
        }
        prop_assert_eq!(decode(&message), Ok(report));
    }

    #[test]
    fn garbage_is_refused_and_never_panics(mut garbage in vec(any::<u8>(), 0..200), headed: bool) {
        if headed {
            garbage.splice(0..0, [b'W', b'R', VERSION]);
        }
        let _ = decode(&garbage);
    }

    #[test]
    fn a_report_that_was_cut_or_flipped_never_panics(report in any_report(), cut: prop::sample::Index, bit: prop::sample::Index) {
        let mut message = encode(&report);
        let cut = cut.index(message.len());
        prop_assert!(decode(&message[..cut]).is_err());
        let bit = bit.index(message.len() * 8);
        message[bit / 8] ^= 1 << (bit % 8);
        let _ = decode(&message);
    }
}

/// The message of a release that has more to say of each target.
fn from_a_newer_release(report: &Report, fields: &[u8]) -> Vec<u8> {
    let mut message = encode(&Report { targets: Vec::new(), ..report.clone() });
    let mut monitors = Monitors::default();
    let mut targets = Vec::new();
    for held in &report.targets {
        let mut target = Vec::new();
        put_target(&mut target, held, monitors.place(&held.monitor), report.sent);
        target.extend_from_slice(fields);
        put_sized(&mut targets, &target);
    }
    let without_monitors_and_targets = message.len() - 4;
    message.truncate(without_monitors_and_targets);
    put_part(&mut message, TARGETS, &targets);
    put_part(&mut message, MONITORS, &monitors.written);
    message
}

#[test]
fn a_target_takes_at_most_32_bytes_in_the_steady_state() {
    for everything in [false, true] {
        let report = steady(1_000, everything);
        let a_target = encode(&report).len() as f64 / report.targets.len() as f64;
        assert!(a_target <= 32.0, "{a_target} bytes a target, everything: {everything}");
    }
}

/// A day's calm: all up, half of them IPv6, by ten monitors; with everything: certificates and agents too, and
/// held for a year.
fn steady(targets: u32, everything: bool) -> Report {
    let sent = Moment(1_800_000_000_000);
    let day_ms = 86_400_000;
    let target = |index: u32| TargetReport {
        monitor: format!("monitor-with-a-name-{}", index % 10).into(),
        address: match index % 2 {
            0 => Ipv4Addr::from(0xc633_6400 + index).into(),
            _ => Ipv6Addr::from((0x2001_0db8 << 96) + u128::from(index)).into(),
        },
        opinion: Opinion::Up,
        moving: false,
        last: Some(Kind::Ok),
        rtt_us: Some(250_000),
        age_ms: if everything { 365 * day_ms } else { day_ms },
        certificate_end: everything.then_some(1_800_000_000 + 90 * 86_400),
        agent: everything.then_some(Agent::Share(75)),
    };
    Report {
        probe: "ams-1".into(),
        region: "europe-west".into(),
        number: sent.0,
        instance: u64::MAX,
        sent,
        interval_ms: 2_000,
        zones: None,
        targets: (0..targets).map(target).collect(),
    }
}

#[test]
fn another_version_is_told_apart_from_garbage() {
    let mut message = encode(&steady(1, true));
    message[2] = 2;
    assert_eq!(decode(&message), Err(Unreadable::Version(2)));
    assert!(matches!(decode(b"hello, fleet"), Err(Unreadable::Garbage(_))));
    assert!(matches!(decode(b""), Err(Unreadable::Garbage(_))));
}

#[test]
fn a_message_over_the_bound_is_not_read() {
    assert_eq!(decode(&vec![b'W'; MESSAGE_MAX + 1]), Err(Unreadable::TooLarge(MESSAGE_MAX + 1)));
}

#[test]
fn a_length_that_claims_more_than_is_there_costs_nothing() {
    let mut message = Vec::from([b'W', b'R', VERSION]);
    put_number(&mut message, TARGETS);
    put_number(&mut message, u64::MAX);
    assert_eq!(decode(&message), Err(Unreadable::Garbage("it ends within a part")));
}

#[test]
fn a_part_that_comes_twice_is_refused() {
    let mut message = encode(&steady(1, false));
    put_part(&mut message, PROBE, b"another");
    assert_eq!(decode(&message), Err(Unreadable::Garbage("a part comes twice")));
}

#[test]
fn a_report_without_what_later_releases_may_leave_out_has_defaults() {
    let mut message = Vec::from([b'W', b'R', VERSION]);
    put_part(&mut message, PROBE, b"ams-1");
    put_part(&mut message, REGION, b"eu");
    put_number_part(&mut message, NUMBER, 7);
    put_part(&mut message, TARGETS, b"");
    let report = decode(&message).expect("it has all that it needs");
    assert_eq!((report.instance, report.sent, report.interval_ms), (0, Moment(0), 2_000));
    assert!(report.targets.is_empty());
}

#[test]
fn a_kind_and_an_agents_word_that_are_not_known_here_do_no_harm() {
    assert_eq!(kind_numbered(200), Some(Kind::Other));
    assert_eq!(agent_numbered(200), None);
}
