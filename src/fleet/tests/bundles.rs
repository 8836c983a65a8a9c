//! Versions of `zones/` on a real NATS server: published, followed, listed, taken back.

use tokio::sync::mpsc;

use super::nats::Nats;
use super::*;
use crate::fleet::bundles::Label;
use crate::fleet::{Bundle, Damaged, Files, PublishError, Published, ReadError};

#[tokio::test]
async fn a_version_reaches_those_who_follow_within_five_seconds() {
    let nats = Nats::start();
    let (operator, server) = (join(&nats).await, join(&nats).await);
    let mut bundles = server.bundles();
    publish(&operator, "first").await;
    assert_eq!(next(&mut bundles).await.files, files("first"));

    let before = Instant::now();
    assert_eq!(publish(&operator, "second").await, 2);
    let bundle = next(&mut bundles).await;
    assert!(before.elapsed() < Duration::from_secs(5), "it took {:?}", before.elapsed());
    assert_eq!((bundle.version, bundle.files), (2, files("second")));
    assert_eq!((bundle.who.as_str(), bundle.why.as_str(), bundle.rolled_back_to), ("ann", "second", None));
}

#[tokio::test]
async fn one_who_starts_later_gets_the_newest_and_only_that() {
    let nats = Nats::start();
    let operator = join(&nats).await;
    publish(&operator, "first").await;
    publish(&operator, "second").await;
    let server = join(&nats).await;
    assert_eq!(next(&mut server.bundles()).await.version, 2);
}

#[tokio::test]
async fn a_version_published_while_a_server_was_away_is_found_when_it_is_back() {
    let mut nats = Nats::start();
    let server = join(&nats).await;
    let mut bundles = server.bundles();
    publish(&join(&nats).await, "first").await;
    assert_eq!(next(&mut bundles).await.version, 1);

    nats.restart();
    let back = Instant::now();
    let operator = join(&nats).await;
    publish(&operator, "second").await;
    assert_eq!(next(&mut bundles).await.version, 2);
    assert!(back.elapsed() < Duration::from_secs(20), "it took {:?}", back.elapsed());
}

#[tokio::test]
async fn the_history_tells_who_when_and_why_newest_first() {
    let nats = Nats::start();
    let store = join(&nats).await.store();
    assert_eq!(store.newest().await, Ok(None));
    assert_eq!(store.history(10).await, Ok(vec![]));
    for version in 1..=3 {
        let why = format!("change {version}");
        let published = store.publish(files(&why), "ann", &why, None).await;
        assert_eq!(published, Ok(Published { version }));
    }
    assert_eq!(store.rollback(1, "bob", "it broke", Some(3)).await, Ok(Published { version: 4 }));

    let history = store.history(3).await.expect("the store answers");
    let told: Vec<_> = history.iter().map(|v| (v.version, &*v.who, &*v.why, v.rolled_back_to)).collect();
    assert_eq!(
        told,
        [(4, "bob", "it broke", Some(1)), (3, "ann", "change 3", None), (2, "ann", "change 2", None)]
    );
    assert!(history.iter().all(|version| version.bytes > 0 && version.when > Moment(1_577_836_800_000)));
    assert!(history.is_sorted_by(|later, earlier| later.when >= earlier.when));

    let rolled_back = store.get(4).await.expect("it is there");
    assert_eq!((rolled_back.files, rolled_back.when), (files("change 1"), history[0].when));
    assert_eq!(store.newest().await, Ok(Some(4)));
    assert_eq!(store.get(5).await, Err(ReadError::Missing(5)));
    let lost = store.rollback(9, "bob", "", None).await;
    assert_eq!(lost, Err(PublishError::Lost(ReadError::Missing(9))));
}

#[tokio::test]
async fn of_two_who_start_from_the_same_version_one_is_told_of_the_other() {
    let nats = Nats::start();
    let store = join(&nats).await.store();
    assert_eq!(store.publish(files("a"), "ann", "a", Some(0)).await, Ok(Published { version: 1 }));
    let late = store.publish(files("b"), "bob", "b", Some(0)).await;
    assert_eq!(late, Err(PublishError::Conflict { newest: Some(1) }));

    let at_once = [files("a"), files("b")].map(|files| {
        let store = store.clone();
        tokio::spawn(async move { store.publish(files, "ann", "", Some(1)).await })
    });
    let mut outcomes = Vec::new();
    for outcome in at_once {
        outcomes.push(outcome.await.expect("it ends"));
    }
    outcomes.sort_by_key(Result::is_err);
    assert_eq!(outcomes, [Ok(Published { version: 2 }), Err(PublishError::Conflict { newest: Some(2) })]);
}

#[tokio::test]
async fn what_is_no_bundle_or_too_large_is_not_published() {
    let nats = Nats::start_with("max_payload: 4KB");
    let store = join(&nats).await.store();
    let outside = vec![("../windrose.toml".to_owned(), Vec::new())];
    assert!(matches!(store.publish(outside, "ann", "", None).await, Err(PublishError::Unfit(_))));
    let next = |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    let noise = std::iter::successors(Some(1), next).map(|state| (state >> 56) as u8).take(20_000).collect();
    let large = store.publish(vec![("a".to_owned(), noise)], "ann", "", None).await;
    assert!(matches!(large, Err(PublishError::TooLarge { limit: 4096, .. })), "{large:?}");
    assert_eq!(store.newest().await, Ok(None));
}

#[tokio::test]
async fn a_store_that_is_not_there_is_said_to_be() {
    let nats = Nats::start_without_store();
    let store = join(&nats).await.store();
    assert!(matches!(store.publish(files("a"), "ann", "", None).await, Err(PublishError::Refused(_))));
    assert!(matches!(store.newest().await, Err(ReadError::Unreachable(_))));
}

#[tokio::test]
async fn what_nats_denies_is_refused_at_once() {
    let user = |name: &str, publish: &str| {
        format!("{{ user: {name}, password: p, permissions: {{ publish: [{publish}], subscribe: \">\" }} }}")
    };
    let nats = Nats::start_with(&format!(
        "authorization {{ users = [{}, {}] }}",
        user("reader", "\"$JS.API.>\""),
        user("nobody", "nothing")
    ));
    let directory = tempfile::tempdir().expect("a directory can be made");
    let password_file = directory.path().join("password");
    fs::write(&password_file, "p").expect("it can be written");
    let begin = Instant::now();
    for (user, subject) in [("reader", "windrose.v1.zones"), ("nobody", "$JS.API.")] {
        let password_file = password_file.clone();
        let credentials = Credentials::UserPassword { user: user.to_owned(), password_file };
        let fleet = start_as(&nats.address(), Some(credentials), Tls::default()).await;
        linked(&fleet, true).await;
        let denied = fleet.store().publish(files("a"), "ann", "", None).await;
        let said = |why: &String| why.contains("does not let") && why.contains(subject);
        assert!(matches!(&denied, Err(PublishError::Refused(why)) if said(why)), "{denied:?}");
    }
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn without_a_link_nothing_is_published_now_or_later() {
    let mut nats = Nats::start();
    let store = join(&nats).await.store();
    nats.kill();
    let published = store.publish(files("a"), "ann", "", None).await;
    assert!(matches!(published, Err(PublishError::Unreachable(_))), "{published:?}");
    nats.restart();
    assert_eq!(store.newest().await, Ok(None));
}

#[tokio::test]
async fn a_publication_without_an_answer_is_unknown_until_it_is_looked_up() {
    let nats = Nats::start();
    let operator = join(&nats).await;
    publish(&operator, "first").await;
    let operation = unanswered(&nats, &operator, "second").await;

    let still = operator.store().look_up(&operation, PACE).await;
    assert_eq!(still, Err(PublishError::Unknown(operation.clone())));
    nats.thaw();
    assert_eq!(operator.store().look_up(&operation, DEADLINE).await, Ok(Published { version: 2 }));
    let stored = operator.store().get(2).await.expect("it is there");
    assert_eq!(stored.files, files("second"));
}

#[tokio::test]
async fn a_publication_without_an_answer_that_another_forestalled_is_a_conflict() {
    let mut nats = Nats::start();
    let operator = join(&nats).await;
    publish(&operator, "first").await;
    let operation = unanswered(&nats, &operator, "second").await;
    // What was sent to it dies with it.
    nats.restart();
    publish(&join(&nats).await, "another second").await;
    let found = operator.store().look_up(&operation, DEADLINE).await;
    assert_eq!(found, Err(PublishError::Conflict { newest: Some(2) }));
}

#[tokio::test]
async fn a_damaged_version_is_told_of_and_the_next_one_follows() {
    let nats = Nats::start();
    let (operator, server) = (join(&nats).await, join(&nats).await);
    let mut bundles = server.bundles();
    publish(&operator, "first").await;
    assert_eq!(next(&mut bundles).await.version, 1);

    let stranger = async_nats::connect(nats.address()).await.expect("it can connect");
    stranger.publish("windrose.v1.zones", "no bundle".into()).await.expect("it can be sent");
    let damaged = within(bundles.recv()).await.expect("the fleet is there");
    assert!(matches!(&damaged, Err(Damaged { version: 2, .. })), "{damaged:?}");
    assert!(matches!(operator.store().get(2).await, Err(ReadError::Damaged(_))));
    assert_eq!(operator.store().history(10).await.expect("the store answers").len(), 2);

    assert_eq!(publish(&operator, "third").await, 3);
    assert_eq!(next(&mut bundles).await.files, files("third"));
}

#[tokio::test]
async fn a_store_that_was_lost_and_made_anew_is_followed_from_its_first_version() {
    let nats = Nats::start();
    let (operator, server) = (join(&nats).await, join(&nats).await);
    let mut bundles = server.bundles();
    publish(&operator, "first").await;
    publish(&operator, "second").await;
    while next(&mut bundles).await.version != 2 {}

    operator.store().jetstream.delete_stream("WINDROSE_ZONES").await.expect("it can be deleted");
    assert_eq!(publish(&operator, "anew").await, 1);
    let bundle = next(&mut bundles).await;
    assert_eq!((bundle.version, bundle.files), (1, files("anew")));
}

/// Publishes to a server that hangs by the time the publication reaches it.
async fn unanswered(nats: &Nats, operator: &Fleet, text: &str) -> Operation {
    let store = operator.store();
    let label = Label { who: "ann".to_owned(), why: text.to_owned(), rolled_back_to: None };
    let prepared = store.prepare(files(text), label, None).await.expect("it can be published");
    nats.freeze();
    match store.send(prepared).await {
        Err(PublishError::Unknown(operation)) => operation,
        other => panic!("its outcome is known: {other:?}"),
    }
}

#[tokio::test]
async fn of_three_nats_servers_one_may_be_lost() {
    let mut cluster = Nats::start_three();
    let addresses: Vec<String> = cluster.iter().map(Nats::address).collect();
    let operator = join_any(&addresses).await;
    // One was told only of the server that will be lost, and learns of the others from it.
    let (near, far) = (join_any(&addresses[..1]).await, join_any(&addresses).await);
    let (mut near_bundles, mut far_bundles) = (near.bundles(), far.bundles());
    publish_until_taken(&operator, "first").await;
    assert_eq!(next(&mut near_bundles).await.files, files("first"));
    assert_eq!(next(&mut far_bundles).await.files, files("first"));

    cluster[0].kill();
    publish_until_taken(&operator, "second").await;
    while next(&mut far_bundles).await.files != files("second") {}
    while next(&mut near_bundles).await.files != files("second") {}
}

/// Publishes again until it is known to be stored: the servers need a while to agree on who leads.
async fn publish_until_taken(operator: &Fleet, text: &str) {
    let taken = async {
        let mut pace = tokio::time::interval(PACE);
        while let Err(error) = operator.store().publish(files(text), "ann", text, None).await {
            assert!(!matches!(error, PublishError::Unfit(_) | PublishError::TooLarge { .. }), "{error}");
            pace.tick().await;
        }
    };
    within(taken).await;
}

async fn join_any(addresses: &[String]) -> Fleet {
    let config =
        Config { servers: addresses.to_vec(), credentials: None, tls: Tls::default(), name: "test".into() };
    let fleet = Fleet::start(&config, Clock::start()).await.expect("its addresses are good");
    linked(&fleet, true).await;
    fleet
}

async fn publish(operator: &Fleet, text: &str) -> u64 {
    let published = operator.store().publish(files(text), "ann", text, None).await;
    published.expect("the store takes it").version
}

async fn next(bundles: &mut mpsc::Receiver<Result<Bundle, Damaged>>) -> Bundle {
    within(bundles.recv()).await.expect("the fleet is there").expect("it is whole")
}

fn files(text: &str) -> Files {
    vec![("example.org.toml".to_owned(), text.into()), ("example.org.zone".to_owned(), b"@ SOA".to_vec())]
}
