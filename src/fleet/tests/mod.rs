//! The fleet on a real NATS server.

mod bundles;
mod creds;
mod nats;

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use super::*;
use crate::health::{Kind, Opinion, TargetReport};
use crate::model::Moment;
use nats::Nats;

#[tokio::test]
async fn a_report_is_received_as_it_was_sent() {
    let nats = Nats::start();
    let (probe, server) = (join(&nats).await, join(&nats).await);
    let mut reports = server.reports();
    let received = flows(&probe, &mut reports, 1).await;
    let sent = report("eu", "ams-1", received.number);
    assert!(received.sent.0.abs_diff(sent.sent.0) < 1_000, "by the clock of whoever received it");
    assert_eq!(received, Report { sent: received.sent, ..sent });
    assert_eq!(server.dropped(), Dropped::default());
}

#[tokio::test]
async fn a_digest_is_received_as_it_was_sent() {
    let nats = Nats::start();
    let (one, other) = (join(&nats).await, join(&nats).await);
    let mut digests = other.digests();
    let sent = Digest {
        server: "ns 1.example".into(),
        instance: 1,
        generation: 2,
        map: u64::MAX,
        plan: 4,
        zones_version: Some(5),
        zones_error: None,
        windrose: "0.1.0".to_owned(),
        sent: Moment(6),
    };
    let mut pace = tokio::time::interval(PACE);
    let received = within(async {
        loop {
            tokio::select! {
                digest = digests.recv() => return digest,
                _ = pace.tick() => one.publish_digest(&sent).expect("there is a link"),
            }
        }
    });
    assert_eq!(received.await, Some(sent));
}

#[tokio::test]
async fn what_is_no_report_of_its_sender_is_dropped_and_counted_by_reason() {
    let nats = Nats::start_with("max_payload: 16MB");
    let (probe, server) = (join(&nats).await, join(&nats).await);
    let mut reports = server.reports();
    flows(&probe, &mut reports, 1).await;

    let good = wire::encode(&report("eu", "ams-1", 7));
    let mut other_version = good.clone();
    other_version[2] = 9;
    let stranger = async_nats::connect(nats.address()).await.expect("it can connect");
    for (subject, message) in [
        ("windrose.v1.report.eu.ams-2", good.clone()),
        ("windrose.v1.report.us.ams-1", good.clone()),
        ("windrose.v1.report.eu.ams%2D1", good.clone()),
        ("windrose.v1.report.eu.ams-1", b"garbage".to_vec()),
        ("windrose.v1.report.eu.ams-1", vec![0xff; 2 << 20]),
        ("windrose.v1.report.eu.ams-1", vec![0xff; wire::MESSAGE_MAX + 1]),
        ("windrose.v1.report.eu.ams-1", other_version),
        ("windrose.v1.report.eu.ams-1", wire::encode(&report("eu", "ams-1", u64::MAX))),
    ] {
        stranger.publish(subject, message.into()).await.expect("it can be sent");
    }
    let after_all = within(async {
        loop {
            match reports.recv().await {
                Some(report) if report.number == u64::MAX => return,
                received => assert_eq!(&*received.expect("the fleet is there").probe, "ams-1"),
            }
        }
    });
    after_all.await;
    let expected = Dropped { garbage: 2, version: 1, false_name: 3, too_large: 1, overflow: 0 };
    assert_eq!(server.dropped(), expected);
}

#[tokio::test]
async fn one_who_takes_nothing_gets_the_newest_later() {
    let nats = Nats::start();
    let (probe, server) = (join(&nats).await, join(&nats).await);
    let mut reports = server.reports();
    flows(&probe, &mut reports, 1).await;

    let crowd = async_nats::connect(nats.address()).await.expect("it can connect");
    let mut newest = wire::encode(&report("eu", "ams-1", u64::MAX));
    for number in 0..2_000 {
        let message = wire::encode(&report("eu", "ams-1", number));
        crowd.publish("windrose.v1.report.eu.ams-1", message.into()).await.expect("it can be sent");
    }
    crowd
        .publish("windrose.v1.report.eu.ams-1", std::mem::take(&mut newest).into())
        .await
        .expect("it can be sent");
    let overflown = within(async {
        let mut pace = tokio::time::interval(PACE);
        while server.dropped().overflow < 900 {
            pace.tick().await;
        }
        while reports.recv().await.expect("the fleet is there").number != u64::MAX {}
    });
    overflown.await;
}

#[tokio::test]
async fn a_restart_of_the_nats_server_is_survived_and_reports_flow_again() {
    let mut nats = Nats::start();
    let (probe, server) = (join(&nats).await, join(&nats).await);
    let mut reports = server.reports();
    flows(&probe, &mut reports, 1).await;

    nats.restart();
    let back = Instant::now();
    flows(&probe, &mut reports, 1_000).await;
    assert!(back.elapsed() < Duration::from_secs(20), "it took {:?}", back.elapsed());
}

#[tokio::test]
async fn what_could_not_be_sent_is_not_sent_later() {
    let mut nats = Nats::start();
    let (probe, server) = (join(&nats).await, join(&nats).await);
    let mut reports = server.reports();
    flows(&probe, &mut reports, 1).await;

    nats.kill();
    linked(&probe, false).await;
    for number in 1_000..2_000 {
        let refused = probe.publish_report(&report("eu", "ams-1", number));
        assert_eq!(refused, Err(NotSent::Disconnected));
    }
    nats.restart();
    linked(&server, true).await;
    let first = flows(&probe, &mut reports, 2_000).await;
    assert!(first.number < 1_000 || first.number >= 2_000, "{} was sent late", first.number);
}

#[tokio::test]
async fn a_fleet_starts_without_a_nats_server_and_says_what_it_lacks() {
    let mut nats = Nats::start();
    nats.kill();
    let fleet = start(&nats).await;
    let mut link = fleet.link();
    let failing = |link: &Link| matches!(link, Link::Disconnected { error: Some(error), .. } if error.contains("refused"));
    within(link.wait_for(failing)).await.expect("the fleet is there");

    nats.restart();
    linked(&fleet, true).await;
}

#[tokio::test]
async fn a_nats_server_that_hangs_is_given_up_and_found_again() {
    let nats = Nats::start();
    let fleet = join(&nats).await;
    nats.freeze();
    let frozen = Instant::now();
    linked(&fleet, false).await;
    assert!(frozen.elapsed() < Duration::from_secs(20), "it took {:?}", frozen.elapsed());
    nats.thaw();
    linked(&fleet, true).await;
}

#[tokio::test]
async fn a_report_over_what_the_server_takes_is_refused_at_once() {
    let nats = Nats::start_with("max_payload: 2KB");
    let probe = join(&nats).await;
    let mut large = report("eu", "ams-1", 1);
    large.targets = vec![large.targets[0].clone(); 1_000];
    assert!(matches!(probe.publish_report(&large), Err(NotSent::TooLarge { limit: 2048, .. })));
}

#[tokio::test]
async fn a_password_lets_in_and_a_wrong_one_is_said() {
    let nats = Nats::start_with("authorization { users = [{ user: ns1, password: secret }] }");
    let directory = tempfile::tempdir().expect("a directory can be made");
    let password_file = directory.path().join("password");
    let credentials =
        || Some(Credentials::UserPassword { user: "ns1".to_owned(), password_file: password_file.clone() });

    fs::write(&password_file, "secret\n").expect("it can be written");
    let right = start_as(&nats.address(), credentials(), Tls::default()).await;
    linked(&right, true).await;

    fs::write(&password_file, "guess\n").expect("it can be written");
    let wrong = start_as(&nats.address(), credentials(), Tls::default()).await;
    let refused = |link: &Link| matches!(link, Link::Disconnected { error: Some(error), .. } if error.contains("authorization"));
    within(wrong.link().wait_for(refused)).await.expect("the fleet is there");
}

#[tokio::test]
async fn an_nkey_over_tls_lets_in_and_only_on_its_own_subject() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let own = nkeys::KeyPair::new_user();
    let seed = directory.path().join("ams-1.nk");
    fs::write(&seed, own.seed().expect("it has a seed")).expect("it can be written");
    let certificates = certificates(directory.path());
    let nats = Nats::start_with(&format!(
        "tls {{ cert_file: {:?}, key_file: {:?} }}
         authorization {{ users = [{{ nkey: {}, permissions: {{ publish: \"windrose.v1.report.eu.ams-1\" }} }}] }}",
        certificates.cert,
        certificates.key,
        own.public_key()
    ));
    let address = nats.address().replace("nats://", "tls://");
    let tls = || Tls { ca: Some(certificates.cert.clone()), ..Tls::default() };
    let fleet = start_as(&address, Some(Credentials::NkeySeed(seed)), tls()).await;
    linked(&fleet, true).await;

    is_heard_only_as(&fleet, "ams-1").await;
}

#[tokio::test]
async fn a_server_whose_certificate_nobody_trusts_is_not_joined() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let certificates = certificates(directory.path());
    let tls = format!("tls {{ cert_file: {:?}, key_file: {:?} }}", certificates.cert, certificates.key);
    let nats = Nats::start_with(&tls);
    let stranger = tempfile::tempdir().expect("a directory can be made");
    let other = Tls { ca: Some(self::certificates(stranger.path()).cert), ..Tls::default() };
    let fleet = start_as(&nats.address(), None, other).await;
    let refused = |link: &Link| matches!(link, Link::Disconnected { error: Some(error), .. } if error.contains("certificate"));
    within(fleet.link().wait_for(refused)).await.expect("the fleet is there");
}

/// Reports as this probe, and as another one, until something arrives: that is of this one.
async fn is_heard_only_as(fleet: &Fleet, probe: &str) {
    let mut reports = fleet.reports();
    let mut pace = tokio::time::interval(PACE);
    let mut number = 0;
    let received = within(async {
        loop {
            tokio::select! {
                report = reports.recv() => return report,
                _ = pace.tick() => {
                    number += 1;
                    fleet.publish_report(&report("eu", "another", number)).expect("there is a link");
                    // The newest replaces one that waits: this one must not replace the other.
                    fleet.client.flush().await.expect("there is a link");
                    fleet.publish_report(&report("eu", probe, number)).expect("there is a link");
                }
            }
        }
    });
    assert_eq!(&*received.await.expect("the fleet is there").probe, probe);
}

/// A certificate for 127.0.0.1 that is its own root, and its key.
fn certificates(directory: &Path) -> CertificateFiles {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("it can be made");
    let files = CertificateFiles { cert: directory.join("cert.pem"), key: directory.join("key.pem") };
    fs::write(&files.cert, made.cert.pem()).expect("it can be written");
    fs::write(&files.key, made.signing_key.serialize_pem()).expect("it can be written");
    files
}

struct CertificateFiles {
    cert: std::path::PathBuf,
    key: std::path::PathBuf,
}

/// Reports with growing numbers from `first` on until one arrives: the one that did.
async fn flows(probe: &Fleet, reports: &mut Inbox<Report>, first: u64) -> Report {
    let mut pace = tokio::time::interval(PACE);
    let mut number = first;
    let received = within(async {
        loop {
            tokio::select! {
                report = reports.recv() => match report.expect("the fleet is there") {
                    report if report.number >= first => return report,
                    _ => {}
                },
                _ = pace.tick() => {
                    // Without a link it is dropped, and the next one will do.
                    let _ = probe.publish_report(&report("eu", "ams-1", number));
                    number += 1;
                }
            }
        }
    });
    received.await
}

async fn join(nats: &Nats) -> Fleet {
    let fleet = start(nats).await;
    linked(&fleet, true).await;
    fleet
}

async fn start(nats: &Nats) -> Fleet {
    start_as(&nats.address(), None, Tls::default()).await
}

async fn start_as(address: &str, credentials: Option<Credentials>, tls: Tls) -> Fleet {
    let config = Config { servers: vec![address.to_owned()], credentials, tls, name: "test".into() };
    Fleet::start(&config, Clock::start()).await.expect("its files are good")
}

async fn linked(fleet: &Fleet, wanted: bool) {
    within(fleet.link().wait_for(|link| link.is_connected() == wanted)).await.expect("the fleet is there");
}

/// What happens well before the deadline, or never.
async fn within<T>(awaited: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, awaited).await.expect("it happens before the deadline")
}

fn report(region: &str, probe: &str, number: u64) -> Report {
    let target = |address: &str| TargetReport {
        monitor: "web".into(),
        address: address.parse::<IpAddr>().expect("an address"),
        opinion: Opinion::Up,
        moving: false,
        last: Some(Kind::Ok),
        rtt_us: Some(1_000),
        age_ms: 60_000,
        certificate_end: None,
        agent: None,
    };
    Report {
        probe: probe.into(),
        region: region.into(),
        number,
        instance: 1,
        sent: Moment(1_800_000_000_000),
        interval_ms: 2_000,
        zones: None,
        targets: vec![target("192.0.2.1"), target("2001:db8::1")],
    }
}

/// Far more than a loaded machine needs.
const DEADLINE: Duration = Duration::from_secs(60);
/// How often one tries again until what is awaited happens.
const PACE: Duration = Duration::from_millis(20);
